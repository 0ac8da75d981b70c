import { describe } from 'vitest';
import { type ClientBench, FIRST, SECOND } from '../fakes/client-bench.ts';
import { openBench } from './open-bench.ts';
import * as scenarios from './scenarios.ts';

const keysSent = (bench: ClientBench) => bench.api.calls.map(({ apiKey }) => apiKey);

describe.concurrent('the real client', (it) => {
  it('takes a turn with one helper call and sends the key in both headers', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    expect(await scenarios.oneTurn(bench)).toMatchObject({ ok: true, words: 'pong\n', refused: 0 });
    expect(bench.api.calls).toMatchObject([{ apiKey: FIRST, authorization: `Bearer ${FIRST}` }]);
    expect(await bench.count('served', 'refreshed', 'strike')).toEqual({ served: 1, refreshed: 1, strike: 0 });
  });

  it('takes its key from --settings with --bare', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    expect(await scenarios.oneTurn(bench, { settings: 'bare' })).toMatchObject({ ok: true, refused: 0 });
    expect(keysSent(bench)).toEqual([FIRST]);
    expect(await bench.count('served')).toEqual({ served: 1 });
  });

  it('goes over to a rotated key without a failed request', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    const turns = await scenarios.rotated(bench);
    expect(turns.map(({ ok, refused }) => [ok, refused])).toEqual(turns.map(() => [true, 0]));
    expect(keysSent(bench)).toEqual([FIRST, FIRST, SECOND]);
    expect(await bench.count('rejected', 'strike')).toEqual({ rejected: 0, strike: 0 });
  });

  it('survives the revocation of its key within 2 s of one failed request if a successor is in Vault', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    const turn = await scenarios.revokedWithSuccessor(bench);
    expect(turn).toMatchObject({ ok: true, words: 'pong', refused: 1 });
    expect(turn.afterRefusalMs).toBeLessThan(2_000);
    expect(keysSent(bench)).toEqual([FIRST, FIRST, SECOND]);
    expect(await bench.count('served', 'rejected', 'strike')).toEqual({ served: 2, rejected: 1, strike: 0 });
  });

  it('ends its turn within 15 s of a revocation without successor, in words that help', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    const turn = await scenarios.revokedWithoutSuccessor(bench);
    expect(turn.ok).toBe(false);
    expect(turn.afterRefusalMs).toBeLessThan(15_000);
    expect(turn.words).toContain('the API rejects version 1 of "anthropic", and provider "vault" has no newer one');
    expect(turn.words).toMatch(/ask whoever issues it to store a new key at .*secret\/data\/claude/);
    expect(turn.words).toContain('allow this key the model you use');
    expect(turn.words).not.toContain(FIRST);
    expect(await bench.count('served', 'strike', 'refused')).toEqual({ served: 2, strike: 2, refused: 3 });
  });

  it('ends the turn of a model that the key may not use, and only that one', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    const [forbidden, other] = await Promise.all([
      scenarios.forbiddenModel(bench),
      scenarios.withSession(bench, undefined, async (turn) => [await turn(), await turn()]),
    ]);
    expect(forbidden.ok).toBe(false);
    expect(forbidden.afterRefusalMs).toBeLessThan(15_000);
    expect(forbidden.words).toContain('allow this key the model you use');
    expect(other).toMatchObject([{ ok: true }, { ok: true }]);
    expect(await scenarios.oneTurn(bench)).toMatchObject({ ok: true, refused: 0 });
    expect(await bench.count('rejected')).toEqual({ rejected: 0 });
  });

  it('is served from the cache while the provider is down', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    expect(await scenarios.providerDown(bench)).toMatchObject({ ok: true, refused: 0 });
    expect(await bench.count('served', 'refreshed')).toEqual({ served: 2, refreshed: 1 });
  });

  it('does not notice that the daemon was killed and started again between two turns', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    expect(await scenarios.daemonRestarted(bench)).toMatchObject({ ok: true, refused: 0 });
    expect(keysSent(bench)).toEqual([FIRST, FIRST, FIRST]);
    expect(bench.vault.count(/secret\/data\/claude/)).toBe(1);
    expect(await bench.count('strike')).toEqual({ strike: 0 });
  });
});
