import type { ProviderKind } from './questions.ts';

/** What a person wants set up, as far as it is known. Keys are those of the configuration file. */
export interface Draft {
  kind: ProviderKind | undefined;
  /** Of `[providers.NAME]`; undefined: a free one is chosen. */
  providerName: string | undefined;
  /** The provider's own keys but `auth`. */
  readonly options: Record<string, string>;
  /** `[providers.NAME.auth]`; without a method there is no such table. */
  readonly auth: Record<string, string | number>;
  /** Where the secret lies. */
  readonly source: Record<string, string>;
  field: string | undefined;
  credential: string | undefined;
  scope: SettingsScope | undefined;
  service: boolean | undefined;
}

/** Whose settings get the `apiKeyHelper` line; none: nobody's. */
export type SettingsScope = 'user' | 'project-local' | 'none';

/** A draft in which nothing is missing. */
export interface Plan {
  readonly kind: ProviderKind;
  readonly providerName: string;
  readonly options: Readonly<Record<string, string>>;
  readonly auth: Readonly<Record<string, string | number>>;
  readonly source: Readonly<Record<string, string>>;
  readonly field: string | undefined;
  readonly credential: string;
}
