import { randomBytes } from 'node:crypto';
import { DevVault } from '../../../src/demo/dev-vault.ts';
import { ask } from './ask.ts';
import { type Ask, type Data, type Engine, HOUR_MS, type Told, type VaultStage } from './vault-stage.ts';

const POLICY = 'reader';
const RULES = ['kv/*', 'secret/data/*', 'apikeys/creds/*', 'identity/oidc/token/*', 'sys/leases/revoke'];
export const GRANT = { policies: [POLICY], ttlMs: HOUR_MS, maxTtlMs: 24 * HOUR_MS };

/** The development Vault, over a real socket. */
export class DevStage implements VaultStage {
  readonly leasePath = 'apikeys/creds/hourly';
  readonly policy = POLICY;
  /** For logins that only the development Vault can play. */
  readonly vault: DevVault;

  private constructor(vault: DevVault) {
    this.vault = vault;
  }

  static async open(canary: string): Promise<DevStage> {
    const vault = await DevVault.start({ nowMs: Date.now, secretPrefix: canary });
    vault.policies.write(POLICY, RULES);
    vault.engines.role('hourly', { ttlMs: HOUR_MS, maxTtlMs: 2 * HOUR_MS });
    return new DevStage(vault);
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
    return ask(this.address, method, path, { token: this.vault.rootToken, ...parts });
  }

  pathOf(engine: Engine, name: string): string {
    return engine === 'kv-v1' ? `kv/${name}` : `secret/data/${name}`;
  }

  async put(engine: Engine, name: string, data: Data): Promise<void> {
    if (engine === 'kv-v1') this.vault.kv.writeV1(`kv/${name}`, data);
    else this.vault.kv.writeV2(`secret/${name}`, data);
  }

  async putEnding(name: string, data: Data, lifeMs: number): Promise<void> {
    this.vault.kv.writeV2(`secret/${name}`, data, { deletedAtMs: Date.now() + lifeMs });
  }

  async remove(engine: Engine, name: string): Promise<void> {
    if (engine === 'kv-v1') this.vault.kv.deleteV1(`kv/${name}`);
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
    this.vault.logins.secretId('broker', { id: secretId });
    return { mount: 'approle', roleId };
  }

  async wrappedSecretId(): Promise<string> {
    return this.vault.wrapSecretId('broker');
  }

  async user(name: string, password: string) {
    this.vault.logins.user('userpass', name, password, GRANT);
    return { mount: 'userpass' };
  }

  async jwt() {
    const jwt = `eyJ.${randomBytes(12).toString('hex')}.x`;
    this.vault.logins.jwtRole('kubernetes', 'pod', jwt, { ...GRANT, type: 'batch' });
    return { method: 'kubernetes', mount: 'kubernetes', role: 'pod', jwt } as const;
  }

  async token(): Promise<string> {
    return this.vault.createToken(GRANT).id;
  }

  async dropLogins(): Promise<void> {
    const { tokens, rootToken } = this.vault;
    for (const { id } of tokens.live()) if (id !== rootToken) tokens.revoke(id);
  }
}
