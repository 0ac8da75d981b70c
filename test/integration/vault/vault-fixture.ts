import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ServerOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { ProviderError } from '../../../src/errors.ts';
import type { Clock } from '../../../src/platform/clock.ts';
import { type IssuedSecret, lendsNothing, type Provider } from '../../../src/providers/provider.ts';
import { vaultDefinition } from '../../../src/providers/vault/options.ts';
import { CollectingLog } from '../../fakes/collecting-log.ts';
import { DevVault, type DevVaultOptions } from '../../fakes/dev-vault/dev-vault.ts';
import { MemoryLoginStore } from '../../fakes/memory-login-store.ts';
import { realClock } from '../../fakes/real-clock.ts';

export const HOUR_MS = 3_600_000;
export const WANTED_MS = 420_000;

/** Real time, but the days can be made to pass. */
export class MovableClock implements Clock {
  #offsetMs = 0;

  now(): number {
    return Date.now() + this.#offsetMs;
  }

  wall(): number {
    return this.now();
  }

  read() {
    return { nowMs: this.now(), wallMs: this.now() };
  }

  after(delayMs: number, callback: () => void) {
    return realClock.after(delayMs, callback);
  }

  pass(ms: number): void {
    this.#offsetMs += ms;
  }
}

export interface ProviderParts {
  readonly options?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly logins?: MemoryLoginStore;
  readonly log?: CollectingLog;
  /** Default: real time. */
  readonly clock?: Clock;
}

/** A development Vault and providers for it; everything ends with the test. */
export class VaultFixture {
  readonly clock = new MovableClock();
  readonly log = new CollectingLog();
  readonly logins = new MemoryLoginStore();
  readonly vault: DevVault;
  readonly folder: string;

  private constructor(vault: DevVault, folder: string, clock: MovableClock) {
    this.vault = vault;
    this.folder = folder;
    this.clock = clock;
  }

  static async start(options: Partial<DevVaultOptions> & { readonly tls?: ServerOptions } = {}): Promise<VaultFixture> {
    const clock = new MovableClock();
    const folder = await mkdtemp(join(tmpdir(), 'broker-vault-'));
    const vault = await DevVault.start({ nowMs: () => clock.now(), ...options });
    onTestFinished(async () => {
      await vault.stop();
      await rm(folder, { recursive: true, force: true });
    });
    vault.policies.write('reader', [
      'kv/*',
      'secret/data/*',
      'apikeys/creds/*',
      'identity/oidc/token/*',
      'sys/leases/revoke',
    ]);
    return new VaultFixture(vault, folder, clock);
  }

  async file(name: string, content: string): Promise<string> {
    const path = join(this.folder, name);
    await writeFile(path, content, { mode: 0o600 });
    return path;
  }

  /** With the root token unless `options.auth` says otherwise. */
  async provider(parts: ProviderParts = {}): Promise<Provider> {
    const create = await vaultDefinition.load();
    const auth = { method: 'token', token: this.vault.rootToken };
    const options = vaultDefinition.providerSchema.parse({ address: this.vault.address, auth, ...parts.options });
    const host = {
      name: 'prod',
      clock: parts.clock ?? this.clock,
      homeDir: this.folder,
      env: parts.env ?? {},
      credentials: lendsNothing,
    };
    const provider = create(options, { ...host, log: parts.log ?? this.log, logins: parts.logins ?? this.logins });
    onTestFinished(() => provider.close());
    return provider;
  }

  /** An AppRole and a provider that logs in with it. */
  async withAppRole(grant: Parameters<DevVault['logins']['appRole']>[1], parts: ProviderParts = {}): Promise<Provider> {
    const roleId = this.vault.logins.appRole('broker', { policies: ['reader'], ...grant });
    const secret_id_file = await this.file('secret-id', this.vault.logins.secretId('broker'));
    const auth = { method: 'approle', role_id: roleId, secret_id_file };
    return await this.provider({ ...parts, options: { auth, ...parts.options } });
  }
}

export function read(
  provider: Provider,
  source: string | Readonly<Record<string, unknown>>,
  signal: AbortSignal = new AbortController().signal,
  wantedLifeMs = WANTED_MS,
): Promise<IssuedSecret> {
  const parsed = vaultDefinition.credentialSchema.parse(typeof source === 'string' ? { path: source } : source);
  return provider.issue({ source: parsed, wantedLifeMs }, { signal });
}

export function fields({ content }: IssuedSecret): Readonly<Record<string, unknown>> {
  return content.kind === 'json' ? content.json : expect.fail('a text was issued');
}

export async function failure(work: Promise<unknown>): Promise<ProviderError> {
  const error = await work.then(
    () => expect.fail('it resolved, but had to fail'),
    (reason: unknown) => reason,
  );
  if (error instanceof ProviderError) return error;
  throw error;
}
