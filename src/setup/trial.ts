import type { LoadedConfig } from '../config/load.ts';
import { expandHome } from '../config/paths.ts';
import { selectField, servableFields } from '../credential/field.ts';
import { toKey } from '../credential/key.ts';
import type { Json, SecretBytes } from '../credential/secret.ts';
import { BrokerError, ProviderError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { silentLog } from '../platform/log.ts';
import { fingerprint } from '../platform/text.ts';
import { within } from '../platform/waiting.ts';
import { LoginAttempts } from '../providers/login-attempts.ts';
import {
  type Call,
  type IssuedSecret,
  type LoginDialogue,
  type LoginStore,
  lendsNothing,
  type Provider,
  type ProviderHost,
  type StoredLogin,
} from '../providers/provider.ts';
import { findDefinition } from '../providers/registry.ts';
import { vaultDefinition } from '../providers/vault/options.ts';
import { recordedEnvironment } from '../service/manager.ts';
import { INHERITED } from '../service/unmanaged.ts';
import type { Answers, Plan } from './draft.ts';
import { kindOf } from './kinds.ts';
import { FACTS_PATH, factsIn, factsOf, type VaultFacts } from './vault-facts.ts';

interface TrialInputs {
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly dialogue: LoginDialogue;
  readonly signal: AbortSignal;
  readonly session: Session;
}

export interface Trial {
  /** Kind, length and a digest of the key; undefined where `fields` leaves a choice. */
  readonly fingerprint: string | undefined;
  /** Names of the values in the secret, if one of them has to be chosen. */
  readonly fields: readonly string[];
  /** Every read issues another one. */
  readonly leased: boolean;
}

/** A trial with more of this shell's variables than the daemon will have would promise too much. */
const WANTED_LIFE_MS = 600_000;

/**
 * Logs in and reads the secret with the very provider that the daemon will use, in this process and before anything is
 * written. The value is looked at and wiped; leases are given back, and logins when the session is over.
 *
 * @throws ProviderError what the provider says; BrokerError what is wrong with the answers.
 */
export function tryOut(loaded: LoadedConfig, plan: Plan, inputs: TrialInputs): Promise<Trial> {
  const field = plan.field ?? undefined;
  return readOnce(loaded, plan, inputs, async (source, provider, call) =>
    judge(await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, call), field, provider, call),
  );
}

/** Logs in as `tryOut` does, and asks Vault what is mounted; undefined if this login may not ask that. */
export function lookIntoVault(loaded: LoadedConfig, plan: Plan, inputs: TrialInputs): Promise<VaultFacts | undefined> {
  const source = vaultDefinition.credentialSchema.parse({ path: FACTS_PATH });
  return readOnce(loaded, plan, inputs, async (_, provider, call) => {
    try {
      return factsOf((await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, call)).content);
    } catch (error) {
      if (error instanceof ProviderError && error.concerns === 'secret') return undefined;
      throw error;
    }
  });
}

/**
 * Asks Vault what everybody may know, without a login; undefined if it does not say.
 *
 * @throws ProviderError if nothing of Vault's answers there.
 */
export async function lookAtVault(
  options: Answers,
  inputs: Pick<TrialInputs, 'clock' | 'env' | 'homeDir' | 'signal'>,
): Promise<VaultFacts | undefined> {
  const [{ VaultClient }, { refusalIn }] = await Promise.all([
    import('../providers/vault/client.ts'),
    import('../providers/vault/failures.ts'),
  ]);
  const logins = new TrialLogins(inputs.clock);
  const client = new VaultClient(
    vaultDefinition.providerSchema.parse(absolute(options, inputs.homeDir)),
    hostOf('vault', inputs, logins),
  );
  const late = () => new BrokerError('ERR_PROVIDER_UNAVAILABLE', 'Vault does not answer');
  try {
    const asked = { what: 'read', method: 'GET', path: FACTS_PATH, isRepeatable: true } as const;
    const limit = { clock: inputs.clock, limitMs: LOOK_LIMIT_MS, late };
    const reply = await within([inputs.signal], limit, (signal) => client.send(asked, signal));
    const refusal = refusalIn(reply);
    if (refusal?.concerns === 'address') throw refusal;
    return refusal === undefined ? factsIn(reply.json) : undefined;
  } catch (error) {
    // One that is slow may still be the right one.
    if (error instanceof ProviderError || inputs.signal.aborted) throw error;
    return undefined;
  } finally {
    client.close();
  }
}

const LOOK_LIMIT_MS = 5_000;

function absolute(options: Answers, homeDir: string): Record<string, string | number> {
  const entries = Object.entries(options);
  return Object.fromEntries(
    entries.map(([key, value]) => [key, typeof value === 'string' ? expandHome(value, homeDir) : value]),
  );
}

function hostOf(
  name: string,
  inputs: Pick<TrialInputs, 'clock' | 'env' | 'homeDir'>,
  logins: TrialLogins,
): ProviderHost {
  const { clock, env, homeDir } = inputs;
  const inherited = Object.fromEntries(INHERITED.map((variable) => [variable, env[variable]]));
  const daemonEnv = { ...inherited, ...recordedEnvironment({ env }) };
  return { name, clock, log: silentLog, logins, credentials: lendsNothing, env: daemonEnv, homeDir };
}

