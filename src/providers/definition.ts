import type { ProviderSchemas } from '../config/provider-schemas.ts';
import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import type { InteractiveLogin } from './interactive-login.ts';
import type { LoginStore } from './login-store.ts';
import type { Provider } from './provider.ts';

/**
 * What a provider registers: its name, its schemas, and how to load it. Importing a definition must stay cheap (zod
 * and nothing else), because every start imports all of them; the SDK behind it is imported by `load`, on first use.
 */
export interface ProviderDefinition<Options = unknown, Source = unknown> extends ProviderSchemas<Options, Source> {
  /** One line for `--help` and docs. */
  readonly summary: string;
  /**
   * Identifies the secret that a source names, within one provider: credentials with the same identity share one read.
   * Only what changes the answer belongs in it.
   */
  identify(source: Source): string;
  /** Where the secret lies, for messages to people: a path, a name. */
  describe(source: Source): string;
  /** Logins that only a person can make, for `broker login`; absent where there are none. */
  readonly interactive?: {
    /** Whether this configuration needs one. */
    isNeeded(options: Options): boolean;
    load(): Promise<InteractiveLogin<Options>>;
  };
  load(): Promise<(options: Options, host: ProviderHost) => Provider>;
}

/** What the daemon hands to a provider. */
export interface ProviderHost {
  /** The configured name, for messages. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly logins: LoginStore;
  /** The daemon's environment; providers never read process.env themselves. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
}
