import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SecretBytes } from '../../../src/credential/secret-bytes.ts';
import type { Fault as VaultFault } from '../../../src/demo/dev-vault/faults.ts';
import { DevVault } from '../../../src/demo/dev-vault.ts';
import type { FailureKind } from '../../../src/errors.ts';
import type { ProviderHost } from '../../../src/providers/definition.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import { vaultDefinition } from '../../../src/providers/vault/definition.ts';
import type { VaultOptions } from '../../../src/providers/vault/options.ts';
import { realClock } from '../../fakes/real-clock.ts';
import type {
  ConnectParts,
  Fault,
  InjectedFault,
  LeasedHarness,
  ProviderHarness,
  StoredContent,
} from '../provider-harness.ts';

const POLICY = 'reader';
const RULES = ['kv/*', 'secret/data/*', 'apikeys/creds/*', 'sys/leases/revoke'];
const HOUR_MS = 3_600_000;

export type Engine = 'kv-v1' | 'kv-v2';

/** One login method of the development Vault: what `auth` says, and what spoils it. */
export interface LoginUnderTest {
  readonly name: string;
  /** Sets the login up; returns the `auth` table. */
  prepare(vault: DevVault, folder: string): Promise<Readonly<Record<string, unknown>>>;
  /** No login can be had any more, by the fault of its inputs. */
  spoil(vault: DevVault, folder: string): Promise<void>;
  mend(vault: DevVault, folder: string): Promise<void>;
  /** What a person does before a provider can read anything, and after `mend()`. */
  logIn?(options: VaultOptions, host: ProviderHost): Promise<SecretBytes>;
  /** Whether the broker logs in itself, so that its logins are kept and leases hang on them. */
  readonly ours: boolean;
}

export const GRANT = { policies: [POLICY], ttlMs: HOUR_MS, maxTtlMs: 24 * HOUR_MS };

/** The development Vault behind the conformance suite, over a real socket. */
export class VaultHarness implements ProviderHarness {
  readonly capabilities;
  readonly faults: Partial<Record<Fault, () => Promise<InjectedFault>>>;
  readonly loginChange;
  declare readonly leased?: LeasedHarness;
  readonly #login: LoginUnderTest;
  readonly #engine: Engine;
  #vault: DevVault | undefined;
  #folder = '';
  #auth: Readonly<Record<string, unknown>> = {};
  #canary = '';
  #logIn: () => Promise<void> = async () => {};