async function readOnce<Result>(
  { config }: LoadedConfig,
  plan: Plan,
  inputs: TrialInputs,
  ask: (source: unknown, provider: Provider, call: Call) => Promise<Result>,
): Promise<Result> {
  const provider = config.providers.get(plan.providerName);
  const credential = config.credentials.get(plan.credential);
  const definition = findDefinition(kindOf(plan.kind).type);
  if (provider === undefined || credential === undefined || definition === undefined) {
    throw new TypeError('a plan that is not in its own configuration');
  }
  const { session, clock } = inputs;
  const call = { signal: inputs.signal };
  const create = await definition.load();
  const logins = await session.loginsFor(JSON.stringify(provider.options), clock, (own) =>
    create(provider.options, hostOf(plan.providerName, inputs, own)),
  );
  const host = hostOf(plan.providerName, inputs, logins);
  const tried = create(provider.options, host);
  try {
    if (definition.interactive?.isNeeded(provider.options)) {
      const logIn = await definition.interactive.load();
      if (session.token === undefined) session.set(await logIn(provider.options, host, inputs.dialogue, call));
      if (session.token !== undefined) await tried.takeLogin?.(session.token, call);
    }
    return await ask(credential.source, tried, call);
  } catch (error) {
    // Refused once, a login is not tried again; here the person has changed something.
    await session.giveBack();
    throw error;
  } finally {
    tried.close();
  }
}

async function judge(
  { content, lease }: IssuedSecret,
  field: string | undefined,
  provider: Provider,
  call: { readonly signal: AbortSignal },
): Promise<Trial> {
  const leased = lease !== undefined;
  try {
    if (content.kind === 'text') {
      if (field !== undefined) {
        throw new ProviderError('misconfigured', `the secret is plain text, so it has no field "${field}"`, {
          remedy: 'leave the field out',
        });
      }
      using key = toKey(content.text.bytes, 'the secret');
      return { fingerprint: fingerprint(key.reveal()), fields: [], leased };
    }
    const names = servableFields(content.json);
    if (field === undefined && names.length > 0 && !isTheOnlyText(names[0], content.json)) {
      return { fingerprint: undefined, fields: names, leased };
    }
    const { value, origin } = selectField(content.json, field);
    using key = toKey(Buffer.from(value), origin);
    return { fingerprint: fingerprint(key.reveal()), fields: [], leased };
  } finally {
    if (content.kind === 'text') content.text.wipe();
    // A login that may not revoke it lets it lapse.
    if (lease !== undefined) {
      const asHeld = { ...lease, issuedAtMs: 0, expiresAtMs: 0, maxExpiresAtMs: undefined };
      await provider.revoke?.(asHeld, call).catch(() => undefined);
    }
  }
}

/** Then it needs no `field`. */
function isTheOnlyText(name: string | undefined, json: Json): boolean {
  const texts = Object.entries(json).filter(([, value]) => typeof value === 'string');
  return texts.length === 1 && texts[0]?.[0] === name;
}

const GIVE_BACK_MS = 2_000;

/**
 * What lasts from the first question to the last step: the login that a person makes, once, however often is tried, and then
 * for the daemon; and the logins of the trials, which end with it.
 */
export class Session {
  #token: SecretBytes | undefined;
  #kept:
    | { readonly of: string; readonly logins: TrialLogins; readonly open: (logins: TrialLogins) => Provider }
    | undefined;
  #undo: (() => Promise<void>) | undefined;

  get token(): SecretBytes | undefined {
    return this.#token;
  }

  set(token: SecretBytes): void {
    this.end();
    this.#token = token;
  }

  end(): void {
    this.#token?.wipe();
    this.#token = undefined;
  }

  /** Something that was done ahead of the steps: `undo` takes it back unless all of them succeed. */
  onFailure(undo: () => Promise<void>): void {
    this.#undo = undo;
  }

  succeeded(): void {
    this.#undo = undefined;
  }

  /** The same for the same provider: a secret-id that is good once is used once. */
  async loginsFor(of: string, clock: Clock, open: (logins: TrialLogins) => Provider): Promise<TrialLogins> {
    if (this.#kept?.of !== of) {
      await this.giveBack();
      this.#kept = { of, logins: new TrialLogins(clock), open };
    }
    return this.#kept?.logins ?? new TrialLogins(clock);
  }

  /**
   * A provider opened again finds the logins of the trials in the store, in use for nothing, and retires them. What cannot be
   * given back ends with its own time; a person's login is the daemon's from now on.
   */
  async giveBack(): Promise<void> {
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept === undefined) return;
    if (kept.logins.ids.length > 0 && this.#token === undefined) {
      const provider = kept.open(kept.logins);
      for (const id of kept.logins.ids) {
        await provider.retireLogin?.(id, { signal: AbortSignal.timeout(GIVE_BACK_MS) }).catch(() => undefined);
      }
      provider.close();
    }
    kept.logins.wipe();
  }

  async close(): Promise<void> {
    await this.giveBack();
    this.end();
    await this.#undo?.();
  }
}

/** A store that lives as long as the trial. */
class TrialLogins implements LoginStore {
  readonly attempts: LoginAttempts;
  readonly #stored = new Map<string, StoredLogin>();

  constructor(clock: Clock) {
    this.attempts = new LoginAttempts(clock);
  }

  get ids(): readonly string[] {
    return [...this.#stored.keys()];
  }

  load(): readonly StoredLogin[] {
    return [...this.#stored.values()].map(({ login, token }) => ({ login, token: token.copy() }));
  }

  save(login: StoredLogin['login'], token: SecretBytes): void {
    this.remove(login.id);
    this.#stored.set(login.id, { login, token: token.copy() });
  }

  remove(id: string): void {
    this.#stored.get(id)?.token.wipe();
    this.#stored.delete(id);
  }

  wipe(): void {
    for (const id of this.ids) this.remove(id);
  }
}
