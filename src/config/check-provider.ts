import type { z } from 'zod';
import type { CheckContext } from './check-context.ts';
import type { ProviderConfig } from './config.ts';
import { applyEnvironment, type Environment } from './environment.ts';
import { expandFilePaths } from './file-paths.ts';
import { explainIssues } from './issues.ts';
import type { KeyPath } from './key-path.ts';
import { isSecret } from './mask.ts';
import { nearest } from './nearest.ts';
import type { ProviderSchemas } from './provider-schemas.ts';
import { childSchema, isTable, keysOf, type Table } from './schema-walk.ts';
import { kindOf, orList, tomlValue } from './toml-words.ts';

/** Checks `[providers.NAME]`: its type, then all else by that type's own schema. */
export function checkProvider(
  name: string,
  value: unknown,
  context: CheckContext,
  surroundings: { readonly env: Environment; readonly homeDir: string },
): ProviderConfig | undefined {
  const path: KeyPath = ['providers', name];
  const { findings, effective, origins } = context;
  if (!isTable(value)) {
    findings.add({ path, message: `this is ${kindOf(value)}, not a table`, remedy: `write a table: [providers.NAME]` });
    return undefined;
  }
  const schemas = typeOf(value, path, context);
  if (schemas === undefined) return undefined;
  const { type, ...table } = value;
  applyEnvironment(table, schemas, surroundings.env, path, origins);
  expandFilePaths(table, schemas.providerSchema, surroundings.homeDir);
  effective.add([...path, 'type'], type);
  effective.addTable(path, table, schemas.providerSchema);
  warnOfInlineSecrets(table, schemas.providerSchema, path, context);

  const parsed = schemas.providerSchema.safeParse(table);
  if (parsed.success) return { name, type: schemas.type, options: parsed.data };
  const checked = {
    schema: schemas.providerSchema,
    value: table,
    base: path,
    moreKeys: ['type'],
    placeOf: (key: string) =>
      keysOf(schemas.credentialSchema, table).includes(key) ? 'in [credentials.NAME]' : context.placeOf(key),
  };
  for (const finding of explainIssues(parsed.error.issues, checked)) findings.add(finding);
  return undefined;
}

function typeOf(table: Table, base: KeyPath, { types, findings }: CheckContext): ProviderSchemas | undefined {
  const { type } = table;
  const known = types.map((schemas) => schemas.type);
  const path = [...base, 'type'];
  const all = `write type = ${orList(known.map(tomlValue))}`;
  if (type === undefined) findings.add({ path, message: 'this key is missing', remedy: all, absence: true });
  else if (typeof type !== 'string')
    findings.add({ path, message: `this is ${kindOf(type)}, not text in quotes`, remedy: all });
  else {
    const found = types.find((schemas) => schemas.type === type);
    if (found !== undefined) return found;
    const near = nearest(type, known);
    const message = `there is no provider type ${tomlValue(type.slice(0, 60))}; the types are ${known.join(', ')}`;
    findings.add({ path, message, remedy: near === undefined ? all : `write type = ${tomlValue(near)}` });
  }
  return undefined;
}

/** Works, but a file is read over shoulders, backed up and committed. */
function warnOfInlineSecrets(table: Table, schema: z.core.$ZodType, base: KeyPath, context: CheckContext): void {
  for (const [key, value] of Object.entries(table)) {
    const path = [...base, key];
    const child = childSchema(schema, key, table);
    if (isTable(value) && child !== undefined) warnOfInlineSecrets(value, child, path, context);
    if (typeof value !== 'string' || !isSecret(key, child) || context.origins.variableAt(path) !== undefined) continue;
    const fileKey = `${key}_file`;
    const keep = keysOf(schema, table).includes(fileKey)
      ? `name a 0600 file with ${fileKey} instead`
      : 'keep it elsewhere';
    const message = context.readableByOthers
      ? 'a secret stands in a file that other users can read'
      : 'a secret stands in the configuration file';
    const remedy = context.readableByOthers ? `${keep}, or at least make the file private with chmod 600` : keep;
    context.findings.warn({ path, message, remedy });
  }
}
