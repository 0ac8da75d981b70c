import { describe, expect, test } from 'vitest';
import type { FailureKind } from '../../../src/errors.ts';
import { DevVault } from '../../fakes/dev-vault/dev-vault.ts';
import type { Fault } from '../../fakes/dev-vault/faults.ts';
import { startForwardProxy } from '../../fakes/forward-proxy.ts';
import { failure, read, VaultBench } from './vault-bench.ts';

/** What Vault, or something that stands in its place, may answer to a read, and what the user is told. */
interface Row {
  readonly name: string;
  readonly fault?: Fault;
  readonly arrange?: (bench: VaultBench) => void;
  readonly source?: string | Readonly<Record<string, unknown>>;
  readonly kind: FailureKind;
  readonly exit: number;
  readonly message: RegExp;
  readonly remedy: RegExp;
  readonly retryAfterMs?: number;
}

const html = (status: number, words: string): Fault => ({
  kind: 'answer',
  status,
  headers: { 'content-type': 'text/html' },
  body: `<html><body><h1>${words}</h1></body></html>`,
});
const errors = (status: number, ...words: string[]): Fault => ({
  kind: 'answer',
  status,
  body: JSON.stringify({ errors: words }),
});
const transient = { kind: 'transient', exit: 69 } as const;
const gone = { kind: 'gone', exit: 77 } as const;
const wrong = { kind: 'misconfigured', exit: 78 } as const;

