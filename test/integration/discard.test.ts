import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientBench, FIRST, SECOND } from '../fakes/client-bench.ts';
import { ClientDouble } from '../fakes/client-double.ts';

let bench: ClientBench;
let client: ClientDouble;

/** A daemon that runs without the key that sealed its database, and a client that had its key from it. */
beforeEach(async () => {
  bench = await ClientBench.start();
  client = new ClientDouble(bench);
  await bench.home.key();
  await bench.kill();
  rmSync(join(bench.home.stateDir, 'kek'));
  await bench.restart();
  await client.turn();
});

afterEach(async () => {
  await client.close();
  await bench.close();
});

const discard = async () =>
  expect(await bench.home.broker('rotate-key', '--discard')).toMatchObject({ code: 0, stderr: '' });

/** The API answers one request with 401 whatever it carries, and those behind it by their key. */
function rejectOnce(key: string): () => readonly string[] {
  const before = bench.api.calls.length;
  let seen = 0;
  bench.api.acceptOnly();
  bench.api.delayMs = () => {
    seen += 1;
    if (seen === 2) bench.api.acceptOnly(key);
    return 0;
  };
  return () => bench.api.calls.slice(before).map(({ apiKey }) => apiKey);
}

describe('rotate-key --discard while the daemon runs', () => {
  it('the key in hand is served on without asking the provider, also by the next daemon', async () => {
    const reads = bench.vault.count(/secret\/data\/claude/);
    await discard();
    expect((await bench.home.key()).stdout).toBe(`${FIRST}\n`);
    await bench.kill();
    await bench.vault.stop();
    await bench.restart();
    expect((await bench.home.key()).stdout).toBe(`${FIRST}\n`);
    expect(bench.vault.count(/secret\/data\/claude/)).toBe(reads);
    await bench.vault.comeUp();
  });

  it('the same value is no other one because it is digested anew: nothing is taken for a rotation', async () => {
    await discard();
    const calls = rejectOnce(FIRST);
    expect(await client.turn()).toMatchObject({ ok: true, rejected: 1 });
    expect(calls()).toEqual([FIRST, FIRST]);
    expect(await bench.count('rejected')).toEqual({ rejected: 0 });
    expect((await bench.events('refreshed')).map(({ detail }) => detail['reason'])).not.toContain('rejection');
  });

  it('a value that was rejected before stays rejected', async () => {
    bench.store(SECOND);
    bench.api.acceptOnly(SECOND);
    expect(await client.turn()).toMatchObject({ ok: true, rejected: 1 });
    await discard();
    await bench.home.key();
    // Somebody rolls the secret back to the dead key.
    bench.store(FIRST);
    for (const round of [1, 2]) {
      const calls = rejectOnce(SECOND);
      expect(await client.turn(), `round ${round}`).toMatchObject({ ok: true, rejected: 1 });
      expect(calls()).toEqual([SECOND, SECOND]);
    }
  });
});
