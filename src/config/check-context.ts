import type { EffectiveValues } from './effective.ts';
import type { Findings } from './findings.ts';
import type { Origins } from './origins.ts';
import type { ProviderSchemas } from './provider-schemas.ts';

/** What the checks of one file share. */
export interface CheckContext {
  readonly types: readonly ProviderSchemas[];
  readonly findings: Findings;
  readonly effective: EffectiveValues;
  readonly origins: Origins;
  readonly readableByOthers: boolean;
  /** Where a key belongs that stands in the wrong table. */
  readonly placeOf: (key: string) => string | undefined;
}
