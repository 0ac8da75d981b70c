import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ClientBench, FIRST, SECOND } from '../fakes/client-bench.ts';
import { type ClientOptions, RealClient, runOnce, type Turn } from './real-client.ts';

/** What the table in docs/claude-client.md shows of a turn. */
export interface Outcome extends Turn {
  /** Requests that were answered with 401 or 403. */
  readonly refused: number;
  /** From the first of them to the first good answer, or to the end of the turn if there was none. */
  readonly afterRefusalMs: number | undefined;
}

/** Shorter than anybody would set it, so that a test sees an interval end; under 5 s nothing is judged. */
const SHORT_INTERVAL: ClientOptions = { env: { CLAUDE_CODE_API_KEY_HELPER_TTL_MS: '1000' } };
const SHORT_INTERVAL_MS = 1_000;

/** `claude -p` from a cold start. */
export function oneTurn(bench: ClientBench, options?: ClientOptions): Promise<Outcome> {
  return observed(bench, () => runOnce(bench, options));
}

/** The API takes both keys for a while; the session's next helper call brings the new one. Turns in their order. */
export function rotated(bench: ClientBench): Promise<readonly Outcome[]> {
  return withSession(bench, SHORT_INTERVAL, async (turn) => {
    const turns = [await turn()];
    bench.store(SECOND);
    bench.api.acceptedKeys.add(SECOND);
    await bench.home.broker('refresh');
    // The first turn after the interval still goes out with the old key; the helper runs behind it.
    for (let count = 0; count < 2; count += 1) {
      await pass(SHORT_INTERVAL_MS);
      turns.push(await turn());
    }
    return turns;
  });
}

/** Three turns of a session, more than a second apart. */
export function unhurried(bench: ClientBench, options: ClientOptions): Promise<readonly Outcome[]> {
  return withSession(bench, options, async (turn) => {
    const turns = [await turn()];
    for (let count = 0; count < 2; count += 1) {
      await pass(SHORT_INTERVAL_MS);
      turns.push(await turn());
    }
    return turns;
  });
}

/** In the middle of a session, and the successor is in Vault. */
export function revokedWithSuccessor(bench: ClientBench, options?: ClientOptions): Promise<Outcome> {
  return withSession(bench, options, async (turn) => {
    await turn();
    bench.store(SECOND);
    bench.api.acceptOnly(SECOND);
    return await turn();
  });
}

/** In the middle of a session, and Vault has nothing newer. */
export function revokedWithoutSuccessor(bench: ClientBench, options?: ClientOptions): Promise<Outcome> {
  return withSession(bench, options, async (turn) => {
    await turn();
    bench.api.acceptOnly();
    return await turn();
  });
}

/** What came after the revoked key is dead too: another one in Vault, but the API takes neither. */
export function revokedWithDeadSuccessor(bench: ClientBench): Promise<Outcome> {
  return withSession(bench, undefined, async (turn) => {
    await turn();
    bench.store(SECOND);
    bench.api.acceptOnly();
    return await turn();
  });
}

/** Its helper runs without any environment but the socket: only the kernel says whose call it is. */
export function withoutEnvironment(bench: ClientBench): ClientOptions {
  return { helper: `env -i BROKER_SOCKET=${bench.home.socket} ${bench.helper}` };
}

/** A click on "don't ask again", ten times: each makes the session drop its key. Turns in their order. */
export function settingsEdited(bench: ClientBench, everyMs = EDIT_NOTICED_MS): Promise<readonly Outcome[]> {
  return withSession(bench, undefined, async (turn) => {
    const turns = [await turn()];
    for (let edit = 1; edit <= 10; edit += 1) {
      writeLocalSettings(bench, edit);
      await pass(everyMs);
      turns.push(await turn());
    }
    return turns;
  });
}

/** Rotated, and rolled back when both keys were given out, with an edit before each turn. */
export function rolledBackWithEdits(bench: ClientBench): Promise<readonly Outcome[]> {
  return withSession(bench, undefined, async (turn) => {
    const turns = [await turn()];
    for (const [edit, key] of [SECOND, FIRST].entries()) {
      bench.store(key);
      bench.api.acceptOnly(key);
      writeLocalSettings(bench, edit);
      await pass(READ_GAP_MS);
      turns.push(await turn());
    }
    return turns;
  });
}

/** The key is revoked, and Vault cannot be asked; the session has gone on for a moment. */
export function revokedAndProviderDown(bench: ClientBench): Promise<Outcome> {
  return withSession(bench, undefined, async (turn) => {
    await turn();
    await pass(KNOWN_VALUE_MS);
    bench.api.acceptOnly();
    await bench.vault.stop();
    try {
      return await turn();
    } finally {
      await bench.vault.comeUp();
    }
  });
}

