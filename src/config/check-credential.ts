import type { z } from 'zod';
import { DEFAULT_HEADER } from '../protocol/request.ts';
import { type CheckContext, loginsWith, parsed, placeOfCommonKey, requireTable, warnOfRisks } from './check-table.ts';
import type { CredentialConfig, ProviderConfig } from './config.ts';
import { nearest, nearOrAll } from './explain.ts';
import type { Findings } from './faults.ts';
import { type KeyPath, writtenKey } from './positions.ts';
import { commonCredentialSchema, type ProviderSchemas } from './schema.ts';
import { tomlValue } from './toml.ts';
import { isTable, keysOf, type Table } from './walk.ts';

const COMMON_KEYS = Object.keys(commonCredentialSchema.shape);

/** Checks `[credentials.NAME]`: the keys that all have, then the rest by the schema of its provider's type. */
export function checkCredential(
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

/** A credential and its provider may each be right, and yet not go together. */
export function checkAgreement(
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

/** `allow` guards a credential, and not the key behind it. */
export function warnOfOpenTwins(credentials: readonly CredentialConfig[], findings: Findings): void {
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
