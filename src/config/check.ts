import type { z } from 'zod';
import { statQuietly } from '../platform/files.ts';
import { DEFAULT_HEADER, NAME, NAME_RULE } from '../protocol/request.ts';
import { checkBorrowing } from './borrowing.ts';
import type { Config, CredentialConfig, DaemonConfig, ProviderConfig } from './config.ts';
import type { EffectiveValues } from './effective.ts';
import { applyEnvironment, type Contributions, type Environment, expandFilePaths } from './environment.ts';
import { type CheckedTable, explainIssues, kindOf, nearest, nearOrAll } from './explain.ts';
import type { Findings } from './faults.ts';
import { dotted, type KeyPath, pathId, writtenKey } from './positions.ts';
import { flawOfTrusted } from './safe-file.ts';
import {
  commonCredentialSchema,
  daemonSchema,
  fileSchema,
  type ProviderSchemas,
  type SourceConflict,
} from './schema.ts';
import { tomlValue } from './toml.ts';
import { childSchema, isTable, keysOf, type Member, membersOf, type Table, unwrap } from './walk.ts';

/** What the checks of one file share. */
interface CheckContext {
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

/** Checks a parsed file as a whole; every fault goes to `context.findings`. The result counts only if there is none. */
export function checkFile(written: Table, context: CheckContext): Config {
  const { file, findings, effective } = context;
  const root = withTablesRenamed(written, findings);
  parsed(fileSchema, { value: root, base: [], placeOf: placeOfCommonKey }, context);
  if (root['default'] !== undefined) effective.add(['default'], root['default']);
  const providerTables = namedTables(root, 'providers', context);
  const credentialTables = namedTables(root, 'credentials', context);
  const providers = checkEach(providerTables, (name, table) => checkProvider(name, table, context));
  const credentials = checkEach(credentialTables, (name, table) =>
    checkCredential(name, table, context, providerTables),
  );
  for (const credential of credentials.values())
    checkAgreement(credential, providers.get(credential.provider), context);
  const names = Object.keys(credentialTables);
  checkBorrowing({ providers, credentials }, names, context.types, findings);
  warnOfOpenTwins([...credentials.values()], findings);
  if (names.length === 0 && (root['credentials'] === undefined || isTable(root['credentials']))) {
    const message = Object.keys(root).length === 0 ? 'the configuration is empty' : 'there are no credentials';
    const remedy = 'add a provider and a credential, [providers.NAME] and [credentials.NAME], or run broker setup';
    if (!context.mayBeUnfinished) findings.add({ path: [], message, remedy, absence: true });
  } else checkDefault(root['default'], names, context);
  const defaultCredential = typeof root['default'] === 'string' ? root['default'] : undefined;
  return { file, defaultCredential, providers, credentials, daemon: checkDaemon(root['daemon'], context) };
}

/** `[provider.vault]`, or `[vault]`: told once, and read as `[providers.vault]`, so that nothing else is said to be missing. */
function withTablesRenamed(written: Table, findings: Findings): Table {
  const root = { ...written };
  for (const [key, value] of Object.entries(written)) {
    if (!isTable(value) || TABLES.includes(key)) continue;
    const near = nearest(key, TABLES);
    const unnamed = 'type' in value ? 'providers' : 'provider' in value ? 'credentials' : undefined;
    const meant = near ?? unnamed;
    if (meant === undefined) continue;
    const names = near === undefined ? [key] : meant === 'daemon' ? [] : Object.keys(value).slice(0, 1);
    const wrong = near === undefined ? [key] : [key, ...names];
    findings.add({
      path: wrong,
      message: `there is no table [${dotted(wrong)}]`,
      remedy: `write [${dotted([meant, ...names])}]`,
    });
    const there = root[meant] ?? {};
    if (isTable(there)) root[meant] = merged(near === undefined ? { [key]: value } : value, there);
    delete root[key];
  }
  return root;
}

/** `[provider.vault]` beside `[providers.vault.auth]` is one provider; beside a whole `[providers.vault]` it is not looked at. */
function merged(renamed: Table, there: Table): Table {
  const both = { ...renamed, ...there };
  for (const [name, table] of Object.entries(there)) {
    const other = renamed[name];
    if (isTable(table) && isTable(other) && !('type' in table || 'provider' in table))
      both[name] = { ...other, ...table };
  }
  return both;
}

const TABLES = ['providers', 'credentials', 'daemon'];

/** What a table becomes by its schema; undefined: it has faults, which are then in `findings`. */
function parsed<T>(
  schema: z.ZodType<T>,
  table: Omit<CheckedTable, 'schema'>,
  { findings }: CheckContext,
): { readonly data: T } | undefined {
  const result = schema.safeParse(table.value);
  if (result.success) return result;
  findings.add(...explainIssues(result.error.issues, { ...table, schema }));
  return undefined;
}

function requireTable(value: unknown, path: KeyPath, written: string, { findings }: CheckContext): value is Table {
  if (isTable(value)) return true;
  findings.add({ path, message: `this is ${kindOf(value)}, not a table`, remedy: `write a table${written}` });
  return false;
}

function namedTables(root: Table, key: 'providers' | 'credentials', context: CheckContext): Table {
  const tables = root[key] ?? {};
  if (!requireTable(tables, [key], ` for each: [${key}.NAME]`, context)) return {};
  for (const name of Object.keys(tables).filter((each) => !NAME.test(each))) {
    const remedy = `choose another name: a name is ${NAME_RULE}`;
    context.findings.add({ path: [key, name], message: 'this name is not allowed', remedy });
  }
  return tables;
}

function checkEach<T>(tables: Table, check: (name: string, table: unknown) => T | undefined): Map<string, T> {
  const results = new Map<string, T>();
  for (const [name, table] of Object.entries(tables)) {
    const result = check(name, table);
    if (result !== undefined) results.set(name, result);
  }
  return results;
}

function checkDefault(value: unknown, names: readonly string[], { findings }: CheckContext): void {
  if (typeof value !== 'string' || value === '' || names.includes(value)) return;
  const message = `there is no credential ${tomlValue(value.slice(0, 64))}`;
  const remedy = `write default = ${nearOrAll(value, names)}`;
  findings.add({ path: ['default'], message, remedy, absence: true });
}

const DAEMON_DEFAULTS = daemonSchema.parse({});

function checkDaemon(value: unknown, context: CheckContext): DaemonConfig {
  const table = value ?? {};
  const path = ['daemon'];
  let options: typeof DAEMON_DEFAULTS | undefined;
  if (requireTable(table, path, ': [daemon]', context)) {
    context.effective.addTable(path, table, daemonSchema);
    options = parsed(daemonSchema, { value: table, base: path, placeOf: placeOfCommonKey }, context)?.data;
  }
  const { turn_margin, idle_after, idle_exit, revoke_on_exit, log_level, cache, key_home } = options ?? DAEMON_DEFAULTS;
  return {
    turnMarginMs: turn_margin,
    idleAfterMs: idle_after,
    idleExitMs: idle_exit,
    revokeOnExit: revoke_on_exit,
    logLevel: log_level,
    cache,
    keyHome: key_home,
  };
}

/** `allow` guards a credential, and not the key behind it. */
function warnOfOpenTwins(credentials: readonly CredentialConfig[], findings: Findings): void {
  const valuesOf = ({ provider, source, field, fields }: CredentialConfig) =>
    Object.values(fields ?? { field }).map((value) => JSON.stringify([provider, source, value ?? null]));
  const guarded = new Map<string, string>();
  for (const each of credentials.filter(({ allow }) => allow !== undefined))
    for (const value of valuesOf(each)) guarded.set(value, each.name);
  for (const open of credentials.filter(({ allow }) => allow === undefined)) {
    const twin = valuesOf(open).find((value) => guarded.has(value));
    if (twin === undefined) continue;
    const other = `[credentials.${writtenKey(guarded.get(twin) ?? '')}]`;
    const message = `any program of yours can have here the key that \`allow\` in ${other} keeps from it`;
    findings.warn({ path: ['credentials', open.name], message, remedy: 'add allow here too, or name another key' });
  }
}

/** Where a key of the common tables belongs, for keys in the wrong one. */
function placeOfCommonKey(key: string): string | undefined {
  if (key === 'default') return 'at the top of the file, above the first [table]';
  if (key === 'providers' || key === 'credentials') return `in tables of its own: [${key}.NAME]`;
  if (keysOf(daemonSchema, {}).includes(key)) return 'in [daemon]';
  if (keysOf(commonCredentialSchema, {}).includes(key)) return 'in [credentials.NAME]';
  return undefined;
}

/** Checks `[providers.NAME]`: its type, then all else by that type's own schema. */
function checkProvider(name: string, value: unknown, context: CheckContext): ProviderConfig | undefined {
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

/** The methods of login that have this key; none where the type has no table for that. */
function loginsWith({ providerSchema }: ProviderSchemas, key: string): readonly string[] {
  const login = childSchema(providerSchema, 'auth', {});
  const def = login && unwrap(login).core._zod.def;
  if (def?.type !== 'union') return [];
  return def.options.flatMap((each) => {
    if (!keysOf(each, {}).includes(key)) return [];
    return [...(childSchema(each, 'method', {})?._zod.values ?? [])].map(String);
  });
}

function warnOfRisks(risks: readonly SourceConflict[] | undefined, base: KeyPath, { findings }: CheckContext): void {
  for (const { key, message, remedy } of risks ?? []) findings.warn({ path: [...base, key], message, remedy });
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

const COMMON_KEYS = Object.keys(commonCredentialSchema.shape);

/** Checks `[credentials.NAME]`: the keys that all have, then the rest by the schema of its provider's type. */
function checkCredential(
  name: string,
  value: unknown,
  context: CheckContext,
  providers: Readonly<Table>,
): CredentialConfig | undefined {
  const path: KeyPath = ['credentials', name];
  if (!requireTable(value, path, ': [credentials.NAME]', context)) return undefined;
  const entries = Object.entries(value);
  const common = Object.fromEntries(entries.filter(([key]) => COMMON_KEYS.includes(key)));
  const own = Object.fromEntries(entries.filter(([key]) => !COMMON_KEYS.includes(key)));
  const checked = checkCommonKeys(common, path, context, providers);
  const source = checkSource(common['provider'], own, path, context, providers);
  if (checked === undefined || source === undefined) return undefined;
  const { provider, field, fields, expires_field, header, header_prefix, ttl, max_stale, scope, allow, sink, check } =
    checked;
  return {
    name,
    provider,
    field,
    fields,
    expiresField: expires_field,
    header:
      header === undefined && header_prefix === undefined
        ? undefined
        : { name: header ?? DEFAULT_HEADER.name, prefix: header_prefix ?? DEFAULT_HEADER.prefix },
    scope,
    allow,
    sink: sink?.file,
    check: check && { url: check.url, headers: check.headers ?? {}, rejected: check.rejected },
    ttlMs: ttl,
    maxStaleMs: max_stale,
    source: source.data,
  };
}

function checkCommonKeys(
  common: Table,
  path: KeyPath,
  context: CheckContext,
  providers: Readonly<Table>,
): z.infer<typeof commonCredentialSchema> | undefined {
  const { findings, effective } = context;
  effective.addTable(path, common, commonCredentialSchema);
  const examples = { provider: chooseProvider(providers) };
  const result = parsed(commonCredentialSchema, { value: common, base: path, examples }, context);
  if (common['allow'] !== undefined && context.platform !== 'linux') {
    const remedy = 'remove allow: there every process of yours can ask for the key';
    findings.add({ path: [...path, 'allow'], message: `allow does not work on ${context.platform}`, remedy });
  }
  for (const [key, both, remedy] of exclusionsIn(common)) {
    findings.add({ path: [...path, key], message: `${both} exclude each other`, remedy });
  }
  return result?.data;
}

/** Keys that are each right, and not together. Not said by the schema, so that it is told beside other faults of the table. */
function* exclusionsIn(common: Table): Generator<readonly [key: string, both: string, remedy: string]> {
  const has = (key: string) => common[key] !== undefined;
  if (has('sink')) {
    // A file is read by whichever process of the user likes, and has one value.
    const readByAll = (key: string) => `remove sink, or ${key}: any process of yours can read the file`;
    if (has('allow')) yield ['sink', 'sink and allow', readByAll('allow')];
    if (common['scope'] === 'session') yield ['sink', 'sink and scope', readByAll('scope')];
    if (has('fields')) yield ['sink', 'sink and fields', 'name one value with field instead'];
  }
  if (!has('fields')) return;
  if (has('field')) {
    yield ['fields', 'field and fields', 'remove one of the two: field for a single value, fields for several'];
  }
  // With several values each is a header of its own, under its own name.
  for (const key of ['header', 'header_prefix'].filter(has)) {
    const remedy = `remove ${key}: the names in fields are the names of the headers, as in fields = { x-api-key = "key" }`;
    yield [key, `${key} and fields`, remedy];
  }
  if (has('check')) yield ['check', 'check and fields', 'remove check: it asks about a single value'];
}

/** The keys of the credential that are its provider's own. */
function checkSource(
  provider: unknown,
  own: Table,
  path: KeyPath,
  context: CheckContext,
  providers: Readonly<Table>,
): { readonly data: unknown } | undefined {
  const { effective, types } = context;
  const schemas = typeof provider === 'string' ? schemasOf(provider, path, context, providers) : undefined;
  if (schemas === undefined) {
    refuseKeysOfNoType(own, path, context);
    return undefined;
  }
  effective.addTable(path, own, schemas.credentialSchema);
  const placeOf = (key: string) => {
    if (keysOf(schemas.providerSchema, own).includes(key)) return 'in [providers.NAME]';
    const other = types.find((type) => type !== schemas && keysOf(type.credentialSchema, own).includes(key));
    const login = loginsWith(schemas, key).length > 0 ? 'in [providers.NAME.auth]' : undefined;
    if (other === undefined) return login ?? placeOfCommonKey(key);
    const elsewhere = `to credentials of type ${other.type}, and this one's provider is of type ${schemas.type}`;
    return login === undefined ? elsewhere : `${login}, or ${elsewhere}`;
  };
  return parsed(schemas.credentialSchema, { value: own, base: path, moreKeys: COMMON_KEYS, placeOf }, context);
}

/** A credential and its provider may each be right, and yet not go together. */
function checkAgreement(
  { name, source }: CredentialConfig,
  provider: ProviderConfig | undefined,
  context: CheckContext,
): void {
  if (provider === undefined) return;
  const { types, findings } = context;
  const schemas = types.find(({ type }) => type === provider.type);
  warnOfRisks(schemas?.risksOf?.(provider.options, source, context), ['credentials', name], context);
  const conflict = schemas?.conflictOf?.(source, provider.options, provider.name);
  if (conflict === undefined) return;
  const { key, message, remedy } = conflict;
  findings.add({ path: ['credentials', name, key], message, remedy });
}

/** The schemas of the named provider's type; undefined if there is none, which is then in `findings`. */
function schemasOf(
  provider: string,
  path: KeyPath,
  { types, findings }: CheckContext,
  providers: Readonly<Table>,
): ProviderSchemas | undefined {
  if (Object.hasOwn(providers, provider)) {
    const table = providers[provider];
    return isTable(table) ? types.find(({ type }) => type === table['type']) : undefined;
  }
  if (provider === '') return undefined;
  const message = `there is no provider ${tomlValue(provider.slice(0, 64))}`;
  findings.add({ path: [...path, 'provider'], message, remedy: chooseProvider(providers, provider), absence: true });
  return undefined;
}

/** Without a provider nothing says which keys are right, but some are right for none. */
function refuseKeysOfNoType(own: Table, path: KeyPath, { types, findings }: CheckContext): void {
  const known = [...new Set(types.flatMap(({ credentialSchema }) => keysOf(credentialSchema, own)))];
  for (const key of Object.keys(own)) {
    if (known.includes(key)) continue;
    const place = placeOfCommonKey(key);
    const near = nearest(key, [...COMMON_KEYS, ...known]);
    const message = 'no type of provider has this key';
    let remedy = near === undefined ? 'remove it' : `write ${near}`;
    if (place !== undefined) remedy = `move it: ${key} belongs ${place}`;
    findings.add({ path: [...path, key], message, remedy });
  }
}

function chooseProvider(providers: Readonly<Table>, wanted = ''): string {
  const names = Object.keys(providers);
  return names.length === 0
    ? 'add a provider: [providers.NAME] with a type, and name it here with provider = "NAME"'
    : `write provider = ${nearOrAll(wanted, names)}`;
}
