import { randomBytes } from 'node:crypto';
import { FailingProxy } from '../../fakes/failing-proxy.ts';
import { LdapDirectory } from '../../fakes/ldap-directory.ts';
import { OidcProvider } from '../../fakes/oidc-provider.ts';
import { RabbitManagement } from '../../fakes/rabbit-management.ts';
import { TokenReviews } from '../../fakes/token-reviews.ts';
import { ask } from './ask.ts';
import {
  type Hands,
  setUpJwt,
  setUpKubernetes,
  setUpLdap,
  setUpOidc,
  setUpSecondFactor,
  setUpUser,
  TOKENS,
} from './real-logins.ts';
import {
  type Ask,
  type CallbackMode,
  type Data,
  type Engine,
  HOUR_MS,
  type Told,
  type VaultStage,
} from './vault-stage.ts';

export interface RealVault {
  readonly address: string;
  /** A token that may mount engines, enable logins and write policies: root's, of a server for tests. */
  readonly token: string;
}

/** The server that the environment names; undefined if it names none. */
export function realVault(): RealVault | undefined {
  const { BROKER_TEST_VAULT_ADDR: address, BROKER_TEST_VAULT_TOKEN: token } = process.env;
  return address === undefined || token === undefined ? undefined : { address: address.replace(/\/+$/, ''), token };
}

/** A Vault at a loopback address is taken to run on this machine, so that its engines reach ours. */
export function reachesUs({ address }: RealVault): boolean {
  return /^(127\.|localhost$|\[::1\]$)/.test(new URL(address).hostname);
}

/** Auth methods that are built in or installed, and whose server it is. */
export async function whatItOffers({ address, token }: RealVault) {
  const { json: catalog } = await ask(address, 'LIST', 'sys/plugins/catalog/auth', { token });
  const { json: status } = await ask(address, 'GET', 'sys/seal-status', {});
  const methods = new Set<string>(catalog?.data?.keys ?? []);
  // Vault never had a version 2 before it had that method; OpenBao counts from 2 and has none of it.
  return { methods, isOpenBao: /^[2-9]/.test(String(status?.version)) && !methods.has('okta') };
}

/** A real Vault or OpenBao. Everything is mounted and named under a prefix of its own, and taken away again. */
export class RealStage implements VaultStage {
  readonly policy: string;
  readonly #vault: RealVault;
  /** What is done here is done with it: whatever is made of it ends with it. */
  readonly rootToken: string;
  readonly #prefix = `broker-test-${randomBytes(5).toString('hex')}`;
  readonly #proxy: FailingProxy;
  #rabbit: RabbitManagement | undefined;
  #oidc: OidcProvider | undefined;
  #directory: LdapDirectory | undefined;
  #cluster: TokenReviews | undefined;
  readonly #undo: (() => Promise<unknown>)[] = [];
  readonly #handedIn: string[] = [];
  #ofCubbyhole = '';
  readonly #cubbyhole = new Map<string, Data>();
  readonly #enabled = new Set<string>();
  readonly #hands: Hands;

