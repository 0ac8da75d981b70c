import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { FailureConcern } from '../../../src/errors.ts';
import { DevVault } from '../../fakes/dev-vault/dev-vault.ts';
import type { Fault } from '../../fakes/dev-vault/faults.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { startForwardProxy } from '../../fakes/forward-proxy.ts';
import { MemoryLoginStore } from '../../fakes/memory-login-store.ts';
import { failure, fields, HOUR_MS, read, VaultFixture } from './vault-fixture.ts';

describe('how long a server asks to be left alone', () => {
  test.each([
    ['7', 7_000],
    ['86400', 86_400_000],
    ['soon', undefined],
  ])('Retry-After: %s', async (header, retryAfterMs) => {
    const fixture = await VaultFixture.start();
    const provider = await fixture.provider();
    fixture.vault.faults.plan({ kind: 'answer', status: 503, headers: { 'retry-after': header } }, { path: /^kv/ });
    const error = await failure(read(provider, 'kv/claude'));
    expect(error).toMatchObject({ kind: 'transient', retryAfterMs });
    expect(error.cause).toBeUndefined();
  });
});

describe('a redirect', () => {
  test.each([301, 302, 303, 307, 308])(
    '%i to another host is not followed, and the token stays here',
    async (status) => {
      const fixture = await VaultFixture.start();
      const other = await VaultFixture.start();
      const provider = await fixture.provider();
      const location = `${other.vault.address}/v1/secret/data/claude`;
      fixture.vault.faults.plan({ kind: 'answer', status, headers: { location } }, { path: /^secret/ });
      const error = await failure(read(provider, 'secret/data/claude'));
      expect(error).toMatchObject({ kind: 'transient' });
      expect(error.message).toContain(`redirects to ${other.vault.address}`);
      expect(other.vault.seen).toEqual([]);
    },
  );

  test('on the same host is followed with method and body kept', async () => {
    const fixture = await VaultFixture.start();
    fixture.vault.engines.role('post', { ttlMs: 60_000, post: true });
    const provider = await fixture.provider();
    const location = '/v1/apikeys/creds/post';
    fixture.vault.faults.plan({ kind: 'answer', status: 307, headers: { location } }, { path: /^apikeys/ });
    const issued = await read(provider, { path: 'apikeys/creds/post', method: 'POST', params: { note: 'kept' } });
    expect(issued.content).toMatchObject({ json: { note: 'kept' } });
    expect(fixture.vault.count(/^POST apikeys/)).toBe(2);
  });

  test('that would turn POST into GET is not followed, nor one in a circle for ever', async () => {
    const fixture = await VaultFixture.start();
    const provider = await fixture.provider();
    const headers = { location: '/v1/kv/claude' };
    fixture.vault.faults.plan({ kind: 'answer', status: 302, headers }, { path: /^kv/, times: 100 });
    expect(await failure(read(provider, { path: 'kv/claude', method: 'POST' }))).toMatchObject({ kind: 'transient' });
    expect(fixture.vault.count(/ kv/)).toBe(1);
    expect(await failure(read(provider, 'kv/claude'))).toMatchObject({ kind: 'transient' });
    expect(fixture.vault.count(/GET kv/)).toBe(4);
  });
});

