import { createHash } from 'node:crypto';
import type { BrokerSetup, CredentialCheck, CredentialSpec, ProviderSpec } from '../broker/credentials.ts';
import type { CredentialCache } from '../cache/cache.ts';
import { borrowedBy } from '../config/borrowing.ts';
import type { Config, CredentialConfig, ProviderConfig } from '../config/config.ts';
import type { Login } from '../credential/life.ts';
import { BrokerError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { type Installation, packageCommands } from '../platform/installation.ts';
import type { Log } from '../platform/log.ts';
import { firstLine } from '../platform/text.ts';
import { DEFAULT_HEADER } from '../protocol/request.ts';
import { LoginAttempts, type RefusalStore } from '../providers/login-attempts.ts';
import type { LoginStore, ProviderDefinition, SessionWords } from '../providers/provider.ts';

interface SetupDeps {
  readonly definitions: readonly ProviderDefinition[];
  readonly cache: CredentialCache;
  readonly clock: Clock;
  readonly log: Log;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly stateDir: string;
  readonly upgrade: UpgradeWatch;
}

/** Makes a checked configuration ready for the broker: what identifies each source, and how to open each provider. */
export function prepareSetup(config: Config, deps: SetupDeps): BrokerSetup {
  const fingerprints = fingerprintsOf(config, deps);
  return {
    config,
    providers: [...config.providers.values()].map((provider) =>
      specifyProvider(provider, fingerprints.get(provider.name) ?? '', deps),
    ),
    credentials: [...config.credentials.values()].map((credential) => {
      const provider = config.providers.get(credential.provider);
      if (provider === undefined) throw new TypeError(`unchecked configuration: no provider "${credential.provider}"`);
      return specifyCredential(credential, provider, fingerprints.get(provider.name) ?? '', deps);
    }),
  };
}

/** What a provider logs in with is part of what it is: other keys than those of its own configuration are not its. */
function fingerprintsOf(config: Config, deps: SetupDeps): ReadonlyMap<string, string> {
  const known = new Map<string, string>();
  // A checked configuration has no circles.
  const fingerprint = (provider: ProviderConfig): string => {
    const borrowed = borrowedBy(provider, deps.definitions).map(({ credential: name }) => {
      const credential = config.credentials.get(name);
      const lender = credential && config.providers.get(credential.provider);
      return (
        lender &&
        sourceFingerprintOf(credential, known.get(lender.name) ?? fingerprint(lender), definitionOf(lender.type, deps))
      );
    });
    const own = identify(provider);
    const whole = borrowed.length === 0 ? own : hash([own, borrowed]);
    known.set(provider.name, whole);
    return whole;
  };
  for (const provider of config.providers.values()) fingerprint(provider);
  return known;
}

function sourceFingerprintOf(
  { source, field, fields }: CredentialConfig,
  providerFingerprint: string,
  definition: ProviderDefinition,
): string {
  return hash([providerFingerprint, definition.identify(source), field ?? null, fields ?? null]);
}

function specifyProvider(provider: ProviderConfig, fingerprint: string, deps: SetupDeps): ProviderSpec {
  const { name, type, options } = provider;
  const { cache, clock, log, env, homeDir, stateDir } = deps;
  const definition = definitionOf(type, deps);
  const account = definition.account?.(options);
  const attempts = new LoginAttempts(
    clock,
    account === undefined ? undefined : refusalsOf(name, hash([type, account]), cache),
  );
  const logins: LoginStore = {
    load: () => cache.logins(name, fingerprint),
    save: (login, token) => cache.saveLogin(name, fingerprint, login, token),
    remove: (loginId) => cache.removeLogin(name, loginId),
    attempts,
  };
  return {
    name,
    type,
    fingerprint,
    reach: hash(
      entriesOf(provider)
        .filter(([key]) => key in REACH)
        .sort(),
    ),
    attempts,
    borrows: borrowedBy(provider, deps.definitions).map(({ credential }) => credential),
    open: async (credentials) => {
      const create = await definition.load().catch((fault: unknown) => {
        throw deps.upgrade.explain(fault);
      });
      return create(options, {
        name,
        clock,
        log: log.child({ provider: name }),
        logins,
        credentials,
        env,
        homeDir,
        stateDir,
      });
    },
    storedLogin: (loginId) => findLogin(logins, loginId),
  };
}

function refusalsOf(provider: string, account: string, cache: CredentialCache): RefusalStore {
  return {
    provider,
    load: () => cache.refusedLogins(account),
    save: (refused) => cache.saveRefusedLogins(account, refused),
  };
}

function specifyCredential(
  config: CredentialConfig,
  provider: ProviderConfig,
  providerFingerprint: string,
  deps: SetupDeps,
): CredentialSpec {
  const definition = definitionOf(provider.type, deps);
  const identity = definition.identify(config.source);
  const sourceFingerprint = sourceFingerprintOf(config, providerFingerprint, definition);
  const sourceOf =
    config.scope !== 'session' || definition.withWords === undefined
      ? undefined
      : (words: SessionWords) => definition.withWords?.(config.source, words);
  return {
    config: { ...config, source: sourceOf?.(OF_NO_SESSION) ?? config.source },
    sourceOf,
    place: definition.describe(config.source),
    readId: `${provider.name}\n${identity}`,
    sourceFingerprint,
    check: specifyCheck(config, sourceFingerprint, deps),
  };
}

/** What the lease is read with that clients share which get none of their own. */
const OF_NO_SESSION: SessionWords = { client: 'shared', session: 'shared' };

function specifyCheck(
  { name, check, header = DEFAULT_HEADER }: CredentialConfig,
  sourceFingerprint: string,
  { clock, env }: SetupDeps,
): CredentialCheck | undefined {
  if (check === undefined) return undefined;
  return {
    url: check.url,
    fingerprint: hash([sourceFingerprint, inOrder(check), header.name, header.prefix]),
    ask: async (key, signal) => {
      // On first use: it needs all of Node's HTTP.
      const { checkKey } = await import('../providers/api-check.ts');
      return checkKey({ ...check, header }, key, { clock, env, name }, signal);
    },
  };
}

function definitionOf(type: string, { definitions }: SetupDeps): ProviderDefinition {
  const definition = definitions.find((candidate) => candidate.type === type);
  if (definition === undefined) throw new TypeError(`unchecked configuration: no provider type "${type}"`);
  return definition;
}

function findLogin(logins: LoginStore, loginId: string): Login | undefined {
  const stored = logins.load();
  try {
    return stored.find(({ login }) => login.id === loginId)?.login;
  } finally {
    for (const { token } of stored) token.wipe();
  }
}

/**
 * How a provider is reached, and not what it is: whoever raises a time limit, or names another proxy, in the middle of an outage keeps
 * the keys, and a login that cannot be made again. With what stands for it in what is stored.
 */
const REACH: Readonly<Record<string, unknown>> = { timeout: 30_000, proxy: undefined, ca_file: undefined };

/** The rest of its configuration, passwords included: the cache keeps it sealed, and nothing shows it. */
function identify(provider: ProviderConfig): string {
  const settled = entriesOf(provider).map(([key, value]) => [key, key in REACH ? REACH[key] : value]);
  return hash([provider.type, inOrder(Object.fromEntries(settled))]);
}

/** Every type's options are a table. */
function entriesOf({ options }: ProviderConfig): readonly (readonly [key: string, value: unknown])[] {
  return Object.entries(options as Readonly<Record<string, unknown>>);
}

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, inner]) => [name, inOrder(inner)]));
}

