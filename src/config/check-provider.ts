import { statQuietly } from '../platform/files.ts';
import { type CheckContext, loginsWith, parsed, placeOfCommonKey, requireTable, warnOfRisks } from './check-table.ts';
import type { ProviderConfig } from './config.ts';
import { applyEnvironment, expandFilePaths } from './environment.ts';
import { kindOf, nearOrAll } from './explain.ts';
import { type KeyPath, pathId, writtenKey } from './positions.ts';
import { flawOfTrusted } from './safe-file.ts';
import type { ProviderSchemas } from './schema.ts';
import { tomlValue } from './toml.ts';
import { keysOf, type Member, membersOf, type Table, unwrap } from './walk.ts';

/** Checks `[providers.NAME]`: its type, then all else by that type's own schema. */
export function checkProvider(name: string, value: unknown, context: CheckContext): ProviderConfig | undefined {
  const path: KeyPath = ['providers', name];
  const { effective, contributions, env, homeDir } = context;
  if (!requireTable(value, path, ': [providers.NAME]', context)) return undefined;
  const schemas = typeOf(value, path, context);
  if (schemas === undefined) return undefined;
  const { providerSchema, credentialSchema } = schemas;
  const { type, ...table } = value;
  applyEnvironment(table, schemas, env, path, contributions);
  expandFilePaths(table, providerSchema, homeDir);
  effective.add([...path, 'type'], type);
  effective.addTable(path, table, providerSchema);
  const members = [...membersOf(table, providerSchema, path)];
  warnOfInlineSecrets(members, context);
  warnOfUnsafeFiles(members, context);
  const placeOf = (key: string, [inner]: KeyPath) => {
    const methods = loginsWith(schemas, key);
    if (methods.length > 0 && inner === 'auth') return `to logins with method = ${methods.map(tomlValue).join(' or ')}`;
    if (methods.length > 0) return `in [providers.${writtenKey(name)}.auth]`;
    return keysOf(credentialSchema, table).includes(key) ? 'in [credentials.NAME]' : placeOfCommonKey(key);
  };
  const result = parsed(providerSchema, { value: table, base: path, moreKeys: ['type'], placeOf }, context);
  if (result === undefined) return undefined;
  warnOfRisks(schemas.risksOf?.(result.data, undefined, context), path, context);
  return { name, type: schemas.type, options: result.data };
}

/** What others can change decides with whom and as whom the daemon speaks; most of it is refused when it is needed. */
function warnOfUnsafeFiles(members: readonly Member[], { findings }: CheckContext): void {
  for (const { path, value, schema: own } of members) {
    if (own === undefined || unwrap(own).meta.file !== true || typeof value !== 'string') continue;
    const stats = statQuietly(value);
    const flaw = stats && flawOfTrusted(value, stats, process.getuid?.() ?? 0);
    if (flaw !== undefined) findings.warn({ path, message: flaw.reason, remedy: flaw.remedy });
  }
}

function typeOf(table: Table, base: KeyPath, { types, findings }: CheckContext): ProviderSchemas | undefined {
  const { type } = table;
  const found = types.find((schemas) => schemas.type === type);
  if (found !== undefined) return found;
  const path = [...base, 'type'];
  const known = types.map((schemas) => schemas.type);
  const remedy = `write type = ${meantTypes(type, types) ?? nearOrAll(typeof type === 'string' ? type : '', known)}`;
  if (type === undefined) findings.add({ path, message: 'this key is missing', remedy, absence: true });
  else if (typeof type !== 'string')
    findings.add({ path, message: `this is ${kindOf(type)}, not text in quotes`, remedy });
  else {
    const message = `there is no provider type ${tomlValue(type.slice(0, 60))}; the types are ${known.join(', ')}`;
    findings.add({ path, message, remedy });
  }
  return undefined;
}

/** What people write for a type, whose own word is another one, or who mean one of several. */
function meantTypes(written: unknown, types: readonly ProviderSchemas[]): string | undefined {
  const word = typeof written === 'string' ? written.toLowerCase().replaceAll(/[^a-z0-9]/g, '') : '';
  const meant = types.flatMap(({ type, nicknames = {} }) => {
    const more = Object.hasOwn(nicknames, word) ? nicknames[word] : undefined;
    return more === undefined ? [] : [`${tomlValue(type)}${more === '' ? '' : `, and with it ${more}`}`];
  });
  return meant.length === 0 ? undefined : meant.join(' or type = ');
}

/** Works, but a file is read over shoulders, backed up and committed. */
function warnOfInlineSecrets(members: readonly Member[], context: CheckContext): void {
  for (const { path, key, value, isSecret, isWritten, isElement, parent } of members) {
    if (typeof value !== 'string' || !isSecret || !isWritten || isElement || context.contributions.has(pathId(path)))
      continue;
    const fileKey = `${key}_file`;
    const keep = keysOf(parent.schema, parent.value).includes(fileKey)
      ? `name a 0600 file with ${fileKey} instead`
      : 'keep it elsewhere';
    const message = context.readableByOthers
      ? 'there is a secret in a file that other users can read'
      : 'there is a secret in the configuration file';
    const remedy = context.readableByOthers ? `${keep}, or at least make the file private with chmod 600` : keep;
    context.findings.warn({ path, message, remedy });
  }
}
