import { beforeAll, describe, expect, it } from 'vitest';
import type { CredentialCheck } from '../../../src/broker/credentials.ts';
import type { CheckAnswer } from '../../../src/providers/api-check.ts';
import { openTestCache, temporaryFolder } from '../../fakes/cache.ts';
import { BrokerHarness, client } from '../../fakes/harness.ts';
import { MINUTE, SECOND } from '../../fakes/living.ts';

const A = { client: client(1) };

const GOOD: CheckAnswer = { word: 'good', seen: 'HTTP 200' };
const REJECTED: CheckAnswer = { word: 'rejected', seen: 'HTTP 401 authentication_error' };
const SILENT: CheckAnswer = { word: 'none', seen: 'HTTP 503' };

/** An API that takes what it is told to, and knows when it was asked about which key. */
class FakeApi {
  readonly asked: { readonly key: string; readonly atMs: number }[] = [];
  judge: (key: string) => CheckAnswer | Promise<CheckAnswer> = () => GOOD;

  check(bench: () => BrokerHarness, fingerprint = 'check'): CredentialCheck {
    return {
      url: 'https://api.example.com/v1/models',
      fingerprint,
      ask: async (key, signal) => {
        const text = key.bytes.toString('latin1');
        this.asked.push({ key: text, atMs: bench().clock.now() });
        const answer = await this.judge(text);
        signal.throwIfAborted();
        return answer;
      },
    };
  }
}

async function checked(arm = true, folder = temporaryFolder()) {
  const api = new FakeApi();
  const bench: BrokerHarness = new BrokerHarness({
    credentials: [{ name: 'anthropic', engine: { kind: 'static' }, check: api.check(() => bench) }],
    cache: await openTestCache(folder),
  });
  const { system } = bench;
  api.judge = (key) => (key === system.place('anthropic')?.value && system.accepts(key) ? GOOD : REJECTED);
  await bench.get('anthropic', A);
  if (arm) expect(await bench.finish(bench.broker.check('anthropic'))).toMatchObject({ word: 'good', armed: true });
  api.asked.length = 0;
  await bench.clock.advance(20 * SECOND);
  return { bench, api, system, folder };
}

// It is loaded on first use, which no fake clock can wait for.
beforeAll(() => import('../../../src/providers/api-check.ts'));