  private constructor(vault: RealVault, rootToken: string, proxy: FailingProxy) {
    this.#vault = vault;
    this.rootToken = rootToken;
    this.#proxy = proxy;
    this.policy = `${this.#prefix}-reader`;
    this.#hands = {
      prefix: this.#prefix,
      policy: this.policy,
      must: (...request) => this.#must(...request),
      enable: (...what) => this.#enable(...what),
      undo: (work) => this.#undo.push(work),
    };
  }

  static async open(vault: RealVault): Promise<RealStage> {
    const parts = { token: vault.token, body: { ttl: '1h' } };
    const { json } = await ask(vault.address, 'POST', 'auth/token/create', parts);
    if (json?.auth === undefined) throw new Error(`BROKER_TEST_VAULT_TOKEN makes no token: ${JSON.stringify(json)}`);
    const stage = new RealStage(vault, String(json.auth.client_token), await FailingProxy.start(vault.address));
    try {
      await stage.#mount('kv1', { type: 'kv', options: { version: '1' } });
      await stage.#mount('kv2', { type: 'kv', options: { version: '2' } });
      await stage.#whenUpgraded();
      await stage.allow(true);
      stage.#undo.push(() => stage.#must('DELETE', `sys/policies/acl/${stage.policy}`));
      if (reachesUs(vault)) await stage.#mountRabbit();
    } catch (error) {
      await stage.stop();
      throw error;
    }
    return stage;
  }

  get address() {
    return this.#proxy.address;
  }

  get faults() {
    return this.#proxy.faults;
  }

  get leasePath() {
    return this.#rabbit === undefined ? undefined : `${this.#prefix}-rabbit/creds/hourly`;
  }

  goDown(): Promise<void> {
    return this.#proxy.goDown();
  }

  comeUp(): Promise<void> {
    return this.#proxy.comeUp();
  }

  async stop(): Promise<void> {
    await this.#dropEntities();
    for (const undo of this.#undo.splice(0).reverse()) await undo();
    await this.ask('POST', 'auth/token/revoke-self', { body: {} });
    for (const helper of [this.#rabbit, this.#oidc, this.#directory, this.#cluster]) await helper?.stop();
    await this.#proxy.goDown();
  }

  ask(method: string, path: string, parts: Ask = {}): Promise<Told> {
    return ask(this.#vault.address, method, path, { token: this.rootToken, ...parts });
  }

  pathOf(engine: Engine, name: string): string {
    if (engine === 'cubbyhole') return `cubbyhole/${name}`;
    return engine === 'kv-v1' ? `${this.#prefix}-kv1/${name}` : `${this.#prefix}-kv2/data/${name}`;
  }

  async put(engine: Engine, name: string, data: Data): Promise<void> {
    if (engine === 'cubbyhole') return await this.#putIntoCubbyhole(name, data);
    await this.#must('POST', this.pathOf(engine, name), engine === 'kv-v1' ? data : { data });
  }

  async #putIntoCubbyhole(name: string, data: Data): Promise<void> {
    this.#cubbyhole.set(name, data);
    await this.ask('POST', `cubbyhole/${name}`, { token: this.#ofCubbyhole, body: data });
  }

  async putEnding(name: string, data: Data, lifeMs: number): Promise<void> {
    const path = this.pathOf('kv-v2', name);
    await this.#must('POST', path.replace('/data/', '/metadata/'), { delete_version_after: `${lifeMs / 1000}s` });
    await this.#must('POST', path, { data });
  }

  async remove(engine: Engine, name: string): Promise<void> {
    const token = engine === 'cubbyhole' ? this.#ofCubbyhole : this.rootToken;
    await this.ask('DELETE', this.pathOf(engine, name), { token });
  }

  /** Certificates are issued with leases if a role says so. */
  async postEngine() {
    const mount = await this.#mount('pki', { type: 'pki' });
    const key = { key_type: 'ec', key_bits: 256 };
    await this.#must('POST', `${mount}/root/generate/internal`, { ...key, common_name: 'broker-test', ttl: '24h' });
    const role = { ...key, allow_any_name: true, generate_lease: true, ttl: '1h' };
    await this.#must('POST', `${mount}/roles/post`, role);
    return { path: `${mount}/issue/post`, params: { common_name: 'claude.example' } };
  }

  async oidcRole(): Promise<string> {
    const name = `${this.#prefix}-claude`;
    for (const [path, body] of [
      [`identity/oidc/key/${name}`, { allowed_client_ids: ['*'] }],
      [`identity/oidc/role/${name}`, { key: name, ttl: '1h' }],
    ] as const) {
      await this.#must('POST', path, body);
      this.#undo.push(() => this.#must('DELETE', path));
    }
    return `identity/oidc/token/${name}`;
  }

  async isLive(leaseId: string): Promise<boolean> {
    return (await this.ask('PUT', 'sys/leases/lookup', { body: { lease_id: leaseId } })).status === 200;
  }

  async allow(yes: boolean): Promise<void> {
    const paths = ['kv1/*', 'kv2/data/*', 'rabbit/creds/*', 'pki/issue/*'].map((path) => `${this.#prefix}-${path}`);
    const oidc = `identity/oidc/token/${this.#prefix}*`;
    const rules = [...paths, oidc, 'sys/leases/revoke'].map(
      (path) => `path "${path}" { capabilities = ["read", "update"] }`,
    );
    await this.#must('PUT', `sys/policies/acl/${this.policy}`, { policy: yes ? rules.join('\n') : '# nothing' });
  }

  async appRole(secretId: string) {
    const mount = await this.#enable('approle');
    const role = `auth/${mount}/role/broker`;
    await this.#must('POST', role, { ...TOKENS, token_policies: [this.policy] });
    await this.#must('POST', `${role}/custom-secret-id`, { secret_id: secretId });
    const { json } = await this.#must('GET', `${role}/role-id`);
    return { mount, roleId: String(json.data.role_id) };
  }

  async wrappedSecretId(): Promise<string> {
    const path = `auth/${this.#prefix}-approle/role/broker/secret-id`;
    const told = await this.ask('POST', path, { body: {}, headers: { 'x-vault-wrap-ttl': '60s' } });
    return String(told.json.wrap_info.token);
  }

  async user(method: 'userpass' | 'ldap', name: string, password: string) {
    if (method === 'userpass') return await setUpUser(this.#hands, name, password);
    this.#directory ??= await LdapDirectory.start();
    return await setUpLdap(this.#hands, this.#directory, name, password);
  }

  async oidc(mode: CallbackMode, port: number) {
    this.#oidc ??= await OidcProvider.start();
    return await setUpOidc(this.#hands, this.#oidc, { mode, port, address: this.address });
  }

  secondFactor() {
    return setUpSecondFactor(this.#hands);
  }

  async jwt(method: 'jwt' | 'kubernetes') {
    if (method === 'jwt') return await setUpJwt(this.#hands);
    this.#cluster ??= await TokenReviews.start();
    return await setUpKubernetes(this.#hands, this.#cluster);
  }

  async token(): Promise<string> {
    const body = { policies: [this.policy], ttl: '1h', explicit_max_ttl: '24h' };
    const { json } = await this.#must('POST', 'auth/token/create', body);
    this.#handedIn.push(String(json.auth.accessor));
    this.#ofCubbyhole = String(json.auth.client_token);
    for (const [name, kept] of this.#cubbyhole) await this.#putIntoCubbyhole(name, kept);
    return this.#ofCubbyhole;
  }

  async dropLogins(): Promise<void> {
    for (const method of this.#enabled) {
      await this.#must('PUT', `sys/leases/revoke-prefix/auth/${this.#prefix}-${method}`, { sync: true });
    }
    await this.#dropHandedIn();
  }

  /** Enables an auth method under the prefix; answers its mount. */
  async #enable(type: string, name: string = type): Promise<string> {
    const mount = `${this.#prefix}-${name}`;
    await this.#must('POST', `sys/auth/${mount}`, { type });
    this.#enabled.add(name);
    this.#undo.push(() => this.#must('DELETE', `sys/auth/${mount}`));
    return mount;
  }

  /** Logins leave an identity behind, which outlives its mount. */
  async #dropEntities(): Promise<void> {
    const { json } = await this.ask('LIST', 'identity/entity/id');
    const known: Readonly<Record<string, { aliases?: readonly { mount_path?: string }[] }>> =
      json?.data?.key_info ?? {};
    for (const [id, { aliases }] of Object.entries(known)) {
      if (aliases?.some(({ mount_path }) => mount_path?.includes(this.#prefix)) === true) {
        await this.#must('DELETE', `identity/entity/id/${id}`);
      }
    }
  }

  async #dropHandedIn(): Promise<void> {
    for (const accessor of this.#handedIn.splice(0)) {
      await this.ask('POST', 'auth/token/revoke-accessor', { body: { accessor } });
    }
  }

  async #mount(name: string, body: Data): Promise<string> {
    const mount = `${this.#prefix}-${name}`;
    await this.#must('POST', `sys/mounts/${mount}`, body);
    this.#undo.push(() => this.#must('DELETE', `sys/mounts/${mount}`));
    return mount;
  }

  /** A KV v2 mount answers 400 until it has prepared itself in the background. */
  async #whenUpgraded(): Promise<void> {
    const deadline = Date.now() + 20_000;
    while ((await this.ask('GET', this.pathOf('kv-v2', 'none'))).status !== 404) {
      if (Date.now() > deadline) throw new Error('the KV v2 mount does not become ready');
    }
  }

  async #mountRabbit(): Promise<void> {
    this.#rabbit = await RabbitManagement.start();
    const mount = await this.#mount('rabbit', { type: 'rabbitmq' });
    await this.#must('POST', `${mount}/config/connection`, {
      connection_uri: this.#rabbit.address,
      username: 'broker-test',
      password: 'unused',
      verify_connection: false,
    });
    await this.#must('POST', `${mount}/config/lease`, { ttl: HOUR_MS / 1000, max_ttl: (2 * HOUR_MS) / 1000 });
    await this.#must('POST', `${mount}/roles/hourly`, { vhosts: JSON.stringify({ '/': { read: '.*' } }) });
  }

  async #must(method: string, path: string, body?: Data): Promise<Told> {
    const told = await this.ask(method, path, body === undefined ? {} : { body });
    if (told.status < 300) return told;
    throw new Error(`${method} ${path}: ${told.status} ${JSON.stringify(told.json)}`);
  }
}
