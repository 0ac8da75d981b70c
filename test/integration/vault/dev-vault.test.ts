import { expect, onTestFinished, test } from 'vitest';
import { DevVault } from '../../fakes/dev-vault/dev-vault.ts';

const HOUR_MS = 3_600_000;

/** On a clock that only the test moves. */
async function start() {
  const clock = { nowMs: Date.UTC(2030, 0, 1) };
  const vault = await DevVault.start({ nowMs: () => clock.nowMs, namespaces: ['team-a'] });
  onTestFinished(() => vault.stop());
  const ask = async (method: string, path: string, body?: object, token = vault.rootToken, headers = {}) => {
    const options = { method, headers: { 'x-vault-token': token, ...headers } };
    const sent = body === undefined ? options : { ...options, body: JSON.stringify(body) };
    const response = await fetch(`${vault.address}/v1/${path}`, sent);
    const text = await response.text();
    return { status: response.status, headers: response.headers, json: text === '' ? undefined : JSON.parse(text) };
  };
  return { vault, clock, ask };
}

test('tokens are created, looked up, renewed and revoked, and expire on its clock', async () => {
  const { clock, ask } = await start();
  const created = await ask('POST', 'auth/token/create', { ttl: '1h', explicit_max_ttl: '90m', policies: ['reader'] });
  const { client_token: token, accessor } = created.json.auth;
  expect(created.json.auth).toMatchObject({ lease_duration: 3600, renewable: true, policies: ['default', 'reader'] });
  const own = await ask('GET', 'auth/token/lookup-self', undefined, token);
  expect(own.json.data).toMatchObject({
    ttl: 3600,
    explicit_max_ttl: 5400,
    accessor,
    type: 'service',
    renewable: true,
  });
  expect((await ask('POST', 'auth/token/lookup-accessor', { accessor })).json.data.accessor).toBe(accessor);
  clock.nowMs += 0.75 * HOUR_MS;
  const renewed = await ask('POST', 'auth/token/renew-self', {}, token);
  expect(renewed.json.auth.lease_duration).toBe(2700);
  expect(renewed.json.warnings[0]).toContain('capped');
  clock.nowMs += HOUR_MS;
  expect((await ask('GET', 'auth/token/lookup-self', undefined, token)).status).toBe(403);
  const second = (await ask('POST', 'auth/token/create', {})).json.auth;
  expect((await ask('POST', 'auth/token/revoke-accessor', { accessor: second.accessor })).status).toBe(204);
  expect((await ask('GET', 'auth/token/lookup-self', undefined, second.client_token)).status).toBe(403);
});

test('leases are renewed, looked up and revoked, and die with their token', async () => {
  const { vault, clock, ask } = await start();
  vault.engines.role('hourly', { ttlMs: HOUR_MS, maxTtlMs: 1.5 * HOUR_MS });
  const { lease_id } = (await ask('GET', 'apikeys/creds/hourly')).json;
  clock.nowMs += 0.9 * HOUR_MS;
  expect((await ask('PUT', 'sys/leases/renew', { lease_id })).json).toMatchObject({ lease_id, lease_duration: 2160 });
  expect((await ask('PUT', 'sys/leases/lookup', { lease_id })).json.data).toMatchObject({ ttl: 2160 });
  expect((await ask('PUT', 'sys/leases/revoke', { lease_id })).status).toBe(202);
  expect(await ask('PUT', 'sys/leases/renew', { lease_id })).toMatchObject({
    status: 400,
    json: { errors: ['lease not found'] },
  });
  const token = vault.createToken({ policies: ['root'], ttlMs: HOUR_MS }).id;
  const second = (await ask('GET', 'apikeys/creds/hourly', undefined, token)).json.lease_id;
  await ask('POST', 'auth/token/revoke-self', {}, token);
  expect(vault.leases.find(second)).toBeUndefined();
});

test('health, seal status and Date go with its mode and clock', async () => {
  const { vault, ask } = await start();
  const health = await ask('GET', 'sys/health', undefined, '');
  expect(health).toMatchObject({ status: 200, json: { initialized: true, sealed: false, standby: false } });
  expect(health.headers.get('date')).toBe('Tue, 01 Jan 2030 00:00:00 GMT');
  vault.mode = 'standby';
  expect((await ask('GET', 'sys/health')).status).toBe(429);
  vault.mode = 'sealed';
  expect((await ask('GET', 'sys/health')).status).toBe(503);
  expect((await ask('GET', 'sys/seal-status')).json.sealed).toBe(true);
  expect(await ask('GET', 'kv/x')).toMatchObject({ status: 503, json: { errors: ['Vault is sealed'] } });
});

test('namespaces keep secrets apart, in header and path; policies and tokens hold', async () => {
  const { vault, ask } = await start();
  vault.kv.writeV2('secret/x', { at: 'team-a' }, { namespace: 'team-a' });
  const inHeader = await ask('GET', 'secret/data/x', undefined, vault.rootToken, { 'x-vault-namespace': 'team-a' });
  expect(inHeader.json.data.data).toEqual({ at: 'team-a' });
  expect((await ask('GET', 'team-a/secret/data/x')).json.data.metadata.version).toBe(1);
  expect((await ask('GET', 'secret/data/x')).status).toBe(404);
  const inner = vault.createToken({ policies: ['root'], namespace: 'team-a' }).id;
  expect((await ask('GET', 'secret/data/x', undefined, inner)).status).toBe(403);
  const narrow = vault.createToken({ policies: ['nothing'] }).id;
  expect((await ask('GET', 'secret/data/x', undefined, narrow)).json).toEqual({
    errors: ['1 error occurred:\n\t* permission denied\n\n'],
  });
  expect((await ask('GET', 'secret/data/x', undefined, '')).status).toBe(403);
});

test('garbage is answered, and requests are counted', async () => {
  const { vault, ask } = await start();
  const headers = { 'x-vault-token': vault.rootToken };
  const broken = await fetch(`${vault.address}/v1/kv/x`, { method: 'POST', headers, body: '{' });
  expect(broken.status).toBe(400);
  expect((await fetch(`${vault.address}/v1/%E0%A4%A`, { headers })).status).toBe(404);
  await ask('POST', 'kv/x', { key: 'v' });
  expect((await ask('GET', 'kv/x')).json.data).toEqual({ key: 'v' });
  expect(vault.count(/^(GET|POST) kv\/x$/)).toBe(3);
});
