import type { z } from 'zod';
import { DEFAULT_HEADER, NAME_RULE } from '../protocol/request.ts';
import type { Config, CredentialConfig, DaemonConfig, ProviderConfig } from './config.ts';
import type { EffectiveValues } from './effective.ts';
import { applyEnvironment, type Contributions, type Environment } from './environment.ts';
import { explainIssues, type Findings, kindOf, nearest, orList } from './explain.ts';
import { expandHome } from './paths.ts';
import { type KeyPath, pathId } from './positions.ts';
import { commonCredentialSchema, daemonSchema, fileSchema, nameSchema, type ProviderSchemas } from './schema.ts';
import { tomlValue } from './toml.ts';
import { isTable, keysOf, membersOf, type Table, unwrap } from './walk.ts';

/** Checks a parsed file as a whole; every fault goes to `context.findings`. The result counts only if there is none. */
export function checkFile(
  root: Table,
  context: CheckContext,
  surroundings: { readonly file: string; readonly env: Environment; readonly homeDir: string },
): Config {
  const { findings, effective } = context;
  const outermost = fileSchema.safeParse(root);
  if (!outermost.success) {
    const checked = { schema: fileSchema, value: root, base: [], placeOf: placeOfCommonKey };
    findings.add(...explainIssues(outermost.error.issues, checked));
  }
  const providerTables = namedTables(root, 'providers', context);
  const credentialTables = namedTables(root, 'credentials', context);
  if (root['default'] !== undefined) effective.add(['default'], root['default']);

  const providers = new Map<string, ProviderConfig>();
  for (const [name, table] of Object.entries(providerTables)) {
    const provider = checkProvider(name, table, context, surroundings);
    if (provider !== undefined) providers.set(name, provider);
  }
  const credentials = new Map<string, CredentialConfig>();
  for (const [name, table] of Object.entries(credentialTables)) {
    const credential = checkCredential(name, table, context, providerTables);
    if (credential !== undefined) credentials.set(name, credential);
  }
  const names = Object.keys(credentialTables);
  if (names.length === 0 && (root['credentials'] === undefined || isTable(root['credentials']))) {
    const message = Object.keys(root).length === 0 ? 'the configuration is empty' : 'there are no credentials';
    const remedy = 'add a provider and a credential, [providers.NAME] and [credentials.NAME], or run broker setup';
    findings.add({ path: [], message, remedy, absence: true });
  } else checkDefault(root['default'], names, context);
  return {
    file: surroundings.file,
    defaultCredential: typeof root['default'] === 'string' ? root['default'] : undefined,
    providers,
    credentials,
    daemon: checkDaemon(root['daemon'], context),
  };
}

function namedTables(root: Table, key: 'providers' | 'credentials', { findings }: CheckContext): Table {
  const tables = root[key];
  if (tables === undefined) return {};
  if (!isTable(tables)) {
    const remedy = `write a table for each: [${key}.NAME]`;
    findings.add({ path: [key], message: `this is ${kindOf(tables)}, not a table`, remedy });
    return {};
  }
  for (const name of Object.keys(tables)) {
    if (nameSchema.safeParse(name).success) continue;
    const remedy = `choose another name: a name is ${NAME_RULE}`;
    findings.add({ path: [key, name], message: 'this name is not allowed', remedy });
  }
  return tables;
}

function checkDefault(value: unknown, names: readonly string[], { findings }: CheckContext): void {
  if (typeof value !== 'string' || value === '' || names.includes(value)) return;
  const near = nearest(value, names);
  const remedy = near === undefined ? orList(names.slice(0, 10).map(tomlValue)) : tomlValue(near);
  const message = `there is no credential ${tomlValue(value.slice(0, 64))}`;
  findings.add({ path: ['default'], message, remedy: `write default = ${remedy}`, absence: true });
}

const DAEMON_DEFAULTS = daemonSchema.parse({});

