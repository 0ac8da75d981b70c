import type { z } from 'zod';
import type { EffectiveValues } from './effective.ts';
import type { Contributions, Environment } from './environment.ts';
import { type CheckedTable, explainIssues, kindOf } from './explain.ts';
import type { Findings } from './faults.ts';
import type { KeyPath } from './positions.ts';
import { commonCredentialSchema, daemonSchema, type ProviderSchemas, type SourceConflict } from './schema.ts';
import { childSchema, isTable, keysOf, type Table, unwrap } from './walk.ts';

/** What the checks of one file share. */
export interface CheckContext {
  readonly file: string;
  readonly types: readonly ProviderSchemas[];
  readonly env: Environment;
  readonly homeDir: string;
  readonly findings: Findings;
  readonly effective: EffectiveValues;
  readonly contributions: Contributions;
  readonly readableByOthers: boolean;
  readonly platform: NodeJS.Platform;
  readonly mayBeUnfinished: boolean;
}

/** What a table becomes by its schema; undefined: it has faults, which are then in `findings`. */
export function parsed<T>(
  schema: z.ZodType<T>,
  table: Omit<CheckedTable, 'schema'>,
  { findings }: CheckContext,
): { readonly data: T } | undefined {
  const result = schema.safeParse(table.value);
  if (result.success) return result;
  findings.add(...explainIssues(result.error.issues, { ...table, schema }));
  return undefined;
}

export function requireTable(
  value: unknown,
  path: KeyPath,
  written: string,
  { findings }: CheckContext,
): value is Table {
  if (isTable(value)) return true;
  findings.add({ path, message: `this is ${kindOf(value)}, not a table`, remedy: `write a table${written}` });
  return false;
}

/** Where a key of the common tables belongs, for keys in the wrong one. */
export function placeOfCommonKey(key: string): string | undefined {
  if (key === 'default') return 'at the top of the file, above the first [table]';
  if (key === 'providers' || key === 'credentials') return `in tables of its own: [${key}.NAME]`;
  if (keysOf(daemonSchema, {}).includes(key)) return 'in [daemon]';
  if (keysOf(commonCredentialSchema, {}).includes(key)) return 'in [credentials.NAME]';
  return undefined;
}

export function warnOfRisks(
  risks: readonly SourceConflict[] | undefined,
  base: KeyPath,
  { findings }: CheckContext,
): void {
  for (const { key, message, remedy } of risks ?? []) findings.warn({ path: [...base, key], message, remedy });
}

/** The methods of login that have this key; none where the type has no table for that. */
export function loginsWith({ providerSchema }: ProviderSchemas, key: string): readonly string[] {
  const login = childSchema(providerSchema, 'auth', {});
  const def = login && unwrap(login).core._zod.def;
  if (def?.type !== 'union') return [];
  return def.options.flatMap((each) => {
    if (!keysOf(each, {}).includes(key)) return [];
    return [...(childSchema(each, 'method', {})?._zod.values ?? [])].map(String);
  });
}
