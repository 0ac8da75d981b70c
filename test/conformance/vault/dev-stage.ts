import { randomBytes } from 'node:crypto';
import type { ServerOptions } from 'node:https';
import type { Certificate } from '../../fakes/certificates.ts';
import { DevVault } from '../../fakes/dev-vault/dev-vault.ts';
import { ask } from './ask.ts';
import {
  type Ask,
  type CallbackMode,
  type Data,
  type Engine,
  HOUR_MS,
  type Told,
  type VaultStage,
} from './vault-stage.ts';

const POLICY = 'reader';
const RULES = ['kv/*', 'secret/data/*', 'apikeys/creds/*', 'identity/oidc/token/*', 'sys/leases/revoke'];
export const GRANT = { policies: [POLICY], ttlMs: HOUR_MS, maxTtlMs: 24 * HOUR_MS };

/** The development Vault, over a real socket. */
export class DevStage implements VaultStage {
  readonly leasePath = 'apikeys/creds/hourly';
  readonly policy = POLICY;
  /** For logins that only the development Vault can play. */
  readonly vault: DevVault;

  readonly #authority: Buffer | undefined;
  #handedIn = '';
  readonly #cubbyhole = new Map<string, Data>();

  private constructor(vault: DevVault, authority: Buffer | undefined) {
    this.vault = vault;
    this.#authority = authority;
  }

  /** `tls`: over TLS, and client certificates of the same authority are looked at. */
  static async open(canary: string, tls?: { server: Certificate; authority: Certificate }): Promise<DevStage> {
    const vault = await DevVault.start({
      nowMs: Date.now,
      secretPrefix: canary,
      ...(tls === undefined ? {} : { tls: listenerOf(tls) }),
    });
    vault.policies.write(POLICY, RULES);
    vault.engines.role('hourly', { ttlMs: HOUR_MS, maxTtlMs: 2 * HOUR_MS });
    return new DevStage(vault, tls?.authority.cert);
  }

  get address() {
    return this.vault.address;
  }

  get faults() {
    return this.vault.faults;
  }

  get rootToken() {
    return this.vault.rootToken;
  }

  goDown(): Promise<void> {
    return this.vault.stop();
  }

  comeUp(): Promise<void> {
    return this.vault.comeUp();
  }

  stop(): Promise<void> {
    return this.vault.stop();
  }

  ask(method: string, path: string, parts: Ask = {}): Promise<Told> {
    return ask(this.address, method, path, { token: this.vault.rootToken, ...parts }, this.#authority);
  }

  pathOf(engine: Engine, name: string): string {
    return { 'kv-v1': 'kv', 'kv-v2': 'secret/data', cubbyhole: 'cubbyhole' }[engine].concat('/', name);
  }

  async put(engine: Engine, name: string, data: Data): Promise<void> {
    if (engine === 'cubbyhole') await this.#putIntoCubbyhole(name, data);
    else if (engine === 'kv-v1') this.vault.kv.writeV1(`kv/${name}`, data);
    else this.vault.kv.writeV2(`secret/${name}`, data);
  }

  async #putIntoCubbyhole(name: string, data: Data): Promise<void> {
    this.#cubbyhole.set(name, data);
    await this.ask('POST', `cubbyhole/${name}`, { token: this.#handedIn, body: data });
  }

  async putEnding(name: string, data: Data, lifeMs: number): Promise<void> {
    this.vault.kv.writeV2(`secret/${name}`, data, { deletedAtMs: Date.now() + lifeMs });
  }

  async remove(engine: Engine, name: string): Promise<void> {
    if (engine === 'cubbyhole') await this.ask('DELETE', `cubbyhole/${name}`, { token: this.#handedIn });
    else if (engine === 'kv-v1') this.vault.kv.deleteV1(`kv/${name}`);
    else this.vault.kv.deleteV2(`secret/${name}`);
  }

  async postEngine() {
    this.vault.engines.role('post', { ttlMs: HOUR_MS, renewable: false, post: true });
    return { path: 'apikeys/creds/post', params: { common_name: 'claude.example' } };
  }

  async oidcRole(): Promise<string> {
    this.vault.engines.oidcRole('claude', HOUR_MS);
    return 'identity/oidc/token/claude';
  }

  async isLive(leaseId: string): Promise<boolean> {
    return this.vault.leases.find(leaseId) !== undefined;
  }

  async allow(yes: boolean): Promise<void> {
    this.vault.policies.write(POLICY, yes ? RULES : []);
  }

  async appRole(secretId: string) {
    const roleId = this.vault.logins.appRole('broker', GRANT);
    this.vault.logins.secretId('broker', secretId);
    return { mount: 'approle', roleId };
  }

  async wrappedSecretId(): Promise<string> {
    return this.vault.wrapSecretId('broker');
  }

  async user(method: 'userpass' | 'ldap', name: string, password: string) {
    this.vault.logins.user(method, name, password, GRANT);
    return { mount: method };
  }

  async oidc(mode: CallbackMode, port: number) {
    const here = `http://localhost:${port}/oidc/callback`;
    const own = `${this.vault.address}/v1/auth/oidc/oidc/callback`;
    this.vault.oidc.role(mode, { grant: GRANT, mode, allowedRedirectUris: [mode === 'client' ? here : own] });
    return { mount: 'oidc', role: mode };
  }

  async secondFactor() {
    const { mount } = await this.user('ldap', 'grace', 'right');
    const { id: method, key } = this.vault.mfa.totp('phone');
    this.vault.mfa.enforce('people', [mount], [{ id: method, type: 'totp', name: 'phone', key, approves: true }]);
    return { login: `auth/${mount}/login/grace`, body: { password: 'right' }, method, key };
  }

  /** Kubernetes grants tokens that cannot be renewed here, so that both kinds are tried. */
  async jwt(method: 'jwt' | 'kubernetes') {
    const jwt = `eyJ.${randomBytes(12).toString('hex')}.x`;
    const grant = method === 'jwt' ? GRANT : ({ ...GRANT, type: 'batch' } as const);
    this.vault.logins.jwtRole(method, 'pod', jwt, grant);
    return { mount: method, role: 'pod', jwt };
  }

  async token(): Promise<string> {
    this.#handedIn = this.vault.createToken(GRANT).id;
    for (const [name, data] of this.#cubbyhole) await this.#putIntoCubbyhole(name, data);
    return this.#handedIn;
  }

  async dropLogins(): Promise<void> {
    const { tokens, rootToken } = this.vault;
    for (const { id } of tokens.live()) if (id !== rootToken) tokens.revoke(id);
  }
}

function listenerOf({ server, authority }: { server: Certificate; authority: Certificate }): ServerOptions {
  return { cert: server.cert, key: server.key, ca: authority.cert, requestCert: true, rejectUnauthorized: false };
}
