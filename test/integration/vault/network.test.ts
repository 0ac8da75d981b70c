import { describe, expect, test } from 'vitest';
import { DevVault } from '../../fakes/dev-vault/dev-vault.ts';
import { startForwardProxy } from '../../fakes/forward-proxy.ts';
import { failure, read, VaultBench } from './vault-bench.ts';

describe('how long a server asks to be left alone', () => {
  test.each([
    ['7', 7_000],
    ['86400', 86_400_000],
    ['soon', undefined],
  ])('Retry-After: %s', async (header, retryAfterMs) => {
    const bench = await VaultBench.start();
    const provider = await bench.provider();
    bench.vault.faults.plan({ kind: 'answer', status: 503, headers: { 'retry-after': header } }, { path: /^kv/ });
    const error = await failure(read(provider, 'kv/claude'));
    expect(error).toMatchObject({ kind: 'transient', retryAfterMs });
    expect(error.cause).toBeUndefined();
  });
});

describe('a redirect', () => {
  test.each([301, 302, 303, 307, 308])(
    '%i to another host is not followed, and the token stays here',
    async (status) => {
      const bench = await VaultBench.start();
      const other = await VaultBench.start();
      const provider = await bench.provider();
      const location = `${other.vault.address}/v1/secret/data/claude`;
      bench.vault.faults.plan({ kind: 'answer', status, headers: { location } }, { path: /^secret/ });
      const error = await failure(read(provider, 'secret/data/claude'));
      expect(error).toMatchObject({ kind: 'transient' });
      expect(error.message).toContain(`redirects to ${other.vault.address}`);
      expect(other.vault.seen).toEqual([]);
    },
  );

  test('on the same host is followed with method and body kept', async () => {
    const bench = await VaultBench.start();
    bench.vault.engines.role('post', { ttlMs: 60_000, post: true });
    const provider = await bench.provider();
    const location = '/v1/apikeys/creds/post';
    bench.vault.faults.plan({ kind: 'answer', status: 307, headers: { location } }, { path: /^apikeys/ });
    const issued = await read(provider, { path: 'apikeys/creds/post', method: 'POST', params: { note: 'kept' } });
    expect(issued.content).toMatchObject({ json: { note: 'kept' } });
    expect(bench.vault.count(/^POST apikeys/)).toBe(2);
  });

  test('that would turn POST into GET is not followed, nor one in a circle for ever', async () => {
    const bench = await VaultBench.start();
    const provider = await bench.provider();
    const headers = { location: '/v1/kv/claude' };
    bench.vault.faults.plan({ kind: 'answer', status: 302, headers }, { path: /^kv/, times: 100 });
    expect(await failure(read(provider, { path: 'kv/claude', method: 'POST' }))).toMatchObject({ kind: 'transient' });
    expect(bench.vault.count(/ kv/)).toBe(1);
    expect(await failure(read(provider, 'kv/claude'))).toMatchObject({ kind: 'transient' });
    expect(bench.vault.count(/GET kv/)).toBe(4);
  });
});

describe('an address', () => {
  const cases = [
    { address: 'http://nowhere.invalid:8200', message: /(ENOTFOUND|EAI_AGAIN)/ },
    { address: 'unix:///nowhere/vault.sock', message: /no such socket/ },
  ];
  test.each(cases)('$address cannot be reached', async ({ address, message }) => {
    const bench = await VaultBench.start();
    const error = await failure(read(await bench.provider({ options: { address } }), 'kv/claude'));
    expect(error).toMatchObject({ kind: 'transient', exitCode: 69 });
    expect(error.message).toMatch(message);
    expect(error.remedy).toMatch(/\S/);
  });

  test('where nobody listens', async () => {
    const bench = await VaultBench.start();
    const { address } = bench.vault;
    await bench.vault.stop();
    const error = await failure(read(await bench.provider({ options: { address } }), 'kv/claude'));
    expect(error).toMatchObject({ kind: 'transient', message: expect.stringContaining('ECONNREFUSED') });
    await bench.vault.comeUp();
  });

  test('https where plain HTTP is spoken', async () => {
    const bench = await VaultBench.start();
    const address = bench.vault.address.replace('http:', 'https:');
    const error = await failure(read(await bench.provider({ options: { address } }), 'kv/claude'));
    expect(error.message).toMatch(/does not speak TLS/);
    expect(error.remedy).toMatch(/http or https/);
  });

  test('over plain HTTP is asked through HTTP_PROXY, and past it with NO_PROXY', async () => {
    const bench = await VaultBench.start();
    bench.vault.kv.writeV1('kv/claude', { key: 'sk-proxied' });
    const proxy = await startForwardProxy();
    const env = { HTTP_PROXY: proxy.address };
    const proxied = await read(await bench.provider({ env }), 'kv/claude');
    expect(proxied.content).toMatchObject({ json: { key: 'sk-proxied' } });
    expect(proxy.asked).toContain(`${bench.vault.address}/v1/kv/claude`);
    const before = proxy.asked.length;
    await read(await bench.provider({ env: { ...env, NO_PROXY: '127.0.0.1' } }), 'kv/claude');
    expect(proxy.asked.length).toBe(before);
    const provider = await bench.provider({ env });
    await bench.vault.stop();
    const error = await failure(read(provider, 'kv/claude'));
    expect(error).toMatchObject({ kind: 'transient', message: expect.stringContaining('(502)') });
    await bench.vault.comeUp();
  });

  test('that is a Unix socket works, past every proxy', async () => {
    const folder = await VaultBench.start();
    const bench = await VaultBench.start({ socketPath: `${folder.folder}/vault.sock` });
    bench.vault.kv.writeV1('kv/claude', { key: 'sk-socket' });
    const env = { HTTP_PROXY: 'http://127.0.0.1:9', HTTPS_PROXY: 'http://127.0.0.1:9' };
    expect((await read(await bench.provider({ env }), 'kv/claude')).content).toMatchObject({
      json: { key: 'sk-socket' },
    });
  });
});

test('a slow drip ends within half a second of the abort, a hang with the time limit', async () => {
  const bench = await VaultBench.start();
  const provider = await bench.provider({ options: { timeout: '300ms' } });
  bench.vault.kv.writeV1('kv/claude', { key: 'sk' });
  await read(provider, 'kv/claude');
  const dripping = bench.vault.faults.plan({ kind: 'drip', everyMs: 10 });
  const controller = new AbortController();
  const call = read(provider, 'kv/claude', controller.signal).catch((error: unknown) => error);
  await dripping.reached;
  const startedAt = performance.now();
  controller.abort(new Error('enough'));
  expect(await call).toMatchObject({ message: 'enough' });
  expect(performance.now() - startedAt).toBeLessThan(500);
  bench.vault.faults.plan({ kind: 'hang' });
  const error = await failure(read(provider, 'kv/claude'));
  expect(error).toMatchObject({ kind: 'transient', message: expect.stringContaining('within 0.3 s') });
});

test('a development Vault says where it listens', async () => {
  const bench = await VaultBench.start();
  expect(bench.vault).toBeInstanceOf(DevVault);
  expect(bench.vault.address).toBe(`http://127.0.0.1:${bench.vault.port}`);
});
