import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TurnRequest } from '../../src/demo/client-double.ts';
import type { TurnReport } from '../../src/demo/client-turn.ts';
import { MockApi } from '../../src/demo/demo.ts';
import { helperPath } from '../../src/platform/native.ts';
import { type Bench, configOf, preparedHome, Server } from '../lab.ts';
import type { Section } from '../results.ts';
import { recoveryWithCache, TURN_FAILS_AFTER_S } from '../retry-schedule.ts';
import { median, summarize } from '../statistics.ts';

const DOUBLE = path.join(import.meta.dirname, '..', '..', 'src', 'demo', 'client-double.ts');
/** Of the file caches that people publish. */
const SCRIPT_TTLS_S = [300, 900, 3_600] as const;

/** Section 6: the key is rotated and the old one refused; how long until a request is good again? */
export async function measureRejection(bench: Bench): Promise<Section> {
  const turns = bench.effort.quick ? 2 : 8;
  const home = preparedHome(bench.folder);
  home.configure(configOf(path.join(bench.folder, 'key')) + ownCredentials(bench, turns));
  const daemon = await Server.daemon(home);
  const api = new MockApi();
  const address = await api.start();
  const recoveries: number[] = [];
  try {
    for (let turn = 0; turn < turns; turn++) {
      bench.say(`rejection: turn ${turn + 1} of ${turns}`);
      const [before, after] = [`sk-before-${turn}`, `sk-after-${turn}`];
      const store = (key: string) => writeFileSync(keyFile(bench, turn), key);
      store(before);
      const client = startDouble(home.env, `'${helperPath()}' turn-${turn}`, address);
      api.acceptedKey = before;
      await takeTurn(client);
      store(after);
      api.acceptedKey = after;
      const { ok, recoveredAfterMs, words } = await takeTurn(client);
      if (!ok || recoveredAfterMs === undefined) throw new Error(`the client double did not recover: ${words}`);
      recoveries.push(recoveredAfterMs / 1000);
      client.disconnect();
    }
    return describe(recoveries);
  } finally {
    api.stop();
    await daemon.end();
    await home.close();
  }
}

/** One for every turn: about the same one the provider is asked only every ten seconds. */
function ownCredentials(bench: Bench, turns: number): string {
  const credential = (turn: number) =>
    `[credentials.turn-${turn}]\nprovider = "own"\ncommand = ["/bin/cat", ${JSON.stringify(keyFile(bench, turn))}]\n`;
  return Array.from({ length: turns }, (_, turn) => credential(turn)).join('');
}

function keyFile({ folder }: Bench, turn: number): string {
  return path.join(folder, `key-${turn}`);
}

/** The broker tells clients by their processes: this one has the name of the real one. */
function startDouble(env: Readonly<Record<string, string>>, helper: string, api: string): ChildProcess {
  return spawn(process.execPath, [DOUBLE, helper, api], {
    argv0: 'claude',
    env: { ...env, CLAUDE_CODE_ENTRYPOINT: 'cli' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
}

async function takeTurn(client: ChildProcess): Promise<TurnReport> {
  client.send({ models: ['double'] } satisfies TurnRequest);
  const [report] = (await once(client, 'message')) as [TurnReport];
  return report;
}

/** A rotation comes at any moment of the cached key's life. */
function withScript(ttlSeconds: number): { readonly failing: number; readonly typical: number } {
  const moments = Array.from({ length: 1_000 }, (_, index) => recoveryWithCache(((index + 0.5) / 1_000) * ttlSeconds));
  const failing = moments.filter((moment) => moment === undefined).length / moments.length;
  return { failing, typical: median(moments.map((moment) => moment ?? TURN_FAILS_AFTER_S)) };
}

function describe(recoveries: readonly number[]): Section {
  const { p50 } = summarize(recoveries);
  const slowest = Math.max(...recoveries);
  return {
    title: '6. Rejection to recovery',
    words: [
      'A key is rotated in the middle of a session and the API refuses the old one. Measured with a double of the client that waits 1.1 s after a 401 and runs its helper again, as the real one was seen to do. What a cache in a file does is calculated from the times at which the real client was seen to try again. With the real client: docs/claude-client.md.',
    ],
    tables: [
      {
        heads: ['', 'seconds from the 401 to the next good answer', 'turns that fail'],
        rows: [
          ['broker', `${p50.toFixed(2)} (slowest of ${recoveries.length}: ${slowest.toFixed(2)})`, '0 %'],
          ...SCRIPT_TTLS_S.map((ttl) => {
            const { failing, typical } = withScript(ttl);
            return [`file cache of ${ttl} s`, `${typical.toFixed(0)} (median)`, `${(failing * 100).toFixed(0)} %`];
          }),
        ],
      },
    ],
    targets: [],
    plots: [],
    ratios: {
      'rejection.recovery': { value: p50 / withScript(SCRIPT_TTLS_S[0]).typical, better: 'lower' },
    },
    figures: { recoveries },
  };
}