  constructor(engine: Engine, login: LoginUnderTest) {
    this.#engine = engine;
    this.#login = login;
    this.capabilities = {
      contents: ['json'] as const,
      versions: engine === 'kv-v2',
      serverTime: true,
      missing: 'gone' as FailureKind,
      leases: login.ours,
      logins: login.ours,
    };
    this.loginChange = {
      spoil: () => login.spoil(this.vault, this.#folder),
      mend: () => this.#mend(),
    };
    this.faults = this.#everyFault();
    if (login.ours) {
      this.leased = {
        source: async () => vaultDefinition.credentialSchema.parse({ path: 'apikeys/creds/hourly' }),
        isLive: async (id: string) => this.vault.leases.find(id) !== undefined,
        dropLogins: async () => {
          this.#dropLogins();
          await this.#logIn();
        },
      };
    }
  }

  get vault(): DevVault {
    if (this.#vault === undefined) throw new Error('the harness was not started');
    return this.#vault;
  }

  async start(canary: string): Promise<void> {
    this.#canary = canary;
    this.#folder = await mkdtemp(join(tmpdir(), 'broker-vault-'));
    this.#vault = await DevVault.start({ nowMs: Date.now, secretPrefix: canary });
    this.vault.policies.write(POLICY, RULES);
    this.vault.engines.role('hourly', { ttlMs: HOUR_MS, maxTtlMs: 2 * HOUR_MS });
    this.#auth = await this.#login.prepare(this.vault, this.#folder);
  }

  async stop(): Promise<void> {
    await this.vault.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async connect(parts: ConnectParts): Promise<Provider> {
    const create = await vaultDefinition.load();
    const options = vaultDefinition.providerSchema.parse({ address: this.vault.address, auth: this.#auth });
    const host = { ...parts, name: 'under-test', clock: realClock, homeDir: this.#folder, env: {} };
    const provider = create(options, host);
    this.#logIn = async () => {
      using token = await this.#login.logIn?.(options, host);
      if (token !== undefined) await provider.takeLogin?.(token, { signal: new AbortController().signal });
    };
    if (parts.logins.load().length === 0) await this.#logIn();
    return provider;
  }

  async #mend(): Promise<void> {
    await this.#login.mend(this.vault, this.#folder);
    await this.#logIn();
  }

  async store(name: string, content: StoredContent): Promise<unknown> {
    await this.rotate(name, content);
    const path = this.#engine === 'kv-v1' ? `kv/${name}` : `secret/data/${name}`;
    return vaultDefinition.credentialSchema.parse({ path });
  }

  async rotate(name: string, content: StoredContent): Promise<void> {
    const data = typeof content === 'string' ? { key: content } : content;
    if (this.#engine === 'kv-v1') this.vault.kv.writeV1(`kv/${name}`, data);
    else this.vault.kv.writeV2(`secret/${name}`, data);
  }

  async remove(name: string): Promise<void> {
    if (this.#engine === 'kv-v1') this.vault.kv.deleteV1(`kv/${name}`);
    else this.vault.kv.deleteV2(`secret/${name}`);
  }

  #everyFault(): Partial<Record<Fault, () => Promise<InjectedFault>>> {
    const plan = (fault: () => VaultFault) => async () => {
      const planned = this.vault.faults.plan(fault(), { times: Number.POSITIVE_INFINITY });
      return { reached: planned.reached, clear: async () => planned.clear() };
    };
    const refuse = (status: number, words: string, headers = {}) =>
      plan(() => ({
        kind: 'answer',
        status,
        headers,
        body: JSON.stringify({ errors: [`${words} hvs.${this.#canary}0123456789`] }),
      }));
    return {
      unavailable: refuse(503, 'Vault is sealed'),
      throttled: refuse(429, 'rate limit quota exceeded for', { 'retry-after': '7' }),
      misconfigured: refuse(404, 'no handler for route'),
      html: plan(() => ({
        kind: 'answer',
        status: 502,
        headers: { 'content-type': 'text/html' },
        body: `<html><h1>Bad Gateway</h1>${this.#canary}</html>`,
      })),
      reset: plan(() => ({ kind: 'reset' })),
      'cut-off': plan(() => ({ kind: 'cut' })),
      oversized: plan(() => ({ kind: 'huge', bytes: 300_000_000 })),
      hang: plan(() => ({ kind: 'hang' })),
      'slow-drip': plan(() => ({ kind: 'drip', everyMs: 20 })),
      refused: () => this.#goDown(),
      denied: () => this.#deny(),
      'login-expired': () => this.#endLogins(),
    };
  }

  async #goDown(): Promise<InjectedFault> {
    await this.vault.stop();
    return { reached: Promise.resolve(), clear: () => this.vault.comeUp() };
  }

  async #deny(): Promise<InjectedFault> {
    this.vault.policies.write(POLICY, []);
    return { reached: Promise.resolve(), clear: async () => this.vault.policies.write(POLICY, RULES) };
  }

  async #endLogins(): Promise<InjectedFault> {
    await this.#login.spoil(this.vault, this.#folder);
    this.#dropLogins();
    return { reached: Promise.resolve(), clear: () => this.#mend() };
  }

  #dropLogins(): void {
    for (const { id } of this.vault.tokens.live()) if (id !== this.vault.rootToken) this.vault.tokens.revoke(id);
  }
}

/** A file in the harness's folder that only its owner can read. */
export async function privateFile(folder: string, name: string, content: string): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, content, { mode: 0o600 });
  return file;
}