describe('a check', () => {
  it('is armed once it has accepted the key and refused a made-up one of the same form', async () => {
    const { bench, api } = await checked(false);
    const advice = () => bench.broker.status().credentials[0]?.advice.map(({ about }) => about);
    expect(advice()).toEqual(['check']);
    await bench.finish(bench.broker.check('anthropic'));
    const [own, madeUp] = api.asked;
    expect(madeUp?.key).not.toBe(own?.key);
    expect(madeUp?.key.length).toBe(own?.key.length);
    expect(advice()).toEqual([]);
  });

  it.each([
    ['takes any key', GOOD],
    ['does not say that a made-up key is rejected', SILENT],
  ])('that %s is not armed and has no effect', async (_, toMadeUp) => {
    const { bench, api, system } = await checked(false);
    const present = system.place('anthropic')?.value;
    api.judge = (key) => (key === present ? GOOD : toMadeUp);
    expect(await bench.finish(bench.broker.check('anthropic'))).toMatchObject({ word: 'good', armed: false });
    api.asked.length = 0;
    api.judge = () => REJECTED;
    expect((await bench.get('anthropic', A)).state).toBe('fresh');
    expect(api.asked).toEqual([]);
  });

  it('that rejects the key refuses it at once, and lets its successor through', async () => {
    const { bench, system } = await checked();
    system.revokeCurrent('anthropic');
    const refused = await bench.get('anthropic', A);
    expect(refused.error?.exitCode).toBe(77);
    expect(refused.error?.message).toBe('the API rejects version 1 of "anthropic" in its own words');
    const next = system.rotate('anthropic');
    await bench.clock.advance(21 * SECOND);
    expect((await bench.get('anthropic', A)).value).toBe(next);
  });

  it('that rejects the successor as well refuses it before it is served', async () => {
    const { bench, system } = await checked();
    system.revokeCurrent('anthropic');
    system.rotate('anthropic');
    system.revokeCurrent('anthropic');
    expect((await bench.get('anthropic', A)).code).toBe('ERR_KEY_REJECTED');
  });

  it('is asked once in ten seconds about one value, and after a rejection half as often each time', async () => {
    const { bench, api, system } = await checked();
    system.revokeCurrent('anthropic');
    const startedAtMs = bench.clock.now();
    for (let second = 0; second < 300; second += 1) {
      await bench.get('anthropic', A);
      await bench.clock.advance(SECOND);
    }
    const times = api.asked.map(({ atMs }) => Math.round((atMs - startedAtMs) / SECOND));
    expect(times.length).toBeLessThanOrEqual(6);
    expect(times.slice(0, 3).map((at, index) => at - (times[index - 1] ?? at))).toEqual([0, 10, 20]);
  });

  it('that says nothing is no verdict: the provider’s word counts', async () => {
    const { bench, api } = await checked();
    api.judge = () => SILENT;
    expect((await bench.get('anthropic', A)).state).toBe('fresh');
    await bench.clock.advance(5 * SECOND);
    expect((await bench.get('anthropic', A)).error?.message).toContain('provider "vault" has no newer one');
  });

  it('that does not answer costs three seconds in all', async () => {
    const { bench, api } = await checked();
    api.judge = () => new Promise(() => undefined);
    bench.provider().trouble = () => ({ hang: 'honest' });
    expect((await bench.get('anthropic', A)).tookMs).toBe(3 * SECOND);
  });

  it('that accepts the key has it served, until the fourth early ask says what that means', async () => {
    const { bench } = await checked();
    const answers: (string | undefined)[] = [];
    let words: string | undefined;
    for (const pauseMs of [0, 1_200, 1_200, 2_400, 4_600, 9_000]) {
      await bench.clock.advance(pauseMs);
      const told = await bench.get('anthropic', A);
      answers.push(told.code ?? 'served');
      words = told.error?.message;
    }
    expect(answers).toEqual([...Array(3).fill('served'), ...Array(3).fill('ERR_KEY_REJECTED')]);
    expect(words).toContain('the API accepts version 1 of "anthropic", but refuses what the client asks for');
  });

  it('stays armed over a restart, and a rejection does not', async () => {
    const { bench, api, system, folder } = await checked();
    system.revokeCurrent('anthropic');
    await bench.get('anthropic', A);
    bench.crash(await openTestCache(folder));
    api.asked.length = 0;
    api.judge = () => GOOD;
    expect((await bench.get('anthropic', A)).state).toBe('fresh');
    expect(api.asked).toHaveLength(1);
  });

  it('is disarmed by a change of the check or of its source', async () => {
    const { bench, api } = await checked();
    api.judge = () => REJECTED;
    bench.reconfigure([
      { name: 'anthropic', engine: { kind: 'static' }, check: api.check(() => bench, 'another check') },
    ]);
    expect((await bench.get('anthropic', A)).state).toBe('fresh');
    expect(api.asked).toEqual([]);
  });

  it('that answers late says nothing of another value, nor after `broker refresh`', async () => {
    const { bench, api, system } = await checked();
    const { promise, resolve } = Promise.withResolvers<CheckAnswer>();
    api.judge = () => promise;
    const asked = bench.ask('anthropic', A);
    await bench.clock.advance(4 * SECOND);
    expect((await asked).state).toBe('fresh');
    const next = system.rotate('anthropic');
    await bench.finish(bench.broker.refresh('anthropic'));
    api.judge = () => SILENT;
    resolve(REJECTED);
    await bench.clock.advance(MINUTE);
    expect((await bench.get('anthropic', A)).value).toBe(next);
  });
});
