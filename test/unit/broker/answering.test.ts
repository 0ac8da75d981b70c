import { describe, expect, it } from 'vitest';
import { unseen } from '../../../src/platform/attestation.ts';
import { CODEX } from '../../../src/platform/known-clients.ts';
import { openTestCache, temporaryFolder } from '../../fakes/cache.ts';
import { BrokerHarness, client, type HarnessOptions } from '../../fakes/harness.ts';
import { HOUR, MINUTE, SECOND } from '../../fakes/living.ts';
import { failure } from '../../fakes/scripted-provider.ts';

const STATIC = { name: 'anthropic', engine: { kind: 'static' } } as const;
const bench = async (options: Partial<HarnessOptions> = {}) =>
  new BrokerHarness({ credentials: [STATIC], cache: await openTestCache(temporaryFolder()), ...options });

/** Not judged: what these tests ask has nothing to do with rejection. */
const PLAIN = { origin: 'other' } as const;

it('tells the events of one credential, the newest as well as those after an id', async () => {
  const other = { name: 'gateway', engine: { kind: 'static' } } as const;
  const world = await bench({ credentials: [STATIC, other] });
  for (const name of ['anthropic', 'gateway', 'anthropic']) await world.get(name, PLAIN);
  const of = (query: Parameters<typeof world.broker.events>[0]) =>
    world.broker.events(query).map(({ kind, credential }) => `${kind} ${credential}`);
  expect(of({ limit: 10, credential: 'gateway' })).toEqual(['refreshed gateway', 'served gateway']);
  expect(of({ limit: 1, credential: 'gateway' })).toEqual(['served gateway']);
  expect(of({ limit: 1, afterId: 0, credential: 'gateway' })).toEqual(['refreshed gateway']);
  expect(of({ limit: 10, credential: 'nope' })).toEqual([]);
});

describe('allow', () => {
  const refused = unseen('the reason');
  const guarded = () => bench({ credentials: [{ ...STATIC, allow: ['claude-code'] }] });

  it('refuses before anything else: no refresh, no use that would keep one going, no mark', async () => {
    const world = await guarded();
    const told = await world.get('anthropic', { attest: () => refused, saysRejected: true });
    expect(told).toMatchObject({ code: 'ERR_CALLER_REFUSED', tookMs: 0, error: { exitCode: 77 } });
    expect(world.provider().count('issue')).toBe(0);
    expect(world.broker.status().credentials[0]).toMatchObject({ state: 'idle', lastAskedAt: null, timesServed: 0 });
    expect(world.broker.events({ limit: 10 })).toMatchObject([
      { kind: 'caller-refused', credential: 'anthropic', detail: { clause: 'peer', why: 'the reason', client: 0 } },
    ]);
  });

  it('refuses where nothing is known of the caller, and serves whom the facts allow', async () => {
    const world = await guarded();
    expect((await world.get('anthropic')).code).toBe('ERR_CALLER_REFUSED');
    const attest = (allow: readonly string[]) =>
      allow.length === 1 ? ({ allowed: true, client: {}, between: [] } as never) : refused;
    expect((await world.get('anthropic', { attest })).value).toBe(world.system.place('anthropic')?.value);
  });

  it('has no facts read where it is not configured', async () => {
    const world = await bench();
    const attest = () => expect.unreachable();
    expect((await world.get('anthropic', { attest })).value).toBeDefined();
  });

  it('takes effect with a changed configuration, and the key stays', async () => {
    const world = await bench();
    await world.get('anthropic', PLAIN);
    world.reconfigure([{ ...STATIC, allow: ['claude-code'] }]);
    expect((await world.get('anthropic', { attest: () => refused })).code).toBe('ERR_CALLER_REFUSED');
    world.reconfigure([STATIC]);
    expect((await world.get('anthropic', PLAIN)).value).toBeDefined();
    expect(world.provider().count('issue')).toBe(1);
  });
});