function checkDaemon(value: unknown, { findings, effective }: CheckContext): DaemonConfig {
  const path = ['daemon'];
  const table = value ?? {};
  if (!isTable(table)) {
    findings.add({ path, message: `this is ${kindOf(table)}, not a table`, remedy: 'write a table: [daemon]' });
    return daemonConfig(DAEMON_DEFAULTS);
  }
  effective.addTable(path, table, daemonSchema);
  const parsed = daemonSchema.safeParse(table);
  if (parsed.success) return daemonConfig(parsed.data);
  const checked = { schema: daemonSchema, value: table, base: path, placeOf: placeOfCommonKey };
  findings.add(...explainIssues(parsed.error.issues, checked));
  return daemonConfig(DAEMON_DEFAULTS);
}

function daemonConfig(options: typeof DAEMON_DEFAULTS): DaemonConfig {
  return {
    turnMarginMs: options.turn_margin,
    idleAfterMs: options.idle_after,
    idleExitMs: options.idle_exit,
    revokeOnExit: options.revoke_on_exit,
    logLevel: options.log_level,
    keyHome: options.key_home,
  };
}

/** Where a key of the common tables belongs, for keys that stand in another. */
function placeOfCommonKey(key: string): string | undefined {
  if (key === 'default') return 'at the top of the file, above the first [table]';
  if (key === 'providers' || key === 'credentials') return `in tables of its own: [${key}.NAME]`;
  if (keysOf(daemonSchema, {}).includes(key)) return 'in [daemon]';
  if (keysOf(commonCredentialSchema, {}).includes(key)) return 'in [credentials.NAME]';
  return undefined;
}

/** Checks `[providers.NAME]`: its type, then all else by that type's own schema. */
function checkProvider(
  name: string,
  value: unknown,
  context: CheckContext,
  surroundings: { readonly env: Environment; readonly homeDir: string },
): ProviderConfig | undefined {
  const path: KeyPath = ['providers', name];
  const { findings, effective, contributions } = context;
  if (!isTable(value)) {
    findings.add({ path, message: `this is ${kindOf(value)}, not a table`, remedy: `write a table: [providers.NAME]` });
    return undefined;
  }
  const schemas = typeOf(value, path, context);
  if (schemas === undefined) return undefined;
  const { type, ...table } = value;
  applyEnvironment(table, schemas, surroundings.env, path, contributions);
  expandFilePaths(table, schemas.providerSchema, path, surroundings.homeDir);
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
      keysOf(schemas.credentialSchema, table).includes(key) ? 'in [credentials.NAME]' : placeOfCommonKey(key),
  };
  findings.add(...explainIssues(parsed.error.issues, checked));
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

/** Replaces `~/` in every value that its schema marks as a path (`filePath()`), in place. */
function expandFilePaths(table: Table, schema: z.core.$ZodType, path: KeyPath, homeDir: string): void {
  for (const member of membersOf(table, schema, path)) {
    const { value, parent } = member;
    const isFile = member.schema !== undefined && unwrap(member.schema).meta.file === true;
    if (isFile && typeof value === 'string') Object.assign(parent.value, { [member.key]: expandHome(value, homeDir) });
  }
}