/** The daemon is killed and started again between the last good answer and the first refused request. */
export function revokedInARestart(bench: ClientBench): Promise<Outcome> {
  return withSession(bench, undefined, async (turn) => {
    await turn();
    await pass(EVENTS_WRITTEN_MS);
    await bench.kill();
    await bench.restart();
    bench.api.acceptOnly();
    return await turn();
  });
}

/** When the requests of four subagents and of the conversation that started them, all with the same key, are answered. */
const LATE_MS = [1_000, 2_000, 3_000, 5_000, 7_000] as const;

/** The key is revoked while all of these wait for their answers, and the successor, if any, is in Vault. */
export function revokedUnderSubagents(bench: ClientBench, successor?: string): Promise<Outcome> {
  let underWay: number | undefined;
  bench.api.delayMs = (_, apiKey) => (underWay !== undefined && apiKey === FIRST ? (LATE_MS[underWay++] ?? 0) : 0);
  bench.api.reply = () => {
    if (underWay !== undefined) return [{ type: 'text', text: 'done' }];
    underWay = 0;
    if (successor !== undefined) bench.store(successor);
    bench.api.acceptOnly(...(successor === undefined ? [] : [successor]));
    return [1, 2, 3, 4].map((index) => ({
      type: 'tool_use',
      id: `toolu_${index}`,
      name: 'Task',
      input: { description: 'some work', prompt: `work ${index}`, subagent_type: 'general-purpose' },
    }));
  };
  return oneTurn(bench);
}

/** The key is good, but not for the model of this session. */
export function forbiddenModel(bench: ClientBench, options?: ClientOptions): Promise<Outcome> {
  const model = 'claude-forbidden-1';
  bench.api.forbiddenModels.add(model);
  return oneTurn(bench, { ...options, args: ['--model', model] });
}

/** A helper that keeps a key for its ttl, in the middle of it: what Vault holds by now changes nothing. */
export function plainCache(bench: ClientBench): ClientOptions {
  return { helper: bench.script('plain-ttl-cache', `#!/bin/sh\necho ${FIRST}\n`) };
}

/** The key was fetched in an earlier session. */
export async function providerDown(bench: ClientBench): Promise<Outcome> {
  await oneTurn(bench);
  await bench.vault.stop();
  try {
    return await oneTurn(bench);
  } finally {
    await bench.vault.comeUp();
  }
}

/** Killed between two turns of a session and started again, with the helper called in every turn. */
export function daemonRestarted(bench: ClientBench): Promise<Outcome> {
  return withSession(bench, SHORT_INTERVAL, async (turn) => {
    await turn();
    await bench.kill();
    await bench.restart();
    await pass(SHORT_INTERVAL_MS);
    await turn();
    return await turn();
  });
}

/** The client watches its settings, and looks at a change a moment after it was made. */
const EDIT_NOTICED_MS = 3_000;
/** What a client has had for less may have replaced the value that was refused. */
const KNOWN_VALUE_MS = 15_000;
/** Suspicions have the provider asked ten seconds apart. */
const READ_GAP_MS = 10_000;
/** The daemon writes down whom it served together with its events. */
const EVENTS_WRITTEN_MS = 1_500;

function writeLocalSettings(bench: ClientBench, edit: number): void {
  const folder = join(bench.home.folder, 'project', '.claude');
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'settings.local.json'),
    JSON.stringify({ permissions: { allow: [`Bash(true ${edit})`] } }),
  );
}

export async function withSession<Result>(
  bench: ClientBench,
  options: ClientOptions | undefined,
  story: (turn: () => Promise<Outcome>) => Promise<Result>,
): Promise<Result> {
  const client = RealClient.open(bench, options);
  try {
    return await story(() => observed(bench, () => client.turn()));
  } finally {
    await client.close();
  }
}

async function observed(bench: ClientBench, takeTurn: () => Promise<Turn>): Promise<Outcome> {
  const startedMs = performance.now();
  const turn = await takeTurn();
  const calls = bench.api.calls.filter(({ atMs }) => atMs >= startedMs);
  const refused = calls.filter(({ status }) => status !== 200);
  const [first] = refused;
  if (first === undefined) return { ...turn, refused: 0, afterRefusalMs: undefined };
  const good = calls.find(({ atMs, status }) => atMs > first.atMs && status === 200);
  return { ...turn, refused: refused.length, afterRefusalMs: (good?.atMs ?? startedMs + turn.ms) - first.atMs };
}

/** The client's interval really has to pass: it lives in another process, on its own clock. */
export function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms + 50));
}