describe('single flight', () => {
  it('asks the provider once, however many ask the broker', async () => {
    const world = await bench();
    world.provider().trouble = () => ({ delayMs: SECOND });
    const all = Array.from({ length: 20 }, (_, index) => world.ask('anthropic', { client: client(index) }));
    const told = await world.finish(Promise.all(all));
    expect(new Set(told.map(({ value }) => value)).size).toBe(1);
    expect(world.provider().count('issue')).toBe(1);
  });

  it('reads a secret once for all credentials that live on it', async () => {
    const world = await bench({
      credentials: [
        { ...STATIC, name: 'a', path: 'shared' },
        { ...STATIC, name: 'b', path: 'shared' },
      ],
    });
    world.provider().trouble = () => ({ delayMs: SECOND });
    const told = await world.finish(Promise.all([world.ask('a'), world.ask('b')]));
    expect(told.map(({ value }) => value)).toEqual(Array(2).fill(world.system.place('shared')?.value));
    expect(world.provider().count('issue')).toBe(1);
  });

  it('issues a lease for each credential even if they name the same path', async () => {
    const engine = { kind: 'leased', lastsMs: HOUR } as const;
    const world = await bench({
      credentials: [
        { name: 'a', path: 'creds', engine },
        { name: 'b', path: 'creds', engine },
      ],
    });
    world.provider().trouble = () => ({ delayMs: SECOND });
    const [a, b] = await world.finish(Promise.all([world.ask('a'), world.ask('b')]));
    expect(a?.value).not.toBe(b?.value);
    expect(world.provider().count('issue')).toBe(2);
  });

  it('refreshes a sharer that has a key, and fetches nothing for one that was never asked for', async () => {
    const world = await bench({
      credentials: ['a', 'b', 'c'].map((name) => ({ ...STATIC, name, path: 'shared' })),
    });
    await world.get('a', PLAIN);
    await world.get('b', PLAIN);
    const value = world.system.rotate('shared');
    await world.finish(world.broker.refresh('a'));
    expect((await world.get('b', PLAIN)).value).toBe(value);
    expect(world.broker.status().credentials.map(({ state }) => state)).toEqual(['fresh', 'fresh', 'idle']);
  });
});

describe('a key past its ttl', () => {
  it('is served at once and refreshed behind', async () => {
    const world = await bench({ daemon: { idleAfterMs: SECOND } });
    const { value } = await world.get('anthropic', PLAIN);
    await world.clock.advance(20 * MINUTE);
    const rotated = world.system.rotate('anthropic');
    world.provider().trouble = () => ({ delayMs: 500 });
    expect(await world.get('anthropic', PLAIN)).toMatchObject({ value, state: 'fresh', tookMs: 0 });
    await world.clock.advance(500);
    expect((await world.get('anthropic', PLAIN)).value).toBe(rotated);
  });

  it('makes the answer wait for the provider past twice its ttl', async () => {
    const world = await bench({ daemon: { idleAfterMs: SECOND } });
    await world.get('anthropic', PLAIN);
    await world.clock.advance(30 * MINUTE);
    const rotated = world.system.rotate('anthropic');
    world.provider().trouble = () => ({ delayMs: 500 });
    expect(await world.get('anthropic', PLAIN)).toMatchObject({ value: rotated, tookMs: 500 });
  });
});

