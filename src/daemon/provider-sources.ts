import { createHash } from 'node:crypto';
import type { BrokerSetup, CredentialSpec, ProviderSpec } from '../broker/credentials.ts';
import type { CredentialCache } from '../cache/cache.ts';
import type { Config, CredentialConfig, ProviderConfig } from '../config/config.ts';
import type { Login } from '../credential/life.ts';
import type { BrokerError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import type { LoginStore, ProviderDefinition } from '../providers/provider.ts';

interface SetupDeps {
  readonly definitions: readonly ProviderDefinition[];
  readonly cache: CredentialCache;
  readonly clock: Clock;
  readonly log: Log;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  /** Code that was to be loaded is not there, or not as expected. Returns what to tell whoever asked. */
  readonly onLost: (cause: unknown) => BrokerError;
}

/** Makes a checked configuration ready for the broker: what identifies each source, and how to open each provider. */
export function prepareSetup(config: Config, deps: SetupDeps): BrokerSetup {
  const fingerprints = new Map([...config.providers.values()].map((provider) => [provider.name, identify(provider)]));
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

function specifyProvider(provider: ProviderConfig, fingerprint: string, deps: SetupDeps): ProviderSpec {
  const { name, type, options } = provider;
  const { cache, clock, log, env, homeDir } = deps;
  const logins: LoginStore = {
    load: () => cache.logins(name, fingerprint),
    save: (login, token) => cache.saveLogin(name, fingerprint, login, token),
    remove: (loginId) => cache.removeLogin(name, loginId),
  };
  return {
    name,
    type,
    fingerprint,
    open: async () => {
      const create = await definitionOf(type, deps)
        .load()
        .catch((fault: unknown) => {
          throw deps.onLost(fault);
        });
      return create(options, { name, clock, log: log.child({ provider: name }), logins, env, homeDir });
    },
    storedLogin: (loginId) => findLogin(logins, loginId),
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
  return {
    config,
    place: definition.describe(config.source),
    readId: `${provider.name}\n${identity}`,
    sourceFingerprint: hash([providerFingerprint, identity, config.field ?? null, config.fields ?? null]),
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

function identify({ type, options }: ProviderConfig): string {
  return hash([type, withoutSecrets(options)]);
}

const SECRET_NAME = /^(?:token|password|secret_id|secret|jwt)$/;

/** The fingerprint is stored in the clear, so nothing that could be guessed from it may go in. */
function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !SECRET_NAME.test(name))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inner]) => [name, withoutSecrets(inner)]),
  );
}

function hash(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}
