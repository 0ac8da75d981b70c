import { describe } from 'vitest';
import { type BenchOptions, ClientBench, FIRST, SECOND } from '../fakes/client-bench.ts';
import { ClientDouble, type DoubleOptions, runScript } from '../fakes/client-double.ts';
import { canWrap, WRAPPER_NAMES, wrapped } from '../fakes/wrappers.ts';

type Finish = (close: () => Promise<void>) => void;

async function openBench(onTestFinished: Finish, options?: BenchOptions): Promise<ClientBench> {
  const bench = await ClientBench.start(options);
  onTestFinished(() => bench.close());
  return bench;
}

function openClient(bench: ClientBench, onTestFinished: Finish, options?: DoubleOptions): ClientDouble {
  const client = new ClientDouble(bench, options);
  onTestFinished(() => client.close());
  return client;
}

/** As an issuer writes it, but for the signature. */
function jwt(lifeMs: number): string {
  const part = (claims: object) => Buffer.from(JSON.stringify(claims)).toString('base64url');
  return `${part({ alg: 'none' })}.${part({ exp: Math.floor((Date.now() + lifeMs) / 1000) })}.canary`;
}

/** How long it takes is what these are about, and a machine that is busy just then may be late once. */
const TIMED = { retry: 2 };

const keysSent = (bench: ClientBench) => bench.api.calls.map(({ apiKey }) => apiKey);