function hash(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}

/**
 * Providers are loaded when they are first needed, which may be after an upgrade has put other files in the place of
 * those that this process was started from. Then only a new process is of any use.
 */
export class UpgradeWatch {
  /** Resolves when this process should make room for another. */
  readonly needsRestart: Promise<void>;
  readonly #installation: Installation;
  readonly #log: Log;
  #restart: () => void = () => {};

  constructor(installation: Installation, log: Log) {
    this.#installation = installation;
    this.#log = log;
    this.needsRestart = new Promise((resolve) => {
      this.#restart = resolve;
    });
  }

  /**
   * Code that was to be loaded is not there, or not as expected.
   * @returns what to tell the client; a helper tries again automatically and finds the next daemon.
   */
  explain(cause: unknown): BrokerError {
    const reason = firstLine(cause instanceof Error ? cause.message : String(cause));
    if (!this.#installation.wasReplaced) {
      this.#log.error({ reason }, 'a part of the program could not be loaded');
      const remedy = `install it again: ${packageCommands().install}`;
      return new BrokerError('ERR_INTERNAL', 'a part of the program could not be loaded', { remedy, cause });
    }
    this.#log.warn({ reason }, 'the program was replaced while it ran: making room for the new one');
    this.#restart();
    const remedy = 'it restarts automatically: try again in a few seconds';
    return new BrokerError('ERR_DAEMON_UNREACHABLE', 'the daemon was upgraded while it ran', { remedy, cause });
  }
}