describe('an address', () => {
  const cases = [
    { address: 'http://nowhere.invalid:8200', message: /(ENOTFOUND|EAI_AGAIN)/ },
    { address: 'unix:///nowhere/vault.sock', message: /no such socket/ },
  ];
  test.each(cases)('$address cannot be reached', async ({ address, message }) => {
    const fixture = await VaultFixture.start();
    const error = await failure(read(await fixture.provider({ options: { address } }), 'kv/claude'));
    expect(error).toMatchObject({ kind: 'transient', exitCode: 69 });
    expect(error.message).toMatch(message);
    expect(error.remedy).toMatch(/\S/);
  });

  test('where nobody listens', async () => {
    const fixture = await VaultFixture.start();
    const { address } = fixture.vault;
    await fixture.vault.stop();
    const error = await failure(read(await fixture.provider({ options: { address } }), 'kv/claude'));
    expect(error).toMatchObject({ kind: 'transient', message: expect.stringContaining('ECONNREFUSED') });
    await fixture.vault.comeUp();
  });

  test('where HTTP is not spoken', async () => {
    const server = createServer((socket) => socket.on('error', () => {}).end('hello\r\n\r\n')).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const fixture = await VaultFixture.start();
    const provider = await fixture.provider({ options: { address: `http://127.0.0.1:${port}` } });
    const error = await failure(read(provider, 'kv/claude'));
    expect(error).toMatchObject({
      kind: 'transient',
      message: expect.stringMatching(/the answer was not HTTP \(HPE_\w+\)$/),
    });
  });

  test('https where plain HTTP is spoken', async () => {
    const fixture = await VaultFixture.start();
    const address = fixture.vault.address.replace('http:', 'https:');
    const error = await failure(read(await fixture.provider({ options: { address } }), 'kv/claude'));
    expect(error.message).toMatch(/does not speak TLS/);
    expect(error.remedy).toMatch(/http or https/);
  });

  test('over plain HTTP is asked through HTTP_PROXY, and past it with NO_PROXY', async () => {
    const fixture = await VaultFixture.start();
    fixture.vault.kv.writeV1('kv/claude', { key: 'sk-proxied' });
    const proxy = await startForwardProxy();
    const env = { HTTP_PROXY: proxy.address };
    const proxied = await read(await fixture.provider({ env }), 'kv/claude');
    expect(proxied.content).toMatchObject({ json: { key: 'sk-proxied' } });
    expect(proxy.asked).toContain(`${fixture.vault.address}/v1/kv/claude`);
    const before = proxy.asked.length;
    await read(await fixture.provider({ env: { ...env, NO_PROXY: '127.0.0.1' } }), 'kv/claude');
    expect(proxy.asked.length).toBe(before);
    const provider = await fixture.provider({ env });
    await fixture.vault.stop();
    const error = await failure(read(provider, 'kv/claude'));
    expect(error).toMatchObject({ kind: 'transient', message: expect.stringContaining('(502)') });
    await fixture.vault.comeUp();
  });

  test('that is a Unix socket works, past every proxy', async () => {
    const folder = await VaultFixture.start();
    const fixture = await VaultFixture.start({ socketPath: `${folder.folder}/vault.sock` });
    fixture.vault.kv.writeV1('kv/claude', { key: 'sk-socket' });
    const env = { HTTP_PROXY: 'http://127.0.0.1:9', HTTPS_PROXY: 'http://127.0.0.1:9' };
    expect((await read(await fixture.provider({ env }), 'kv/claude')).content).toMatchObject({
      json: { key: 'sk-socket' },
    });
  });
});

test('a slow drip ends with the abort, a hang with the time limit', async () => {
  const fixture = await VaultFixture.start();
  const provider = await fixture.provider();
  fixture.vault.kv.writeV1('kv/claude', { key: 'sk' });
  await read(provider, 'kv/claude');
  const dripping = fixture.vault.faults.plan({ kind: 'drip', everyMs: 10 });
  const controller = new AbortController();
  const call = read(provider, 'kv/claude', controller.signal).catch((error: unknown) => error);
  await dripping.reached;
  controller.abort(new Error('enough'));
  // The provider's own limit, 30 s, would say something else.
  expect(await call).toMatchObject({ message: 'enough' });
  fixture.vault.faults.plan({ kind: 'hang' });
  const error = await failure(read(await fixture.provider({ options: { timeout: '300ms' } }), 'kv/claude'));
  expect(error).toMatchObject({ kind: 'transient', message: expect.stringContaining('within 0.3 s') });
});

describe('a login that gets no answer', () => {
  const logins = ({ vault }: VaultFixture) => vault.seen.filter(({ path }) => path.endsWith('/login')).length;

  async function hanging(auth: Readonly<Record<string, unknown>> = {}) {
    const fixture = await VaultFixture.start();
    const clock = new FakeClock();
    fixture.vault.kv.writeV2('secret/claude', { key: 'sk' });
    const role_id = fixture.vault.logins.appRole('broker', { policies: ['reader'] });
    const secret_id_file = await fixture.file('secret-id', fixture.vault.logins.secretId('broker'));
    const options = { auth: { method: 'approle', role_id, secret_id_file, ...auth } };
    const provider = await fixture.provider({ options, clock });
    const hang = fixture.vault.faults.plan({ kind: 'hang' }, { path: /login$/ });
    const call = read(provider, 'secret/data/claude');
    call.catch(() => undefined);
    await hang.reached;
    return { fixture, clock, call };
  }

  test('is sent again after 10 s, over another connection', async () => {
    const { fixture, clock, call } = await hanging();
    const before = logins(fixture);
    await clock.advance(9_999);
    expect(logins(fixture)).toBe(before);
    await clock.advance(1);
    expect(fields(await call)).toEqual({ key: 'sk' });
    expect(logins(fixture)).toBe(before + 1);
  });

  test('is not sent again if its secret-id may be good for one login', async () => {
    const { fixture, clock, call } = await hanging({ remove_secret_id_file: true });
    const before = logins(fixture);
    await clock.advance(30_000);
    expect(await failure(call)).toMatchObject({ kind: 'transient', waitedMs: 30_000 });
    expect(logins(fixture)).toBe(before);
  });
});

test('a development Vault says where it listens', async () => {
  const fixture = await VaultFixture.start();
  expect(fixture.vault).toBeInstanceOf(DevVault);
  expect(fixture.vault.address).toBe(`http://127.0.0.1:${fixture.vault.port}`);
});

