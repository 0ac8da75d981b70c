import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { lendsNothing, type Provider } from '../../../src/providers/provider.ts';
import { vaultDefinition } from '../../../src/providers/vault/options.ts';
import { CollectingLog } from '../../fakes/collecting-log.ts';
import { totpAt } from '../../fakes/dev-vault/second-factors.ts';
import { MemoryLoginStore } from '../../fakes/memory-login-store.ts';
import { realClock } from '../../fakes/real-clock.ts';
import { privateFile } from './private-file.ts';
import { type Ask, type Data, HOUR_MS, type VaultStage } from './vault-stage.ts';

const isOneOf =
  (...wanted: readonly number[]) =>
  (status: number) =>
    wanted.includes(status);
const DENIED = '1 error occurred:\n\t* permission denied\n\n';

/**
 * What the provider and its tests rely on in Vault's own answers. It runs against the development Vault and against a
 * real one, so that the double cannot come to behave otherwise.
 */
export function describeVaultApi(name: string, open: (canary: string) => Promise<VaultStage>): void {
  describe(`the API of ${name}`, () => {
    let stage: VaultStage;
    let folder = '';
    let login: { readonly mount: string; readonly roleId: string };

    beforeAll(async () => {
      stage = await open('answers');
      folder = await mkdtemp(join(tmpdir(), 'broker-vault-'));
      login = await stage.appRole('answers-secret-id');
    });
    afterAll(async () => {
      await stage.stop();
      await rm(folder, { recursive: true, force: true });
    });

    const refused = async (method: string, path: string, parts?: Ask) => {
      const { status, json } = await stage.ask(method, path, parts);
      return { status, errors: json?.errors };
    };
    const created = async (body: Data) => (await stage.ask('POST', 'auth/token/create', { body })).json.auth;
    const provider = async (auth: Data = { method: 'token', token: stage.rootToken }): Promise<Provider> => {
      const create = await vaultDefinition.load();
      const options = vaultDefinition.providerSchema.parse({ address: stage.address, auth });
      const host = { name: 'prod', clock: realClock, homeDir: folder, env: {}, credentials: lendsNothing };
      const made = create(options, { ...host, log: new CollectingLog(), logins: new MemoryLoginStore() });
      onTestFinished(() => made.close());
      return made;
    };
    const read = async (from: Provider, source: Data) => {
      const parsed = vaultDefinition.credentialSchema.parse(source);
      return await from.issue({ source: parsed, wantedLifeMs: 60_000 }, { signal: new AbortController().signal });
    };
    const byRole = async (secret: string, more: Data = {}) => {
      const secret_id_file = await privateFile(folder, 'secret-id', secret);
      return provider({ method: 'approle', mount: login.mount, role_id: login.roleId, secret_id_file, ...more });
    };

    test('KV v1: a hint but no lease; nothing there is an empty list of errors', async () => {
      await stage.put('kv-v1', 'plain', { key: 'sk' });
      await stage.put('kv-v1', 'hinted', { key: 'sk', ttl: 90 });
      const plain = await stage.ask('GET', stage.pathOf('kv-v1', 'plain'));
      expect(plain).toMatchObject({ status: 200, json: { lease_id: '', lease_duration: 2_764_800, renewable: false } });
      const hinted = await stage.ask('GET', stage.pathOf('kv-v1', 'hinted'));
      expect(hinted.json).toMatchObject({ lease_duration: 90, data: { key: 'sk', ttl: 90 } });
      expect(await refused('GET', stage.pathOf('kv-v1', 'none'))).toEqual({ status: 404, errors: [] });
    });

    test('KV v2: versions, a pinned one, the end of one, a deleted one', async () => {
      const path = stage.pathOf('kv-v2', 'claude');
      await stage.put('kv-v2', 'claude', { key: 'sk-1' });
      await stage.put('kv-v2', 'claude', { key: 'sk-2' });
      const { json } = await stage.ask('GET', path);
      expect(json).toMatchObject({ lease_id: '', lease_duration: 0, data: { data: { key: 'sk-2' } } });
      const metadata = { custom_metadata: null, deletion_time: '', destroyed: false, version: 2 };
      expect(json.data.metadata).toMatchObject(metadata);
      const pinned = await read(await provider(), { path, params: { version: 1 } });
      expect(pinned).toMatchObject({ version: '1', content: { json: { key: 'sk-1' } }, expiresAtServerMs: undefined });
      expect(await refused('GET', `${path}?version=9`)).toEqual({ status: 404, errors: [] });
      await stage.remove('kv-v2', 'claude');
      const deleted = await stage.ask('GET', path);
      expect(deleted).toMatchObject({ status: 404, json: { data: { data: null, metadata: { version: 2 } } } });
      expect(deleted.json.errors).toBeUndefined();
      await stage.putEnding('ending', { key: 'sk' }, HOUR_MS);
      const { expiresAtServerMs } = await read(await provider(), { path: stage.pathOf('kv-v2', 'ending') });
      expect(Math.abs((expiresAtServerMs ?? 0) - Date.now() - HOUR_MS)).toBeLessThan(30_000);
    });

    test('a path of KV v2 without data/, a mount that is not there, a namespace that is not there', async () => {
      const bare = stage.pathOf('kv-v2', 'claude').replace('/data/', '/');
      const { status, json } = await stage.ask('GET', bare);
      expect({ status, data: json.data }).toEqual({ status: 404, data: null });
      expect(json.warnings[0]).toMatch(/^Invalid path for a versioned K\/V secrets engine/);
      const words = 'no handler for route "nowhere/claude". route entry not found.';
      expect(await refused('GET', 'nowhere/claude')).toEqual({ status: 404, errors: [words] });
      const elsewhere = await refused('GET', 'nowhere/claude', { headers: { 'x-vault-namespace': 'no-such-team' } });
      expect(elsewhere).toMatchObject({
        status: 404,
        errors: [expect.stringMatching(/namespace not found|no handler/)],
      });
      const error = await read(await provider(), { path: bare }).catch((reason: unknown) => reason);
      const right = `path = "${stage.pathOf('kv-v2', 'claude')}"`;
      expect(error).toMatchObject({ kind: 'misconfigured', remedy: expect.stringContaining(right) });
    });

    test('a token that is none, one that may not, and a login where nothing is mounted', async () => {
      const path = stage.pathOf('kv-v1', 'plain');
      for (const token of ['hvs.not-a-token', 'nonsense', '']) {
        expect(await refused('GET', path, { token })).toMatchObject({
          status: 403,
          errors: [expect.stringContaining('permission denied')],
        });
      }
      const { client_token: token } = await created({ policies: ['default'], ttl: '1h' });
      expect(await refused('GET', path, { token })).toEqual({ status: 403, errors: [DENIED] });
      expect(await refused('GET', 'nowhere/claude', { token })).toEqual({ status: 403, errors: [DENIED] });
      const body = { lease_id: 'a/b' };
      expect((await refused('PUT', 'sys/leases/revoke', { token, body })).status).toBe(403);
      expect((await refused('PUT', 'sys/leases/renew', { token, body })).status).toBe(400);
      const elsewhere = await refused('POST', 'auth/nowhere/login', { token: '', body: { role_id: 'x' } });
      expect(elsewhere).toMatchObject({ status: 403, errors: [expect.stringContaining('permission denied')] });
    });

    test('refused logins', async () => {
      const answer = (path: string, body: Data) => refused('POST', path, { token: '', body });
      const wrong = { status: 400, errors: ['invalid role or secret ID'] };
      const approle = `auth/${login.mount}/login`;
      expect(await answer(approle, { role_id: login.roleId, secret_id: 'wrong' })).toEqual(wrong);
      expect(await answer(approle, { role_id: 'nobody', secret_id: 'wrong' })).toEqual(wrong);
      expect(await answer(approle, { role_id: login.roleId })).toEqual({ status: 400, errors: ['missing secret_id'] });
      const { mount } = await stage.user('userpass', 'ada', 'right');
      const unknown = { status: 400, errors: ['invalid username or password'] };
      expect(await answer(`auth/${mount}/login/ada`, { password: 'wrong' })).toEqual(unknown);
      expect(await answer(`auth/${mount}/login/nobody`, { password: 'wrong' })).toEqual(unknown);
      const spaced = await answer(`auth/${mount}/login/ada%20lovelace`, { password: 'x' });
      const nobody = /unsupported path|failed to determine alias name/;
      expect(spaced).toMatchObject({
        status: expect.toSatisfy(isOneOf(404, 500)),
        errors: [expect.stringMatching(nobody)],
      });
      const auth = { method: 'userpass', mount, username: 'ada lovelace', password: 'x' };
      const error = await read(await provider(auth), { path: 'x' }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ kind: 'misconfigured' });
    });

    test('a second factor: the requirement, wrong and used codes, the token at last', async () => {
      const { login: path, body, method, key } = await stage.secondFactor();
      const logIn = async () => (await stage.ask('POST', path, { token: '', body })).json;
      const validate = (requestId: unknown, codes: Data) =>
        stage.ask('POST', 'sys/mfa/validate', { token: '', body: { mfa_request_id: requestId, mfa_payload: codes } });
      const held = await logIn();
      expect(held.auth).toMatchObject({ client_token: '', accessor: '', policies: null, token_type: 'default' });
      const { mfa_request_id, mfa_constraints } = held.auth.mfa_requirement;
      const [constraint] = Object.values(mfa_constraints);
      expect(constraint).toEqual({
        any: [{ type: 'totp', id: method, uses_passcode: true, name: expect.stringMatching(/phone$/) }],
      });
      const code = totpAt(key, Date.now());
      const wrong = await validate(mfa_request_id, { [method]: ['000000'] });
      expect(wrong).toMatchObject({
        status: 403,
        json: { errors: [expect.stringMatching(/^failed to satisfy enforcement \S+\. error: 2 errors occurred:/)] },
      });
      const other = await validate(mfa_request_id, { other: ['000000'] });
      expect(other).toMatchObject({
        status: 403,
        json: { errors: [expect.stringContaining('failed to find MFA cred')] },
      });
      const right = await validate(mfa_request_id, { [method]: [code] });
      expect(right).toMatchObject({ status: 200, json: { auth: { renewable: true, mfa_requirement: null } } });
      const again = await validate(mfa_request_id, { [method]: [code] });
      expect(again).toMatchObject({ status: 400, json: { errors: ['invalid request ID'] } });
      const next = (await logIn()).auth.mfa_requirement.mfa_request_id;
      expect(await validate(next, { [method]: [code] })).toMatchObject({ status: 403 });
      const token = String(right.json.auth.client_token);
      expect((await stage.ask('GET', 'auth/token/lookup-self', { token })).status).toBe(200);
    });

    test('tokens: what lookup and renewal say, the cap of an explicit maximum, batch tokens', async () => {
      const { client_token: token, accessor } = await created({
        policies: ['default'],
        ttl: '1h',
        explicit_max_ttl: '70m',
      });
      const own = await stage.ask('GET', 'auth/token/lookup-self', { token });
      const expected = { accessor, explicit_max_ttl: 4_200, creation_ttl: 3_600, renewable: true, type: 'service' };
      expect(own.json.data).toMatchObject({ ...expected, entity_id: '', orphan: false });
      const renewed = await stage.ask('POST', 'auth/token/renew-self', { token, body: { increment: '2h' } });
      expect(Math.abs(renewed.json.auth.lease_duration - 4_200)).toBeLessThan(30);
      expect(renewed.json.warnings[0]).toMatch(/max_ttl.*capped/);
      const periodic = await created({ policies: ['default'], period: '1h' });
      const looked = await stage.ask('GET', 'auth/token/lookup-self', { token: periodic.client_token });
      expect(looked.json.data).toMatchObject({ period: 3_600, explicit_max_ttl: 0 });
      const batch = await created({ policies: ['default'], ttl: '1h', type: 'batch' });
      expect(batch).toMatchObject({ accessor: '', renewable: false, token_type: 'batch' });
      const again = await refused('POST', 'auth/token/renew-self', { token: batch.client_token, body: {} });
      expect(again).toEqual({ status: 400, errors: ['batch tokens cannot be renewed'] });
      const back = await refused('POST', 'auth/token/revoke-self', { token: batch.client_token, body: {} });
      expect(back).toEqual({ status: 400, errors: ['batch tokens cannot be revoked'] });
      expect((await stage.ask('POST', 'auth/token/revoke-self', { token, body: {} })).status).toBe(204);
      expect((await refused('POST', 'auth/token/renew-self', { token, body: {} })).status).toBe(403);
    });

    test('a cubbyhole, and an engine that answers with a token', async () => {
      const { client_token: token } = await created({ policies: ['default'], ttl: '1h' });
      await stage.ask('POST', 'cubbyhole/mine', { token, body: { key: 'sk-mine' } });
      const mine = await read(await provider({ method: 'token', token }), { path: 'cubbyhole/mine' });
      expect(mine).toMatchObject({ content: { json: { key: 'sk-mine' } }, lease: undefined, ttlHintMs: undefined });
      const params = { ttl: '30m', policies: ['default'] };
      const issued = await read(await provider(), { path: 'auth/token/create', method: 'POST', params });
      expect(Math.abs((issued.expiresAtServerMs ?? 0) - Date.now() - HOUR_MS / 2)).toBeLessThan(30_000);
    });

    test('tokens made by a token end with it unless they are orphans, and are revoked by their accessors', async () => {
      const parent = await created({ policies: ['root'], ttl: '1h' });
      const make = async (path: string) => {
        const { json } = await stage.ask('POST', path, {
          token: parent.client_token,
          body: { ttl: '30m', policies: ['default'] },
        });
        return json.auth;
      };
      const [first, second, orphan] = [
        await make('auth/token/create'),
        await make('auth/token/create'),
        await make('auth/token/create-orphan'),
      ];
      expect([first.orphan, second.orphan, orphan.orphan]).toEqual([false, false, true]);
      expect(first).toMatchObject({
        lease_duration: 1_800,
        num_uses: 0,
        accessor: expect.stringMatching(/^[\w.-]{8,}$/),
      });
      const lookup = async (token: string) => (await stage.ask('GET', 'auth/token/lookup-self', { token })).status;
      const revoke = () => stage.ask('POST', 'auth/token/revoke-accessor', { body: { accessor: first.accessor } });
      expect((await revoke()).status).toBe(204);
      expect(await lookup(first.client_token)).toBe(403);
      expect((await revoke()).json).toMatchObject({ warnings: ['No token found with this accessor'], auth: null });
      await stage.ask('POST', 'auth/token/revoke-self', { token: parent.client_token, body: {} });
      expect([await lookup(second.client_token), await lookup(orphan.client_token)]).toEqual([403, 200]);
      expect(await refused('POST', 'auth/token/create/nobody', { body: {} })).toEqual({
        status: 400,
        errors: ['unknown role nobody'],
      });
    });

    test('wrapped answers and wrapped secret-ids, which are redeemed once', async () => {
      const path = stage.pathOf('kv-v1', 'plain');
      await stage.put('kv-v1', 'plain', { key: 'sk' });
      expect(await read(await provider(), { path, wrap_ttl: '60s' })).toMatchObject({
        content: { json: { key: 'sk' } },
      });
      const wrapped = (await stage.ask('GET', path, { headers: { 'x-vault-wrap-ttl': '60s' } })).json;
      expect(wrapped).toMatchObject({ data: null, wrap_info: { ttl: 60, token: expect.stringMatching(/\S{10}/) } });
      const token = String(wrapped.wrap_info.token);
      expect((await stage.ask('POST', 'sys/wrapping/unwrap', { token })).json.data).toEqual({ key: 'sk' });
      const words = 'wrapping token is not valid or does not exist';
      expect(await refused('POST', 'sys/wrapping/unwrap', { token })).toEqual({ status: 400, errors: [words] });
      const secretId = await stage.wrappedSecretId();
      const more = { secret_id_wrapped: true };
      expect(await read(await byRole(secretId, more), { path })).toMatchObject({ content: { json: { key: 'sk' } } });
      const late = await read(await byRole(secretId, more), { path }).catch((reason: unknown) => reason);
      expect(late).toMatchObject({ kind: 'login-expired', message: expect.stringContaining(words) });
    });

    test('identity tokens are for logins with an identity', async () => {
      const path = await stage.oidcRole();
      const issued = await read(await byRole('answers-secret-id'), { path });
      expect(issued).toMatchObject({
        lease: undefined,
        content: { json: { token: expect.stringMatching(/^ey.*\..*\./) } },
      });
      const { errors, status } = await refused('GET', path);
      expect({ status, errors }).toEqual({ status: 400, errors: ["no entity associated with the request's token"] });
      const error = await read(await provider(), { path }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ kind: 'misconfigured', remedy: expect.stringContaining('approle') });
      const unknown = await refused('GET', 'identity/oidc/token/no-such-role');
      expect(unknown).toEqual({ status: 400, errors: ['role "no-such-role" not found'] });
    });

    test('leases: issued, renewed, capped, revoked, unknown', async ({ skip }) => {
      if (stage.leasePath === undefined) return skip('its engines cannot reach this machine');
      const { json } = await stage.ask('GET', stage.leasePath);
      expect(json).toMatchObject({ lease_duration: 3_600, renewable: true, lease_id: expect.stringMatching(/^\S+$/) });
      const lease = { body: { lease_id: json.lease_id } };
      const renewed = await stage.ask('PUT', 'sys/leases/renew', { body: { ...lease.body, increment: 10_800 } });
      expect(renewed.json).toMatchObject({ lease_id: json.lease_id, renewable: true });
      expect(Math.abs(renewed.json.lease_duration - 7_200)).toBeLessThan(30);
      expect((await stage.ask('PUT', 'sys/leases/lookup', lease)).json.data).toMatchObject({ renewable: true });
      for (const time of [1, 2]) {
        const body = { ...lease.body, sync: true };
        expect((await stage.ask('PUT', 'sys/leases/revoke', { body })).status, `${time}`).toBe(204);
      }
      expect(await refused('PUT', 'sys/leases/lookup', lease)).toEqual({ status: 400, errors: ['invalid lease'] });
      expect(await refused('PUT', 'sys/leases/renew', lease)).toEqual({ status: 400, errors: ['lease not found'] });
      const nobody = stage.leasePath.replace(/[^/]+$/, 'nobody');
      expect(await refused('GET', nobody)).toEqual({ status: 400, errors: ['unknown role: nobody'] });
      const posted = await refused('POST', stage.leasePath, { body: {} });
      expect(posted).toEqual({ status: 405, errors: ['1 error occurred:\n\t* unsupported operation\n\n'] });
    });

    test('a lease that cannot be renewed, from an engine that wants POST', async () => {
      const { path, params } = await stage.postEngine();
      const from = await provider();
      const { lease } = await read(from, { path, method: 'POST', params });
      expect(lease).toMatchObject({ renewable: false, durationMs: expect.any(Number) });
      expect(await stage.isLive(lease?.id ?? '')).toBe(true);
      const renewed = await refused('PUT', 'sys/leases/renew', { body: { lease_id: lease?.id } });
      expect(renewed).toEqual({ status: 400, errors: ['lease is not renewable'] });
      const got = await read(from, { path }).catch((reason: unknown) => reason);
      expect(got).toMatchObject({ kind: 'misconfigured', message: expect.stringContaining('(405)') });
    });

    test('leases end with the token that asked for them', async ({ skip }) => {
      if (stage.leasePath === undefined) return skip('its engines cannot reach this machine');
      const { client_token: token } = await created({ policies: [stage.policy], ttl: '1h' });
      const { lease_id } = (await stage.ask('GET', stage.leasePath, { token })).json;
      await stage.ask('POST', 'auth/token/revoke-self', { token, body: {} });
      await expect.poll(() => stage.isLive(lease_id)).toBe(false);
    });
  });
}
