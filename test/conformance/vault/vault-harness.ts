import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FailureKind } from '../../../src/errors.ts';
import type { Clock } from '../../../src/platform/clock.ts';
import { lendsNothing, type Provider } from '../../../src/providers/provider.ts';
import { vaultDefinition } from '../../../src/providers/vault/options.ts';
import type { Fault as VaultFault } from '../../fakes/dev-vault/faults.ts';
import type {
  ConnectParts,
  Fault,
  InjectedFault,
  LeasedHarness,
  ProviderHarness,
  StoredContent,
} from '../provider-harness.ts';
import type { LoginUnderTest } from './logins-under-test.ts';
import type { Data, Engine, IssuingEngine, VaultStage } from './vault-stage.ts';

export interface HarnessParts {
  readonly engine: Engine | IssuingEngine;
  readonly login: LoginUnderTest;
  /** Whether the stage has a `leasePath`. */
  readonly leases: boolean;
  readonly clock: Clock;
  open(canary: string): Promise<VaultStage>;
}

/** The Vault provider on a stage, development or real. */
export class VaultHarness implements ProviderHarness {
  readonly capabilities;
  readonly faults: Partial<Record<Fault, () => Promise<InjectedFault>>>;
  readonly loginChange;
  declare readonly leased?: LeasedHarness;
  readonly #parts: HarnessParts;
  #stage: VaultStage | undefined;
  #folder = '';
  #issuing: Promise<Data> | undefined;
  #auth: Data = {};
  #canary = '';
  #logIn: () => Promise<void> = async () => {};

  constructor(parts: HarnessParts) {
    this.#parts = parts;
    const { login, engine } = parts;
    const issues = isIssuing(engine);
    const leases = parts.leases && login.ours;
    this.capabilities = {
      contents: issues ? [] : (['json'] as const),
      issues,
      versions: engine === 'kv-v2',
      serverTime: true,
      missing: 'gone' as FailureKind,
      leases,
      logins: leases,
    };
    this.loginChange = {
      spoil: () => login.spoil(this.#folder),
      fix: () => this.#fix(),
    };
    this.faults = this.#everyFault();
    if (leases) {
      this.leased = {
        source: async () => vaultDefinition.credentialSchema.parse({ path: this.stage.leasePath }),
        isLive: (id: string) => this.stage.isLive(id),
        dropLogins: async () => {
          await this.stage.dropLogins();
          await this.#logIn();
        },
      };
    }
  }

  get stage(): VaultStage {
    if (this.#stage === undefined) throw new Error('the harness was not started');
    return this.#stage;
  }

  async start(canary: string): Promise<void> {
    this.#canary = canary;
    this.#folder = await mkdtemp(join(tmpdir(), 'broker-vault-'));
    this.#stage = await this.#parts.open(canary);
    this.#auth = await this.#parts.login.prepare(this.stage, this.#folder, canary);
  }

  async stop(): Promise<void> {
    await this.#stage?.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async connect(parts: ConnectParts): Promise<Provider> {
    const create = await vaultDefinition.load();
    const { login } = this.#parts;
    await login.beforeConnecting?.(this.stage, this.#folder);
    const own = { address: this.stage.address, auth: this.#auth, ...login.options?.() };
    const options = vaultDefinition.providerSchema.parse(own);
    const host = {
      ...parts,
      name: 'under-test',
      clock: this.#parts.clock,
      homeDir: this.#folder,
      env: {},
      credentials: lendsNothing,
    };
    const provider = create(options, host);
    this.#logIn = async () => {
      using token = await login.logIn?.(options, host);
      if (token !== undefined) await provider.takeLogin?.(token, { signal: new AbortController().signal });
    };
    if (parts.logins.load().length === 0) await this.#logIn();
    return provider;
  }

  async #fix(): Promise<void> {
    await this.#parts.login.fix(this.stage, this.#folder);
    await this.#logIn();
  }

  async store(name: string, content: StoredContent): Promise<unknown> {
    const { engine } = this.#parts;
    if (isIssuing(engine)) {
      this.#issuing ??= this.#issuingSource(engine);
      return vaultDefinition.credentialSchema.parse(await this.#issuing);
    }
    await this.rotate(name, content);
    return vaultDefinition.credentialSchema.parse({ path: this.stage.pathOf(engine, name) });
  }

  async #issuingSource(engine: IssuingEngine): Promise<Data> {
    switch (engine) {
      case 'dynamic':
        return { path: this.stage.leasePath };
      case 'identity-token':
        return { path: await this.stage.oidcRole() };
      case 'posted':
        return { method: 'POST', ...(await this.stage.postEngine()) };
    }
  }

  async rotate(name: string, content: StoredContent): Promise<void> {
    const data = typeof content === 'string' ? { key: content } : content;
    await this.stage.put(this.#stored, name, data);
  }

  async remove(name: string): Promise<void> {
    await this.stage.remove(this.#stored, name);
  }

  get #stored(): Engine {
    const { engine } = this.#parts;
    if (isIssuing(engine)) throw new TypeError(`nothing is stored in ${engine}`);
    return engine;
  }

  #everyFault(): Partial<Record<Fault, () => Promise<InjectedFault>>> {
    const plan = (fault: () => VaultFault) => async () => {
      const planned = this.stage.faults.plan(fault(), { times: Number.POSITIVE_INFINITY });
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
      // A cubbyhole is its token's own: no policy is asked.
      ...(this.#parts.engine === 'cubbyhole' ? {} : { denied: () => this.#deny() }),
      'login-expired': () => this.#endLogins(),
    };
  }

  async #goDown(): Promise<InjectedFault> {
    await this.stage.goDown();
    return { reached: Promise.resolve(), clear: () => this.stage.comeUp() };
  }

  async #deny(): Promise<InjectedFault> {
    await this.stage.allow(false);
    return { reached: Promise.resolve(), clear: () => this.stage.allow(true) };
  }

  async #endLogins(): Promise<InjectedFault> {
    const { login } = this.#parts;
    await login.spoil(this.#folder);
    await this.stage.dropLogins();
    return { reached: Promise.resolve(), clear: () => this.#fix() };
  }
}

function isIssuing(engine: Engine | IssuingEngine): engine is IssuingEngine {
  return ['dynamic', 'identity-token', 'posted'].includes(engine);
}
