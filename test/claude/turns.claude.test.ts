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

  it.for(['0', '1000', '60000', '3600000'])(
    'survives the revocation of its key at an interval of %s ms if a successor is in Vault',
    async (intervalMs, context) => {
      const { expect } = context;
      const bench = await openBench(context.onTestFinished);
      const env = { CLAUDE_CODE_API_KEY_HELPER_TTL_MS: intervalMs };
      const turn = await scenarios.revokedWithSuccessor(bench, { env });
      expect(turn).toMatchObject({ ok: true, words: 'pong' });
      // At intervals under 10 s no call is early: the provider is asked when the last confirmation is 30 s old.
      expect(turn.afterRefusalMs).toBeLessThan(Number(intervalMs) < 10_000 ? 45_000 : 2_000);
    },
  );

  it.for([
    ['5m', 'short'],
    ['1e3', 'short'],
    [' 1,000 ms', 'short'],
    ['300_000', 'long'],
    ['3e5', 'long'],
    ['five minutes', 'long'],
  ] as const)('asks no earlier than its interval of %j, as the broker reads it', async ([interval, kind], context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    const env = { CLAUDE_CODE_API_KEY_HELPER_TTL_MS: interval };
    expect(await scenarios.unhurried(bench, { env })).toMatchObject([{ ok: true }, { ok: true }, { ok: true }]);
    const { served, ...judged } = await bench.count('served', 'strike', 'refused');
    expect(served > 1).toBe(kind === 'short');
    expect(judged).toEqual({ strike: 0, refused: 0 });
  });

  it('ends its turn within 12 s of a revocation without successor, in words that help', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    const turn = await scenarios.revokedWithoutSuccessor(bench);
    expect(turn.ok).toBe(false);
    expect(turn.afterRefusalMs).toBeLessThan(12_000);
    expect(turn.words).toContain('the API rejects version 1 of "anthropic", and provider "vault" has no newer one');
    expect(turn.words).toMatch(
      /ask whoever issues it to store a new key at .*secret\/data\/claude \(then: broker refresh anthropic\)/,
    );
    expect(turn.words).toContain('allow this key the model you use');
    expect(turn.words).not.toContain(FIRST);
    expect(await bench.count('served', 'strike', 'refused')).toEqual({ served: 2, strike: 4, refused: 3 });
  });

  it('ends its turn within 12 s of a revocation although its helper runs without an environment', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    const turn = await scenarios.revokedWithoutSuccessor(bench, scenarios.withoutEnvironment(bench));
    expect(turn.ok).toBe(false);
    expect(turn.afterRefusalMs).toBeLessThan(12_000);
  });

  it('ends its turn within 12 s of a revocation although the daemon was killed and started again', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    const turn = await scenarios.revokedInARestart(bench);
    expect(turn.ok).toBe(false);
    expect(turn.afterRefusalMs).toBeLessThan(12_000);
  });

  it('ends its turn within 22 s if the successor is dead too', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    const turn = await scenarios.revokedWithDeadSuccessor(bench);
    expect(turn.ok).toBe(false);
    expect(turn.afterRefusalMs).toBeLessThan(22_000);
  });

  it('ends its turn within 7 s where the API itself says that the key is dead, and its successor', async (context) => {
    const { expect } = context;
    for (const story of [scenarios.revokedWithoutSuccessor, scenarios.revokedWithDeadSuccessor]) {
      const bench = await openBench(context.onTestFinished, { check: true });
      const turn = await story(bench);
      expect(turn.ok).toBe(false);
      expect(turn.afterRefusalMs).toBeLessThan(7_000);
      expect(turn.words).toContain('in its own words');
    }
  });

  it('ends its turn with both facts if the key is revoked and Vault is down', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    const turn = await scenarios.revokedAndProviderDown(bench);
    expect(turn.ok).toBe(false);
    expect(turn.words).toContain('as after a 401, and provider "vault" cannot say whether there is a newer key');
  });

  it('does not notice ten edits of its settings', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    const turns = await scenarios.settingsEdited(bench);
    expect(turns.map(({ ok, refused }) => [ok, refused])).toEqual(turns.map(() => [true, 0]));
    expect(await bench.count('strike', 'refused', 'rejected')).toEqual({ strike: 0, refused: 0, rejected: 0 });
    expect((await bench.count('explained'))['explained']).toBeGreaterThan(5);
    expect(bench.vault.count(/secret\/data\/claude/)).toBe(1);
  });

  it('goes on with its subagents, all refused late with the old key, if a successor is in Vault', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    const turn = await scenarios.revokedUnderSubagents(bench, SECOND);
    expect(turn.ok).toBe(true);
    expect(turn.afterRefusalMs).toBeLessThan(5_000);
    // Each of the five requests under way is refused once; no agent has to stop.
    expect(bench.api.calls.filter(({ apiKey, status }) => apiKey === FIRST && status === 401)).toHaveLength(5);
    expect(bench.api.calls.filter(({ apiKey, status }) => apiKey === SECOND && status === 200).length).toBeGreaterThan(
      4,
    );
  });

  it('survives a rotation and the roll-back with edits of its settings in between', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    const turns = await scenarios.rolledBackWithEdits(bench);
    expect(turns.map(({ ok }) => ok)).toEqual([true, true, true]);
    expect(keysSent(bench).at(-1)).toBe(FIRST);
  });

  it('ends the turn of a model that the key may not use, and only that one', async (context) => {
    const { expect } = context;
    const bench = await openBench(context.onTestFinished);
    const [forbidden, other] = await Promise.all([
      scenarios.forbiddenModel(bench),
      scenarios.withSession(bench, undefined, async (turn) => [await turn(), await turn()]),
    ]);
    expect(forbidden.ok).toBe(false);
    expect(forbidden.afterRefusalMs).toBeLessThan(12_000);
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
    // After an unclean end the stored key is served at once, and confirmed behind the answer.
    await expect.poll(() => bench.count('confirmed', 'strike')).toEqual({ confirmed: 1, strike: 0 });
    expect(bench.vault.count(/secret\/data\/claude/)).toBe(2);
  });
});