describe('waiting', () => {
  it('that ends without an answer still says what went wrong before', async () => {
    const world = await bench();
    let calls = 0;
    world.provider().trouble = () => (calls++ === 0 ? { error: failure.transient() } : { delayMs: 30 * SECOND });
    const told = await world.get('anthropic');
    expect(told.code).toBe('ERR_REFRESH_PENDING');
    expect(told.error?.message).toContain(failure.transient().message);
  });

  it('takes nine seconds at most without a key; the refresh goes on', async () => {
    const world = await bench();
    world.provider().trouble = () => ({ delayMs: 12 * SECOND });
    const told = await world.get('anthropic');
    expect(told).toMatchObject({ code: 'ERR_REFRESH_PENDING', tookMs: 9 * SECOND });
    expect(told.error?.exitCode).toBe(75);
    await world.clock.advance(3 * SECOND);
    expect(await world.get('anthropic')).toMatchObject({ state: 'fresh', tookMs: 0 });
    expect(world.provider().count('issue')).toBe(1);
  });

  it('takes half a second less than the time limit of a client that has a shorter one', async () => {
    const world = await bench();
    world.provider().trouble = () => ({ hang: 'honest' });
    const codex = { ...PLAIN, client: { ...client(1), known: CODEX } };
    expect(await world.get('anthropic', codex)).toMatchObject({ code: 'ERR_REFRESH_PENDING', tookMs: 4_500 });
  });

  it('takes two seconds once with a stale key, then none while the provider hangs or is known to be down', async () => {
    const world = await bench({ daemon: { idleAfterMs: SECOND } });
    const { value } = await world.get('anthropic', PLAIN);
    await world.clock.advance(HOUR);
    world.provider().trouble = () => ({ hang: 'honest' });
    const stale = { value, state: 'stale' };
    expect(await world.get('anthropic', PLAIN)).toMatchObject({ ...stale, tookMs: 2 * SECOND });
    expect(await world.get('anthropic', PLAIN)).toMatchObject({ ...stale, tookMs: 0 });
    await world.clock.advance(40 * SECOND);
    for (let ask = 0; ask < 50; ask += 1) {
      expect(await world.get('anthropic', PLAIN)).toMatchObject({ ...stale, tookMs: 0 });
      await world.clock.advance(7 * SECOND);
    }
  });

  it('is over after nine seconds although a verdict was waited for before', async () => {
    const engine = { kind: 'expires-at', lastsMs: 10 * MINUTE } as const;
    const world = await bench({ credentials: [{ name: 'short', engine }], daemon: { idleAfterMs: SECOND } });
    await world.get('short', { intervalMs: HOUR });
    await world.clock.advance(11 * MINUTE);
    world.provider().trouble = () => ({ hang: 'honest' });
    expect(await world.get('short', { intervalMs: HOUR })).toMatchObject({
      code: 'ERR_REFRESH_PENDING',
      tookMs: 9 * SECOND,
    });
  });

  it('takes two seconds again when nobody has looked at the outage for an hour', async () => {
    const world = await bench({ daemon: { idleAfterMs: SECOND } });
    await world.get('anthropic', PLAIN);
    await world.clock.advance(HOUR);
    world.provider().trouble = () => ({ error: failure.transient() });
    expect((await world.get('anthropic', PLAIN)).state).toBe('stale');
    await world.clock.advance(HOUR);
    const rotated = world.system.rotate('anthropic');
    world.provider().trouble = () => ({ delayMs: SECOND });
    expect(await world.get('anthropic', PLAIN)).toMatchObject({ value: rotated, tookMs: SECOND });
  });

  it('ends when the asker hangs up, and the refresh goes on', async () => {
    const world = await bench();
    world.provider().trouble = () => ({ delayMs: SECOND });
    const controller = new AbortController();
    const reason = new Error('hung up');
    const asked = world.broker.answer({
      at: world.clock.read(),
      credential: 'anthropic',
      intervalMs: 1,
      client: undefined,
      namesInterval: false,
      format: 'raw',
      saysRejected: false,
      mayBeOwn: false,
      origin: () => 'other',
      signal: controller.signal,
    });
    await world.clock.advance(100);
    controller.abort(reason);
    await expect(asked).rejects.toBe(reason);
    await world.clock.advance(900);
    expect(await world.get('anthropic')).toMatchObject({ state: 'fresh', tookMs: 0 });
  });

  it('uses the time that is left for another attempt after a failure that passes', async () => {
    const world = await bench();
    let failures = 0;
    world.provider().trouble = () => (++failures < 3 ? { error: failure.transient() } : {});
    const told = await world.get('anthropic');
    expect(told.state).toBe('fresh');
    expect(told.tookMs).toBeLessThan(9 * SECOND);
    expect(failures).toBe(3);
  });
});

describe('a provider that cannot be asked', () => {
  async function withStaleKey() {
    const world = await bench({ daemon: { idleAfterMs: SECOND } });
    const { value } = await world.get('anthropic', PLAIN);
    await world.clock.advance(HOUR);
    return { world, value };
  }

  it.each([
    ['transient', failure.transient],
    ['login-expired', failure.loginExpired],
  ])('is forgiven a %s failure with a stale key up to max_stale', async (_kind, fail) => {
    const { world, value } = await withStaleKey();
    world.provider().trouble = () => ({ error: fail() });
    expect(await world.get('anthropic', PLAIN)).toMatchObject({ value, state: 'stale', tookMs: 0 });
    await world.clock.advance(23 * HOUR - 1);
    expect(await world.get('anthropic', PLAIN)).toMatchObject({ value, state: 'stale', tookMs: 0 });
    await world.clock.advance(2);
    expect((await world.get('anthropic', PLAIN)).code).toBeDefined();
  });

  it.each([
    ['denied', failure.denied, 'ERR_DENIED'],
    ['gone', failure.gone, 'ERR_GONE'],
  ])('and says %s: somebody was meant to lose the key', async (_kind, fail, code) => {
    const { world } = await withStaleKey();
    world.provider().trouble = () => ({ error: fail() });
    const told = await world.get('anthropic', PLAIN);
    expect(told).toMatchObject({ code, tookMs: 0 });
    expect(told.error?.exitCode).toBe(77);
    expect(world.cache.open('anthropic')).toBeUndefined();
    expect(world.cache.keys()).toEqual([]);
  });

  it('is neither hammered nor covered for when it is misconfigured', async () => {
    const { world } = await withStaleKey();
    world.provider().trouble = () => ({ error: failure.misconfigured() });
    const before = world.provider().count('issue');
    for (let second = 0; second < 10 * 60; second += 1) {
      expect((await world.get('anthropic', PLAIN)).code).toBe('ERR_PROVIDER_MISCONFIGURED');
      await world.clock.advance(SECOND);
    }
    expect(world.provider().count('issue') - before).toBeLessThanOrEqual(10);
    world.provider().trouble = () => ({});
    await world.clock.advance(15 * MINUTE);
    expect((await world.get('anthropic', PLAIN)).state).toBe('fresh');
  });

  it('is asked for a denied credential by those who ask, from ten seconds on ever more rarely, to two minutes', async () => {
    const { world } = await withStaleKey();
    world.provider().trouble = () => ({ error: failure.denied() });
    const before = world.provider().count('issue');
    for (let second = 0; second < 20 * 60; second += 1) {
      await world.get('anthropic', PLAIN);
      await world.clock.advance(SECOND);
    }
    expect(world.provider().count('issue') - before).toBe(13);
  });
});

