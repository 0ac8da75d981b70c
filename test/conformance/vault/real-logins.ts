import { generateKeyPairSync, sign } from 'node:crypto';
import type { LdapDirectory } from '../../fakes/ldap-directory.ts';
import { CLIENT_ID, type OidcProvider } from '../../fakes/oidc-provider.ts';
import type { TokenReviews } from '../../fakes/token-reviews.ts';
import { type CallbackMode, type Data, HOUR_MS, type Told } from './vault-stage.ts';

/** What setting up logins on a real server takes; all of it is taken away again with the stage. */
export interface Hands {
  readonly prefix: string;
  readonly policy: string;
  /** @throws Error if the server refuses. */
  must(method: string, path: string, body?: Data): Promise<Told>;
  /** Enables an auth method of this type, under the prefix; answers its mount. */
  enable(type: string, name?: string): Promise<string>;
  undo(work: () => Promise<unknown>): void;
}

export const TOKENS = { token_ttl: '1h', token_max_ttl: '24h' };

export async function setUpUser({ enable, must, policy }: Hands, name: string, password: string) {
  const mount = await enable('userpass');
  await must('POST', `auth/${mount}/users/${name}`, { ...TOKENS, password, token_policies: [policy] });
  return { mount };
}

export async function setUpLdap(
  { enable, must, policy }: Hands,
  directory: LdapDirectory,
  name: string,
  password: string,
) {
  const mount = await enable('ldap');
  directory.add(`cn=${name},ou=people`, password);
  const where = { url: directory.address, userattr: 'cn', userdn: 'ou=people' };
  await must('POST', `auth/${mount}/config`, { ...TOKENS, ...where, token_policies: [policy] });
  return { mount };
}

export async function setUpJwt({ enable, must, policy }: Hands) {
  const mount = await enable('jwt');
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = publicKey.export({ type: 'spki', format: 'pem' });
  await must('POST', `auth/${mount}/config`, { jwt_validation_pubkeys: [pem] });
  await must('POST', `auth/${mount}/role/ci`, {
    ...TOKENS,
    role_type: 'jwt',
    user_claim: 'sub',
    bound_audiences: ['broker'],
    token_policies: [policy],
  });
  const now = Math.floor(Date.now() / 1000);
  const claims = { sub: 'ci', aud: 'broker', iat: now, nbf: now - 60, exp: now + HOUR_MS / 1000 };
  const parts = [{ alg: 'ES256', typ: 'JWT' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  const signature = sign('sha256', Buffer.from(parts.join('.')), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return { mount, role: 'ci', jwt: [...parts, signature.toString('base64url')].join('.') };
}

export async function setUpKubernetes({ enable, must, policy }: Hands, cluster: TokenReviews) {
  const mount = await enable('kubernetes');
  const reviewer = { disable_local_ca_jwt: true, token_reviewer_jwt: cluster.reviewer };
  // OpenBao insists on an authority, also for a cluster that is reached over plain HTTP.
  const ca = { kubernetes_ca_cert: cluster.authority };
  await must('POST', `auth/${mount}/config`, { kubernetes_host: cluster.address, ...reviewer, ...ca });
  const bound = { bound_service_account_names: [cluster.account], bound_service_account_namespaces: ['default'] };
  await must('POST', `auth/${mount}/role/pod`, { ...TOKENS, ...bound, token_policies: [policy] });
  return { mount, role: 'pod', jwt: cluster.jwt };
}

export interface OidcWanted {
  readonly mode: CallbackMode;
  readonly port: number;
  /** Of Vault, as the browser reaches it. */
  readonly address: string;
}

export async function setUpOidc({ enable, must, policy }: Hands, provider: OidcProvider, wanted: OidcWanted) {
  const { mode, port, address } = wanted;
  const mount = await enable('oidc');
  const client = { oidc_client_id: CLIENT_ID, oidc_client_secret: 'unused' };
  await must('POST', `auth/${mount}/config`, { oidc_discovery_url: provider.address, ...client });
  const here = `http://localhost:${port}/oidc/callback`;
  const own = `${address}/v1/auth/${mount}/oidc/callback`;
  await must('POST', `auth/${mount}/role/${mode}`, {
    ...TOKENS,
    role_type: 'oidc',
    user_claim: 'sub',
    allowed_redirect_uris: [mode === 'client' ? here : own],
    token_policies: [policy],
    ...(mode === 'client' ? {} : { callback_mode: mode, poll_interval: 1 }),
  });
  return { mount, role: mode };
}

export async function setUpSecondFactor({ enable, must, undo, prefix }: Hands) {
  const mount = await enable('userpass', 'mfa');
  await must('POST', `auth/${mount}/users/grace`, { ...TOKENS, password: 'right' });
  const { accessor } = (await must('GET', 'sys/auth')).json.data[`${mount}/`];
  const entity = (await must('POST', 'identity/entity', { name: `${prefix}-grace` })).json.data.id;
  await must('POST', 'identity/entity-alias', { name: 'grace', canonical_id: entity, mount_accessor: accessor });
  const app = { method_name: `${prefix}-phone`, issuer: 'broker', period: 30, digits: 6, algorithm: 'SHA1' };
  const { method_id: method } = (await must('POST', 'identity/mfa/method/totp', app)).json.data;
  undo(() => must('DELETE', `identity/mfa/method/totp/${method}`));
  const enforcement = `identity/mfa/login-enforcement/${prefix}-people`;
  await must('POST', enforcement, { mfa_method_ids: [method], auth_method_accessors: [accessor] });
  undo(() => must('DELETE', enforcement));
  const enrolment = { method_id: method, entity_id: entity };
  const { json } = await must('POST', 'identity/mfa/method/totp/admin-generate', enrolment);
  const key = base32(new URL(json.data.url).searchParams.get('secret') ?? '');
  return { login: `auth/${mount}/login/grace`, body: { password: 'right' }, method: String(method), key };
}

/** RFC 4648, as authenticator apps are handed their keys. */
function base32(text: string): Buffer {
  const bits = [...text].map((char) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(char).toString(2).padStart(5, '0'));
  return Buffer.from((bits.join('').match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}