describe('what a failure concerns', () => {
  const says = (status: number, errors: readonly string[], headers = {}): Fault => ({
    kind: 'answer',
    status,
    headers,
    body: JSON.stringify({ errors }),
  });

  test('six credentials under a rate limit are each told of their own path, and none of another', async () => {
    const fixture = await VaultFixture.start();
    const provider = await fixture.provider();
    fixture.vault.faults.plan(says(429, ['rate limit quota exceeded'], { 'retry-after': '1' }), {
      times: 6,
      path: /^kv/,
    });
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) {
      expect(await failure(read(provider, `kv/${name}`))).toMatchObject({
        kind: 'transient',
        concerns: 'secret',
        retryAfterMs: 1_000,
        message: expect.stringContaining(`(429 to kv/${name})`),
      });
    }
  });

  test.each<readonly [string, Fault, FailureConcern]>([
    ["an engine's backend", says(502, ['failed to reach the database']), 'secret'],
    ['an error in an engine', says(500, ['1 error occurred: boom']), 'secret'],
    ['a redirect', says(307, [], { location: 'https://elsewhere.example/v1/kv/claude' }), 'secret'],
    ['a denial', says(403, ['permission denied']), 'secret'],
    ["a firewall's page", { kind: 'answer', status: 403, body: '<html>' }, 'secret'],
    ['a seal', says(503, ['Vault is sealed']), 'address'],
    ['a cluster without a leader', says(500, ['local node not active but active cluster node not found']), 'address'],
    ["a load balancer's 502", { kind: 'answer', status: 502, body: '<html>' }, 'address'],
    ['a sign-in page', { kind: 'answer', status: 200, body: '<html>' }, 'address'],
    ['a reset', { kind: 'reset' }, 'address'],
  ])('%s', async (_, fault, concerns) => {
    const fixture = await VaultFixture.start();
    const provider = await fixture.provider();
    fixture.vault.faults.plan(fault, { times: 9, path: /^kv/ });
    const error = await failure(read(provider, 'kv/claude'));
    expect(error.concerns).toBe(concerns);
    // Others may be told of it, and would take a path in it for theirs.
    if (concerns === 'address') expect(error.message).not.toContain('kv/claude');
  });

  test("a gateway's answers in the place of Vault's end no token and no lease", async () => {
    const fixture = await VaultFixture.start();
    fixture.vault.engines.role('hourly', { ttlMs: HOUR_MS, maxTtlMs: 4 * HOUR_MS });
    const provider = await fixture.withAppRole({ ttlMs: HOUR_MS, maxTtlMs: 4 * HOUR_MS });
    const { lease } = await read(provider, 'apikeys/creds/hourly');
    const { id = '', loginId = '' } = lease ?? expect.fail('no lease was issued');
    const held = { id, loginId, issuedAtMs: 0, expiresAtMs: 0, renewable: true, maxExpiresAtMs: undefined };
    const signal = { signal: new AbortController().signal };
    const foreign = [
      says(403, ['Forbidden']),
      says(404, ['no such API']),
      says(200, []),
      says(200, ['login required']),
    ];
    for (const fault of foreign) {
      fixture.vault.faults.plan(fault, { times: 3, path: /^(?:sys|auth)/ });
      const calls = [
        () => provider.renew?.(held, signal),
        () => provider.revoke?.(held, signal),
        () => provider.renewLogin?.(loginId, signal),
      ];
      for (const call of calls) expect(await failure(Promise.resolve(call()))).toMatchObject({ kind: 'transient' });
    }
    expect(provider.login?.(loginId)).toBeDefined();
    await provider.renew?.(held, signal);
    await provider.renewLogin?.(loginId, signal);
  });

  test('whatever a login fails with is about the login, and at its address about that', async () => {
    const fixture = await VaultFixture.start();
    const failed = async (fault: Fault | undefined, auth: object) => {
      const provider = await fixture.provider({ options: { auth }, logins: new MemoryLoginStore() });
      if (fault !== undefined) fixture.vault.faults.plan(fault, { path: /^auth/ });
      return (await failure(read(provider, 'kv/claude'))).concerns;
    };
    const role = { method: 'approle', role_id: 'r' };
    expect(await failed(says(429, ['rate limit quota exceeded']), role)).toBe('login');
    expect(await failed(says(400, ['invalid role or secret ID']), role)).toBe('login');
    expect(await failed(undefined, { ...role, secret_id_file: '~/nowhere' })).toBe('login');
    expect(await failed(undefined, { method: 'token', token_file: '~/nowhere' })).toBe('login');
    expect(await failed(undefined, { method: 'userpass', username: 'ada' })).toBe('login');
    expect(await failed(undefined, { method: 'token', token: 'hvs.over' })).toBe('login');
    expect(await failed(says(503, ['Vault is sealed']), role)).toBe('address');
    expect(await failed({ kind: 'reset' }, role)).toBe('address');
  });
});
