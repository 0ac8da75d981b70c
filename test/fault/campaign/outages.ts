import { setTimeout as pause } from 'node:timers/promises';
import type { Fault } from '../../fakes/dev-vault/faults.ts';
import type { Experiment, Tally, Trial } from './experiment.ts';
import { type Rig, withRig } from './rig.ts';

/** Everything that a provider, or what stands before it, does instead of answering. */
const TROUBLES: readonly (readonly [name: string, fault: Fault | 'down' | 'sealed'])[] = [
  ['nobody listens', 'down'],
  ['sealed', 'sealed'],
  ['never answers', { kind: 'hang' }],
  ['resets connections', { kind: 'reset' }],
  ['is cut off', { kind: 'cut' }],
  ['drips', { kind: 'drip', everyMs: 200 }],
  ['300 MB', { kind: 'huge', bytes: 300 * 2 ** 20 }],
  ['500', answer(500, '{"errors":["internal error"]}')],
  ['502 in HTML', answer(502, '<html>bad gateway</html>')],
  ['503', answer(503, '{"errors":["Vault is in standby mode"]}')],
  ['429', answer(429, '{"errors":["request path \\"x\\": rate limit quota exceeded"]}', { 'retry-after': '2' })],
  ['a login page with 200', answer(200, '<html>log in</html>')],
  ['an empty 200', answer(200, '')],
  ['{}', answer(200, '{}')],
  ['{"data":null}', answer(200, '{"data":null}')],
  ['a gateway’s 400', answer(400, '{"error":"bad request"}')],
  ['a gateway’s 404', answer(404, '{"errors":[{"code":404}]}')],
  ['a gateway’s 403', answer(403, '{"message":"forbidden"}')],
  ['302 to a portal', answer(302, '', { location: 'http://portal.example/' })],
  [
    'KV being upgraded',
    answer(
      400,
      '{"errors":["Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period"]}',
    ),
  ],
];

function answer(status: number, body: string, headers: Readonly<Record<string, string>> = {}): Fault {
  return { kind: 'answer', status, body, headers };
}

const FOREVER = 1_000_000;
/** Contract, point 10: 10 to 20 s after the last try, and no more often. */
const MOST_CALLS_A_MINUTE = 40;
const RECOVERY_MS = 15_000;
/** On a machine that is shared. */
const SLACK_MS = 5_000;

export const outages: readonly Experiment[] = [
  {
    id: 'outages-nothing-to-serve',
    fault: `the provider fails in each of ${TROUBLES.length} ways for 4 to 12 s, before anything was fetched; two clients ask all the time`,
    expected: `no key, no wrong word; at most ${MOST_CALLS_A_MINUTE} calls a minute for each; a key within 15 s of the provider's return`,
    times: { short: 4, long: TROUBLES.length },
    run: (trial) => inParallel(trial, false),
  },
  {
    id: 'outages-key-in-hand',
    fault: `the same with keys past their ttl in the cache, and rotations meanwhile`,
    expected: "the key in hand at once; the provider's present one within 15 s of its return",
    times: { short: 4, long: TROUBLES.length },
    run: (trial) => inParallel(trial, true),
  },
  {
    id: 'outages-at-random',
    fault: 'three to six of these ways one after another, at random, 1 to 6 s each, for one credential or four',
    expected: `the same, whatever happened before`,
    times: { short: 2, long: 24 },
    run: (trial) => inSeries(trial),
  },
];

/** Some at a time: they mostly wait. */
const AT_ONCE = 4;

async function inParallel(trial: Trial, hasKeys: boolean): Promise<void> {
  const { dice, times } = trial;
  const offset = times < TROUBLES.length ? Math.floor(dice.between(0, TROUBLES.length)) : 0;
  const chosen = Array.from({ length: times }, (_, index) => {
    const trouble = TROUBLES[(offset + index * 7) % TROUBLES.length];
    return { trouble: trouble ?? (['nobody listens', 'down'] as const), lastsMs: dice.between(4_000, 12_000) };
  });
  await atOnce(chosen, ({ trouble, lastsMs }) => oneOutage(trial.tally, hasKeys, [{ trouble, lastsMs }]));
}

async function inSeries({ dice, times, tally }: Trial): Promise<void> {
  const stories = Array.from({ length: times }, () =>
    Array.from({ length: 3 + Math.floor(dice.between(0, 4)) }, () => ({
      trouble: dice.pick(TROUBLES),
      lastsMs: dice.between(1_000, 6_000),
    })),
  );
  const credentials = () => 1 + 3 * Math.floor(dice.between(0, 2));
  await atOnce(stories, (story) => oneOutage(tally, false, story, credentials()));
}

async function atOnce<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await work(next);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

interface Spell {
  readonly trouble: (typeof TROUBLES)[number];
  readonly lastsMs: number;
}

async function oneOutage(tally: Tally, hasKeys: boolean, spells: readonly Spell[], credentials = 1): Promise<void> {
  await withRig({ fixed: credentials, leased: 0, ttl: '1s' }, async (rig) => {
    const { names } = rig;
    // A daemon that has never reached its provider: its first ask comes while that is down already.
    if (hasKeys) await rig.askAll(tally);
    let isOver = false;
    const started = Date.now();
    const clients = [...names, ...names].map(async (name) => {
      while (!isOver) {
        await rig.ask(name, tally, ({ code }) => !hasKeys && (code === 69 || code === 75));
        await pause(200);
      }
    });
    const words = spells.map(({ trouble: [words] }) => words).join(', ');
    for (const { trouble, lastsMs } of spells) {
      tally.inflicted += 1;
      const end = await begin(rig, trouble);
      await pause(lastsMs);
      await end();
    }
    const minutes = Math.max(1, (Date.now() - started) / 60_000);
    const calls = rig.vault.seen.length + calledInVain(rig);
    const most = MOST_CALLS_A_MINUTE * minutes * credentials;
    tally.expect(calls <= most, `${words}: ${calls} calls in ${minutes.toFixed(1)} min`);
    for (const name of names) rig.rotate(name);
    const back = Date.now();
    const recovered = names.map(async (name) => {
      const wanted = rig.present(name);
      while ((await rig.ask(name, tally, () => true)).stdout.trim() !== wanted && Date.now() - back < 100_000)
        await pause(100);
    });
    await Promise.all(recovered);
    const tookMs = Date.now() - back;
    tally.recoveredMs.push(tookMs);
    tally.expect(tookMs < RECOVERY_MS + SLACK_MS, `${words}: ${credentials} back after ${tookMs} ms`);
    isOver = true;
    await Promise.all(clients);
  });
}

const vain = new WeakMap<Rig, number>();
const calledInVain = (rig: Rig): number => vain.get(rig) ?? 0;

/** @returns what ends it. */
async function begin(rig: Rig, [, fault]: Spell['trouble']): Promise<() => Promise<void>> {
  if (fault === 'down') {
    await rig.proxy.goDown();
    return () => rig.proxy.comeUp();
  }
  if (fault === 'sealed') {
    rig.vault.mode = 'sealed';
    return async () => {
      rig.vault.mode = 'active';
    };
  }
  rig.proxy.faults.plan(fault, { times: FOREVER });
  const before = rig.proxy.requests;
  return async () => {
    vain.set(rig, calledInVain(rig) + rig.proxy.requests - before);
    rig.proxy.faults.clear();
  };
}