describe('a login that was mended', () => {
  it('takes effect at once: the hold-off is cleared and the login forgotten', async () => {
    const world = await bench();
    const provider = world.provider();
    provider.inputs = ['/token'];
    world.files.set('/token', 'old');
    provider.trouble = () => ({ error: failure.loginExpired() });
    expect((await world.get('anthropic')).code).toBe('ERR_LOGIN_EXPIRED');
    expect((await world.get('anthropic')).tookMs).toBe(0);
    provider.trouble = () => ({});
    expect((await world.get('anthropic')).code).toBe('ERR_LOGIN_EXPIRED');
    world.files.set('/token', 'new');
    expect(await world.get('anthropic')).toMatchObject({ state: 'fresh', tookMs: 0 });
    expect(provider.forgotten).toBe(1);
  });

  it('is noticed although the file changed while the failing login was still under way', async () => {
    const world = await bench();
    const provider = world.provider();
    provider.inputs = ['/token'];
    world.files.set('/token', 'old');
    provider.trouble = () => ({ delayMs: SECOND, error: failure.loginExpired() });
    const asked = world.ask('anthropic');
    await world.clock.advance(500);
    world.files.set('/token', 'new');
    expect((await world.finish(asked)).code).toBe('ERR_LOGIN_EXPIRED');
    provider.trouble = () => ({});
    expect(await world.get('anthropic')).toMatchObject({ state: 'fresh', tookMs: 0 });
  });

  it('helps every credential of that provider', async () => {
    const world = await bench({
      credentials: [STATIC, { ...STATIC, name: 'gateway' }],
    });
    const provider = world.provider();
    provider.inputs = ['/token'];
    provider.trouble = () => ({ error: failure.denied() });
    await world.get('anthropic');
    await world.get('gateway');
    provider.trouble = () => ({});
    world.files.set('/token', 'new');
    await world.get('anthropic');
    await world.clock.advance(5 * SECOND);
    expect(world.broker.status().credentials.map(({ state }) => state)).toEqual(['fresh', 'fresh']);
  });
});

describe('the provider grants less than a client wants', () => {
  it('the key is served without waiting or issuing until half its life, and the status says what to set', async () => {
    const engine = { kind: 'leased', lastsMs: 6 * MINUTE } as const;
    const world = await bench({ credentials: [{ name: 'short', engine }] });
    await world.get('short', PLAIN);
    for (let second = 0; second < 170; second += 10) {
      expect(await world.get('short', PLAIN)).toMatchObject({ state: 'fresh', tookMs: 0 });
      await world.clock.advance(10 * SECOND);
    }
    expect(world.provider().count('issue')).toBe(1);
    expect(world.broker.status().credentials[0]?.advice).toEqual([
      expect.objectContaining({ about: 'interval', remedy: 'set CLAUDE_CODE_API_KEY_HELPER_TTL_MS=60000' }),
    ]);
  });
});

describe('a key that is stored but cannot be opened', () => {
  it('is as if it were not there', async () => {
    const world = await bench();
    const { value } = await world.get('anthropic');
    world.cache.remove('anthropic');
    expect((await world.get('anthropic', PLAIN)).value).toBe(value);
    expect(world.provider().count('issue')).toBe(2);
  });

  it('is not fetched for ever', async () => {
    const cache = await openTestCache(temporaryFolder());
    cache.open = () => undefined;
    const world = await bench({ cache });
    expect((await world.get('anthropic', PLAIN)).code).toBeDefined();
    expect(world.provider().count('issue')).toBeLessThanOrEqual(2);
  });
});

describe('unknown names', () => {
  it('are refused with the names there are', async () => {
    const told = await (await bench()).get('typo');
    expect(told.code).toBe('ERR_UNKNOWN_CREDENTIAL');
    expect(told.error?.remedy).toContain('anthropic');
  });
});
