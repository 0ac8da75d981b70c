import type { z } from 'zod';

/** What the configuration has to know about a provider type to check its tables; providers/definition.ts extends it. */
export interface ProviderSchemas<Options = unknown, Source = unknown> {
  /** The value of `type` in `[providers.NAME]`. */
  readonly type: string;
  /** The keys of `[providers.NAME]` but `type`. Strict. */
  readonly providerSchema: z.ZodType<Options>;
  /** The keys of `[credentials.NAME]` that are this provider's own. Strict; the common ones are taken out before. */
  readonly credentialSchema: z.ZodType<Source>;
  /** What environment variables contribute where the configuration is silent: dotted key → variables, first that is set. */
  readonly environmentDefaults: Readonly<Record<string, readonly string[] | EnvironmentRule>>;
}

/** For a key whose variable depends on the rest of the table, which has what the keys before it contributed. */
export interface EnvironmentRule {
  variablesFor(
    table: Readonly<Record<string, unknown>>,
    env: Readonly<Record<string, string | undefined>>,
  ): readonly string[];
}
