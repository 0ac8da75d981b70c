import type { CheckContext } from './check-context.ts';
import { commonCredentialSchema } from './common-schemas.ts';
import type { CredentialConfig } from './config.ts';
import { explainIssues } from './issues.ts';
import type { KeyPath } from './key-path.ts';
import { nearest } from './nearest.ts';
import type { ProviderSchemas } from './provider-schemas.ts';
import { isTable, keysOf, type Table } from './schema-walk.ts';
import { kindOf, orList, tomlValue } from './toml-words.ts';

/** The header in which the Messages API and most gateways take a key. */
const DEFAULT_HEADER = 'x-api-key';

const COMMON_KEYS = Object.keys(commonCredentialSchema.shape);

/** Checks `[credentials.NAME]`: the keys that all have, then the rest by the schema of its provider's type. */
export function checkCredential(
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
        : { name: header ?? DEFAULT_HEADER, prefix: header_prefix ?? '' },
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
      ? context.placeOf(key)
      : `to credentials of type ${other.type}, and this one's provider is of type ${schemas.type}`;
  };
  const checked = { schema: schemas.credentialSchema, value: own, base: path, moreKeys: COMMON_KEYS, placeOf };
  for (const finding of explainIssues(parsed.error.issues, checked)) findings.add(finding);
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
function refuseKeysOfNoType(own: Table, path: KeyPath, { types, findings, placeOf }: CheckContext): void {
  const known = [...new Set(types.flatMap(({ credentialSchema }) => keysOf(credentialSchema, own)))];
  for (const key of Object.keys(own)) {
    if (known.includes(key)) continue;
    const place = placeOf(key);
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
