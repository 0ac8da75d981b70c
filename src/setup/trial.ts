import type { LoadedConfig } from '../config/load.ts';
import { selectField, servableFields } from '../credential/field.ts';
import { toKey } from '../credential/key.ts';
import type { Json, SecretBytes } from '../credential/secret.ts';
import { ProviderError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { silentLog } from '../platform/log.ts';
import { fingerprint } from '../platform/text.ts';
import { LoginAttempts } from '../providers/login-attempts.ts';
import {
  type IssuedSecret,
  type LoginDialogue,
  type LoginStore,
  lendsNothing,
  type Provider,
  type ProviderHost,
  type StoredLogin,
} from '../providers/provider.ts';
import { findDefinition } from '../providers/registry.ts';
import { INHERITED } from '../service/unmanaged.ts';
import type { Plan } from './draft.ts';

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
const DAEMON_VARIABLES = [...INHERITED, 'PATH'];
const WANTED_LIFE_MS = 600_000;

/**
 * Logs in and reads the secret with the very provider that the daemon will use, in this process and before anything is
 * written. The value is looked at and wiped; leases and logins of the trial are given back.
 *
 * @throws ProviderError what the provider says; BrokerError what is wrong with the answers.
 */
export async function tryOut({ config }: LoadedConfig, plan: Plan, inputs: TrialInputs): Promise<Trial> {
  const provider = config.providers.get(plan.providerName);
  const credential = config.credentials.get(plan.credential);
  const definition = findDefinition(plan.kind);
  if (provider === undefined || credential === undefined || definition === undefined) {
    throw new TypeError('a plan that is not in its own configuration');
  }
  const logins = new TrialLogins(inputs.clock);
  const host: ProviderHost = {
    name: plan.providerName,
    clock: inputs.clock,
    log: silentLog,
    logins,
    credentials: lendsNothing,
    env: Object.fromEntries(DAEMON_VARIABLES.map((name) => [name, inputs.env[name]])),
    homeDir: inputs.homeDir,
  };
  const call = { signal: inputs.signal };
  const create = await definition.load();
  const open = () => create(provider.options, host);
  const tried = open();
  const request = { source: credential.source, wantedLifeMs: WANTED_LIFE_MS };
  const { session } = inputs;
  try {
    if (definition.interactive?.isNeeded(provider.options)) {
      const logIn = await definition.interactive.load();
      if (session.token === undefined) session.set(await logIn(provider.options, host, inputs.dialogue, call));
      if (session.token !== undefined) await tried.takeLogin?.(session.token, call);
    }
    const issued = await tried.issue(request, call);
    return await judge(issued, plan.field, tried, call);
  } finally {
    tried.close();
    // A person's login is the daemon's from now on.
    if (session.token === undefined) await giveBack(open, logins);
    logins.wipe();
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
 * Logins that the trial made end with it: a provider opened again finds them in the store, in use for nothing, and
 * retires them. What cannot be given back ends with its own time.
 */
async function giveBack(open: () => Provider, logins: TrialLogins): Promise<void> {
  if (logins.ids.length === 0) return;
  const provider = open();
  for (const id of logins.ids) {
    await provider.retireLogin?.(id, { signal: AbortSignal.timeout(GIVE_BACK_MS) }).catch(() => undefined);
  }
  provider.close();
  logins.wipe();
}

/** The login that a person makes on the way: once, however often is tried, and then for the daemon. */
export class Session {
  #token: SecretBytes | undefined;

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