describe.concurrent('a client like Claude Code, the real helper, the daemon and Vault', (it) => {
  it('a revoked key whose successor is in Vault costs one failed request and under 2 s', TIMED, async (test) => {
    const { expect, onTestFinished } = test;
    const bench = await openBench(onTestFinished);
    const client = openClient(bench, onTestFinished);
    expect(await client.turn()).toMatchObject({ ok: true, rejected: 0, helperCalls: 1 });
    bench.store(SECOND);
    bench.api.acceptOnly(SECOND);
    const turn = await client.turn();
    expect(turn).toMatchObject({ ok: true, rejected: 1, helperCalls: 1 });
    expect(turn.recoveredAfterMs).toBeLessThan(2_000);
    expect(keysSent(bench)).toEqual([FIRST, FIRST, SECOND]);
    expect(await bench.count('rejected', 'strike')).toEqual({ rejected: 1, strike: 0 });
  });

  it('a revoked key without successor ends the turn within 12 s and says who has to do what', TIMED, async (test) => {
    const { expect, onTestFinished } = test;
    const bench = await openBench(onTestFinished);
    const client = openClient(bench, onTestFinished);
    await client.turn();
    bench.api.acceptOnly();
    const turn = await client.turn();
    expect(turn).toMatchObject({ ok: false, helperCalls: 4 });
    expect(turn.ms).toBeLessThan(15_000);
    expect(turn.words).toMatch(/^broker-key: the API rejects version 1 of "anthropic", .*"vault" has no newer one/);
    expect(turn.words).toMatch(
      /ask whoever issues it to store a new key at secret\/data\/claude \(then: broker refresh anthropic\)/,
    );
    expect(turn.words).toMatch(/allow this key the model you use$/);
    // Nobody is locked out: the same client tries again, another one starts.
    bench.api.acceptOnly(FIRST);
    expect(await client.turn()).toMatchObject({ ok: true, rejected: 1 });
    expect(await openClient(bench, onTestFinished).turn()).toMatchObject({ ok: true, rejected: 0 });
  });

  it(
    'a revoked key ends the turn within 7 s where the API itself says so, and so does its dead successor',
    TIMED,
    async (test) => {
      const { expect, onTestFinished } = test;
      for (const successor of [undefined, SECOND]) {
        const bench = await openBench(onTestFinished, { check: true });
        const client = openClient(bench, onTestFinished);
        await client.turn();
        if (successor !== undefined) bench.store(successor);
        bench.api.acceptOnly();
        const turn = await client.turn();
        expect(turn.ok).toBe(false);
        expect(turn.ms).toBeLessThan(7_000);
        expect(turn.words).toMatch(/^broker-key: the API rejects version \d of "anthropic" in its own words/);
      }
    },
  );

  it('four subagents whose 401s come 2.5 s apart after a rotation all end well', async (test) => {
    const { expect, onTestFinished } = test;
    const bench = await openBench(onTestFinished);
    const client = openClient(bench, onTestFinished);
    await client.turn();
    bench.store(SECOND);
    // What was sent with the old key is answered late; what is sent with the new one at once.
    bench.api.delayMs = ({ model }, apiKey) => (apiKey === FIRST ? 2_500 * Number(model.slice(-1)) : 0);
    bench.api.acceptOnly(SECOND);
    const turn = await client.turn('parallel-0', 'parallel-1', 'parallel-2', 'parallel-3');
    // Some of them meet with a refusal on the way, which ends no good turn.
    expect(turn).toMatchObject({ ok: true });
    expect(await bench.count('rejected')).toEqual({ rejected: 1 });
  });

  it('four subagents whose 401s come at once recover together', async (test) => {
    const { expect, onTestFinished } = test;
    const bench = await openBench(onTestFinished);
    const client = openClient(bench, onTestFinished);
    await client.turn();
    bench.store(SECOND);
    bench.api.acceptOnly(SECOND);
    const turn = await client.turn('one', 'two', 'three', 'four');
    expect(turn).toMatchObject({ ok: true, rejected: 4 });
    expect(await bench.count('rejected', 'strike')).toEqual({ rejected: 1, strike: 0 });
  });

  it('a provider that hangs during a rejection costs 2 s and refuses nothing', TIMED, async (test) => {
    const { expect, onTestFinished } = test;
    const bench = await openBench(onTestFinished);
    const client = openClient(bench, onTestFinished);
    await client.turn();
    const { reached, clear } = bench.vault.faults.plan({ kind: 'hang' }, { path: /secret\/data/ });
    bench.api.acceptOnly();
    void reached.then(() => bench.api.acceptOnly(FIRST));
    const turn = await client.turn();
    clear();
    expect(turn).toMatchObject({ ok: true, rejected: 1, helperCalls: 1 });
    expect(turn.recoveredAfterMs).toBeGreaterThan(2_900);
    expect(turn.recoveredAfterMs).toBeLessThan(5_000);
    expect(await bench.count('rejected', 'refused')).toEqual({ rejected: 0, refused: 0 });
  });

  it('a model that the key may not use ends its turn within 15 s and locks nobody out', TIMED, async (test) => {
    const { expect, onTestFinished } = test;
    const bench = await openBench(onTestFinished);
    const [client, other] = [openClient(bench, onTestFinished), openClient(bench, onTestFinished)];
    await Promise.all([client.turn(), other.turn()]);
    bench.api.forbiddenModels.add('too-good');
    const [turn, meanwhile] = await Promise.all([client.turn('too-good'), other.turn()]);
    expect(turn.ok).toBe(false);
    expect(turn.ms).toBeLessThan(15_000);
    expect(turn.words).toContain('allow this key the model you use');
    expect(meanwhile).toMatchObject({ ok: true, rejected: 0 });
    expect(await client.turn('allowed')).toMatchObject({ ok: true });
    expect(await other.turn()).toMatchObject({ ok: true, rejected: 0 });
    expect(await bench.count('rejected')).toEqual({ rejected: 0 });
  });

  it('runs in one script are clients of their own: none asks early', async (test) => {
    const { expect, onTestFinished } = test;
    const bench = await openBench(onTestFinished);
    const turns = await runScript(bench, 4);
    expect(turns).toMatchObject(Array(4).fill({ ok: true, rejected: 0, helperCalls: 1 }));
    const events = await bench.events();
    expect(new Set(events.filter(({ kind }) => kind === 'served').map(({ detail }) => detail['pid'])).size).toBe(4);
    expect(events.filter(({ kind, detail }) => kind === 'strike' || detail['reason'] === 'rejection')).toEqual([]);
    expect(bench.vault.count(/secret\/data\/claude/)).toBe(1);
  });

  it('past its interval one more request carries the old key, and nothing fails at a rotation', async (test) => {
    const { expect, onTestFinished } = test;
    const bench = await openBench(onTestFinished);
    const client = openClient(bench, onTestFinished, { intervalMs: 0 });
    await client.turn();
    bench.store(SECOND);
    bench.api.acceptedKeys.add(SECOND);
    await bench.home.broker('refresh');
    const before = bench.api.calls.length;
    while (keysSent(bench).at(-1) !== SECOND) expect(await client.turn()).toMatchObject({ ok: true, rejected: 0 });
    expect(keysSent(bench)[before]).toBe(FIRST);
    expect(await bench.count('rejected', 'strike')).toEqual({ rejected: 0, strike: 0 });
  });

  it('a JWT that is nearly over is replaced before the request: nothing fails', async (test) => {
    const { expect, onTestFinished } = test;
    const bench = await openBench(onTestFinished);
    const [old, next] = [jwt(25_000), jwt(3_600_000)];
    bench.store(old);
    bench.api.acceptOnly(old, next);
    const client = openClient(bench, onTestFinished);
    // Once at the start and once more before the first request, for there is no better one yet.
    expect(await client.turn()).toMatchObject({ ok: true, rejected: 0, helperCalls: 2 });
    bench.store(next);
    await bench.home.broker('refresh');
    bench.api.acceptOnly(next);
    expect(await client.turn()).toMatchObject({ ok: true, rejected: 0, helperCalls: 1 });
    expect(await client.turn()).toMatchObject({ ok: true, rejected: 0, helperCalls: 0 });
    expect(keysSent(bench)).toEqual([old, next, next]);
    expect(await bench.count('rejected', 'strike')).toEqual({ rejected: 0, strike: 0 });
  });

  for (const name of WRAPPER_NAMES) {
    it.skipIf(!canWrap(name))(`a helper in a script is judged just the same: ${name}`, async (test) => {
      const { expect, onTestFinished } = test;
      const bench = await openBench(onTestFinished);
      const client = openClient(bench, onTestFinished, { helper: wrapped(bench, name) });
      await client.turn();
      bench.store(SECOND);
      bench.api.acceptOnly(SECOND);
      expect(await client.turn()).toMatchObject({ ok: true, rejected: 1, helperCalls: 1 });
      expect(await bench.count('served', 'rejected')).toEqual({ served: 2, rejected: 1 });
    });
  }
});