const ROWS: readonly Row[] = [
  {
    name: 'a sign-in page with 200',
    fault: html(200, 'Welcome'),
    ...transient,
    message: /is not Vault \(200/,
    remedy: /sign-in page/,
  },
  {
    name: 'text instead of JSON',
    fault: { kind: 'answer', status: 200, body: 'OK' },
    ...transient,
    message: /is not Vault/,
    remedy: /address/,
  },
  {
    name: 'a JSON list',
    fault: { kind: 'answer', status: 200, body: '[1]' },
    ...transient,
    message: /is not Vault/,
    remedy: /address/,
  },
  {
    name: 'cut JSON',
    fault: { kind: 'answer', status: 200, body: '{"data":{"da' },
    ...transient,
    message: /is not Vault/,
    remedy: /address/,
  },
  {
    name: '200 without a body',
    fault: { kind: 'answer', status: 200 },
    ...wrong,
    message: /without a secret \(200\)/,
    remedy: /path and method/,
  },
  {
    name: '204',
    fault: { kind: 'answer', status: 204 },
    ...wrong,
    message: /without a secret \(204\)/,
    remedy: /path and method/,
  },
  {
    name: 'an envelope without data',
    fault: { kind: 'answer', status: 200, body: '{"request_id":"1","data":null}' },
    ...wrong,
    message: /without a secret/,
    remedy: /path/,
  },
  { name: "a proxy's 502", fault: html(502, 'Bad Gateway'), ...transient, message: /\(502\)$/, remedy: /backend/ },
  { name: "a proxy's 403", fault: html(403, 'Blocked'), ...transient, message: /is not Vault \(403/, remedy: /proxy/ },
  {
    name: "a proxy's 404",
    fault: html(404, 'Not Found'),
    ...transient,
    message: /is not Vault \(404/,
    remedy: /proxy/,
  },
  {
    name: "a proxy's 407",
    fault: html(407, 'Proxy Authentication'),
    ...transient,
    message: /is not Vault \(407/,
    remedy: /proxy/,
  },
  {
    name: 'plain HTTP to a TLS port',
    fault: { kind: 'answer', status: 400, body: 'Client sent an HTTP request to an HTTPS server.\n' },
    ...wrong,
    message: /refuses the request \(400\)/,
    remedy: /https:\/\//,
  },
  {
    name: 'an answer of 300 MB',
    fault: { kind: 'huge', bytes: 300_000_000 },
    ...transient,
    message: /over 1 MiB/,
    remedy: /proxy/,
  },
  { name: 'a reset before the answer', fault: { kind: 'reset' }, ...transient, message: /ECONNRESET/, remedy: /\S/ },
  { name: 'a reset in mid-body', fault: { kind: 'cut' }, ...transient, message: /cut off|reset/, remedy: /\S/ },
  {
    name: 'sealed',
    arrange: ({ vault }) => {
      vault.mode = 'sealed';
    },
    ...transient,
    message: /is sealed \(503\): Vault is sealed/,
    remedy: /unseal/,
  },
  {
    name: 'a standby without a leader',
    arrange: ({ vault }) => {
      vault.mode = 'standby';
    },
    ...transient,
    message: /\(500\): local node not active/,
    remedy: /health/,
  },
  {
    name: 'a standby that redirects elsewhere',
    arrange: ({ vault }) => {
      vault.mode = 'standby';
      vault.activeAddress = 'https://10.0.0.2:8200';
    },
    ...transient,
    message: /redirects to https:\/\/10\.0\.0\.2:8200 \(307\)/,
    remedy: /write it as address/,
  },
  {
    name: '301 without a target',
    fault: { kind: 'answer', status: 301 },
    ...transient,
    message: /redirects/,
    remedy: /address/,
  },
  {
    name: 'an internal error',
    fault: errors(500, 'internal error'),
    ...transient,
    message: /failed \(500\): internal error/,
    remedy: /log/,
  },
  {
    name: 'too many requests',
    fault: { ...errors(429, 'rate limit quota exceeded'), headers: { 'retry-after': '7' } } as Fault,
    ...transient,
    message: /429.*rate limit/,
    remedy: /quota/,
    retryAfterMs: 7_000,
  },
  {
    name: 'a Retry-After beyond reason, which the back-off does not believe',
    fault: { kind: 'answer', status: 503, headers: { 'retry-after': '86400' } },
    ...transient,
    message: /503/,
    remedy: /operators/,
    retryAfterMs: 86_400_000,
  },
  {
    name: 'a nonsensical Retry-After',
    fault: { kind: 'answer', status: 503, headers: { 'retry-after': 'soon' } },
    ...transient,
    message: /503/,
    remedy: /operators/,
  },
  {
    name: 'a disaster-recovery secondary',
    fault: errors(472, 'path disabled in replication DR secondary mode'),
    ...transient,
    message: /disaster-recovery secondary \(472\)/,
    remedy: /primary/,
  },
  {
    name: 'a performance standby',
    fault: errors(473),
    ...transient,
    message: /performance standby/,
    remedy: /active node/,
  },
  {
    name: 'not initialized',
    fault: errors(501, 'Vault is not initialized'),
    ...transient,
    message: /not initialized/,
    remedy: /initialize/,
  },
  {
    name: 'a removed node',
    fault: errors(530, 'node removed'),
    ...transient,
    message: /removed from its cluster/,
    remedy: /live node/,
  },
  {
    name: 'a proxy of its own status',
    fault: html(599, 'Timeout'),
    ...transient,
    message: /failed \(599\)/,
    remedy: /health/,
  },
  {
    name: 'no such secret, KV v2',
    source: 'secret/data/none',
    ...gone,
    message: /no secret at secret\/data\/none \(404\)/,
    remedy: /have the secret written/,
  },
  { name: 'no such secret, KV v1', source: 'kv/none', ...gone, message: /no secret at kv\/none/, remedy: /path/ },
  {
    name: 'a deleted version',
    source: 'secret/data/claude',
    arrange: ({ vault }) => vault.kv.deleteV2('secret/claude'),
    ...gone,
    message: /newest version.*was deleted/,
    remedy: /undelete/,
  },
  {
    name: 'a destroyed version',
    source: 'secret/data/claude',
    arrange: ({ vault }) => vault.kv.deleteV2('secret/claude', 'destroy'),
    ...gone,
    message: /was destroyed/,
    remedy: /new one written/,
  },
  {
    name: 'a KV v2 path without data/',
    source: 'secret/claude',
    ...wrong,
    message: /lacks the data\/ of a KV v2 path/,
    remedy: /path = "secret\/data\/claude"/,
  },
  {
    name: 'nothing mounted there',
    source: 'nowhere/claude',
    ...wrong,
    message: /nothing is mounted at nowhere\/claude/,
    remedy: /path or mount/,
  },
  {
    name: 'a namespace that is not there, OpenBao',
    source: { path: 'kv/claude', namespace: 'team-x' },
    ...wrong,
    message: /the namespace team-x does not exist \(404 to kv\/claude\)/,
    remedy: /namespace/,
  },
  {
    name: 'a namespace that is not there, Vault Enterprise',
    source: { path: 'kv/claude', namespace: 'team-x' },
    fault: errors(404, 'no handler for route "team-x/kv/claude". route entry not found.'),
    ...wrong,
    message: /in namespace team-x/,
    remedy: /namespace/,
  },
  {
    name: 'an identity token for a bare token',
    source: 'identity/oidc/token/claude',
    arrange: ({ vault }) => vault.engines.oidcRole('claude', 60_000),
    ...wrong,
    message: /only for logins that have an identity \(400\): no entity/,
    remedy: /approle/,
  },
  {
    name: 'an unknown role',
    source: 'apikeys/creds/nobody',
    ...wrong,
    message: /\(400\): unknown role: nobody/,
    remedy: /params/,
  },
  {
    name: 'GET of an engine that wants POST',
    source: 'apikeys/creds/post',
    ...wrong,
    message: /does not answer this method \(405\)/,
    remedy: /POST/,
  },
  {
    name: 'an unsupported path',
    fault: errors(404, '1 error occurred:\n\t* unsupported path\n\n'),
    ...wrong,
    message: /nothing is mounted/,
    remedy: /path/,
  },
  {
    name: 'missing client token',
    fault: errors(400, 'missing client token'),
    ...wrong,
    message: /missing client token/,
    remedy: /path/,
  },
  {
    name: 'a spent wrapping',
    fault: {
      kind: 'answer',
      status: 200,
      body: '{"request_id":"1","data":null,"wrap_info":{"token":"hvs.spentspentspent"}}',
    },
    kind: 'login-expired',
    exit: 77,
    message: /wrapping token is spent.*not valid/,
    remedy: /somebody else/,
  },
];

describe('what a user is told when Vault, or something in its place, answers with', () => {
  test.each(ROWS)('$name', async ({ fault, arrange, source = 'secret/data/claude', ...expected }) => {
    const bench = await VaultBench.start();
    const { vault } = bench;
    vault.kv.writeV2('secret/claude', { api_key: 'sk-CANARY' });
    vault.engines.role('post', { ttlMs: 60_000, post: true });
    const provider = await bench.provider();
    await read(provider, 'secret/data/claude');
    arrange?.(bench);
    if (fault !== undefined) vault.faults.plan(fault);
    const error = await failure(read(provider, source));
    expect(error).toMatchObject({ kind: expected.kind, exitCode: expected.exit, retryAfterMs: expected.retryAfterMs });
    expect(error.message).toMatch(expected.message);
    expect(error.remedy).toMatch(expected.remedy);
    expect(`${error.message} ${error.remedy}`).not.toMatch(/CANARY|dev-root|<html|[\n\r]|undefined/);
    expect(`${error.message}; ${error.remedy}`.length).toBeLessThanOrEqual(360);
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