/** Works, but a file is read over shoulders, backed up and committed. */
function warnOfInlineSecrets(table: Table, schema: z.core.$ZodType, base: KeyPath, context: CheckContext): void {
  for (const { path, key, value, isSecret, isElement, parent } of membersOf(table, schema, base)) {
    if (typeof value !== 'string' || !isSecret || isElement || context.contributions.has(pathId(path))) continue;
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
  const { findings, effective } = context;
  if (!isTable(value)) {
    findings.add({
      path,
      message: `this is ${kindOf(value)}, not a table`,
      remedy: 'write a table: [credentials.NAME]',
    });
    return undefined;
  }
  const common: Table = {};
  const own: Table = {};
  for (const [key, inner] of Object.entries(value)) (COMMON_KEYS.includes(key) ? common : own)[key] = inner;

  const parsed = commonCredentialSchema.safeParse(common);
  effective.addTable(path, common, commonCredentialSchema);
  if (!parsed.success) {
    const needed = { schema: commonCredentialSchema, value: common, base: path };
    const provider = typeof common['provider'] !== 'string' ? chooseProvider(providers) : undefined;
    for (const found of explainIssues(parsed.error.issues, needed)) {
      findings.add(found.path.at(-1) === 'provider' && provider !== undefined ? { ...found, remedy: provider } : found);
    }
  }
  if (common['field'] !== undefined && common['fields'] !== undefined) {
    const remedy = 'remove one of the two: field for a single value, fields for several';
    findings.add({ path: [...path, 'fields'], message: 'field and fields stand together', remedy });
  }
  if (common['fields'] !== undefined) refuseHeaderBesideFields(common, path, context);
  const source = checkSource(common['provider'], own, path, context, providers);
  if (!parsed.success || source === undefined) return undefined;
  const { provider, field, fields, expires_field, header, header_prefix, ttl, max_stale } = parsed.data;
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
    ttlMs: ttl,
    maxStaleMs: max_stale,
    source: source.data,
  };
}

/** With several values each is a header of its own, under its own name. */
function refuseHeaderBesideFields(common: Table, path: KeyPath, { findings }: CheckContext): void {
  for (const key of ['header', 'header_prefix']) {
    if (common[key] === undefined) continue;
    const remedy = `remove ${key}: the names in fields are the names of the headers, as in fields = { x-api-key = "key" }`;
    findings.add({ path: [...path, key], message: `${key} and fields stand together`, remedy });
  }
}

/** The keys of the credential that are its provider's own. */
function checkSource(
  provider: unknown,
  own: Table,
  path: KeyPath,
  context: CheckContext,
  providers: Readonly<Table>,
): { readonly data: unknown } | undefined {
  const { findings, effective, types } = context;
  const schemas = typeof provider === 'string' ? schemasOf(provider, path, context, providers) : undefined;
  if (schemas === undefined) {
    refuseKeysOfNoType(own, path, context);
    return undefined;
  }
  effective.addTable(path, own, schemas.credentialSchema);
  const parsed = schemas.credentialSchema.safeParse(own);
  if (parsed.success) return { data: parsed.data };
  const placeOf = (key: string) => {
    if (keysOf(schemas.providerSchema, own).includes(key)) return 'in [providers.NAME]';
    const other = types.find((type) => type !== schemas && keysOf(type.credentialSchema, own).includes(key));
    return other === undefined
      ? placeOfCommonKey(key)
      : `to credentials of type ${other.type}, and this one's provider is of type ${schemas.type}`;
  };
  const checked = { schema: schemas.credentialSchema, value: own, base: path, moreKeys: COMMON_KEYS, placeOf };
  findings.add(...explainIssues(parsed.error.issues, checked));
  return undefined;
}

/** The schemas of the named provider's type; undefined if it has none, which is a fault of its own. */
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
  const near = nearest(provider, Object.keys(providers));
  const remedy = near === undefined ? chooseProvider(providers) : `write provider = ${tomlValue(near)}`;
  const message = `there is no provider ${tomlValue(provider.slice(0, 64))}`;
  findings.add({ path: [...path, 'provider'], message, remedy, absence: true });
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

function chooseProvider(providers: Readonly<Table>): string {
  const names = Object.keys(providers).slice(0, 10);
  if (names.length === 0)
    return 'add a provider: [providers.NAME] with a type, and name it here with provider = "NAME"';
  return `write provider = ${orList(names.map(tomlValue))}`;
}

/** What the checks of one file share. */
interface CheckContext {
  readonly types: readonly ProviderSchemas[];
  readonly findings: Findings;
  readonly effective: EffectiveValues;
  readonly contributions: Contributions;
  readonly readableByOthers: boolean;
}
