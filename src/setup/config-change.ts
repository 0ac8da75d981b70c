import { maskValue } from '../config/effective.ts';
import { expandHome } from '../config/paths.ts';
import { dotted, writtenKey } from '../config/positions.ts';
import { commonCredentialSchema } from '../config/schema.ts';
import { tomlValue } from '../config/toml.ts';
import { editToml, type TomlEdit } from '../config/toml-edit.ts';
import { type Table, valueAt } from '../config/walk.ts';
import { BrokerError } from '../errors.ts';
import { isSecretName } from '../platform/text.ts';
import type { Change } from './change.ts';
import { type CheckedText, type ConfigPlace, checkText, type Existing } from './config-file.ts';
import { type Answers, type Plan, tableAt } from './draft.ts';
import { connectionQuestions, kindOf } from './kinds.ts';
import { checkTable, credentialTable, newConfig, providerTables } from './new-tables.ts';

export interface ConfigChange extends CheckedText {
  /** Empty: the file says all of it. */
  readonly changes: readonly Change[];
}

/**
 * The file with the plan in it. Of a provider or a credential that is there only those keys change of which the plan says
 * something else; those of another login or another provider type go. Everything else stays as it is written.
 *
 * @throws BrokerError ERR_USAGE if a name is taken; ERR_CONFIG if the answers make no valid configuration.
 */
export async function changeConfig(existing: Existing, plan: Plan, place: ConfigPlace): Promise<ConfigChange> {
  const { text, root } = existing;
  const changes: Change[] = [];
  const edits: TomlEdit[] = [];
  const added: string[] = [];
  const put = (what: Change['what'], path: readonly string[], value: unknown) => {
    const before = valueAt(root, path);
    if (isSame(before, value, place.homeDir)) return;
    edits.push({ path, value });
    changes.push({ what, where: dotted(path), before: shown(path, before), after: shown(path, value) });
  };
  const add = (what: Change['what'], path: readonly string[], after: unknown, table: string) => {
    added.push(table);
    changes.push({ what, where: dotted(path), before: null, after });
  };
  const { providerName, credential, kind, field, checkUrl } = plan;

  const at = ['providers', providerName];
  const provider = tableAt(root, at);
  const { type, fixed } = kindOf(kind);
  if (provider === undefined) add('provider', at, type, providerTables(plan));
  else {
    if (provider['type'] !== type) throw taken(providerName, String(provider['type']), place.file);
    for (const [key, value] of Object.entries({ ...fixed, ...plan.options }))
      put('provider', [...at, ...key.split('.')], value);
    for (const key of obsolete(tableAt(provider, ['auth']), plan.auth))
      put('provider', [...at, 'auth', key], undefined);
    for (const key of leftOver(provider, plan)) put('provider', [...at, key], undefined);
    if (plan.auth['method'] !== 'token' || provider['auth'] !== undefined || Object.keys(plan.auth).length > 1) {
      for (const [key, value] of Object.entries(plan.auth)) put('provider', [...at, 'auth', key], value);
    }
  }

  const own = ['credentials', credential];
  const present = tableAt(root, own);
  if (present === undefined) add('credential', own, describeSource(plan), credentialTable(plan));
  else {
    put('credential', [...own, 'provider'], providerName);
    const former = tableAt(root, ['providers', String(present['provider'])]);
    if (former?.['type'] !== type || former['preset'] !== (fixed['preset'] ?? former['preset'])) {
      const gone = Object.keys(present).filter((key) => !(key in commonCredentialSchema.shape) || key === 'field');
      for (const key of gone) if (!(key in plan.source)) put('credential', [...own, key], undefined);
    }
    for (const [key, value] of Object.entries(plan.source)) put('credential', [...own, key], value);
    if (field !== undefined) put('credential', [...own, 'field'], field ?? undefined);
  }
  if (checkUrl !== undefined && valueAt(present, ['check', 'url']) !== checkUrl) {
    if (present?.['check'] === undefined) add('credential', [...own, 'check'], checkUrl, checkTable(plan).join(''));
    else put('credential', [...own, 'check', 'url'], checkUrl);
  }
  if (root['default'] === undefined || plan.makeDefault) put('default', ['default'], credential);

  if (text === undefined) return { ...(await checkText(newConfig(plan), place)), changes };
  const edited = editToml(text, edits);
  if (edited === undefined) throw notEditable(edits, place.file);
  const gap = edited.endsWith('\n') ? '\n' : '\n\n';
  return { ...(await checkText(added.length === 0 ? edited : `${edited}${gap}${added.join('\n')}`, place)), changes };
}

/** Keys of a login by another method. */
function obsolete(auth: Table | undefined, wanted: Answers): readonly string[] {
  if (auth === undefined || wanted['method'] === undefined || (auth['method'] ?? 'token') === wanted['method'])
    return [];
  return Object.keys(auth).filter((key) => wanted[key] === undefined);
}

/** Keys of the provider itself that only another login has a use for: a client secret, a certificate. */
function leftOver(provider: Table, { kind, options, auth }: Plan): readonly string[] {
  const { ways } = kindOf(kind);
  const before = ways?.into === 'auth' ? valueAt(provider, ['auth', ways.key]) : provider[ways?.key ?? ''];
  const now = ways && { options, auth }[ways.into][ways.key];
  if (typeof before !== 'string' || typeof now !== 'string' || before === now) return [];
  const kept = new Set(connectionQuestions(kind, now).map(({ key }) => key));
  const former = connectionQuestions(kind, before).filter(({ into, key }) => into === 'options' && !kept.has(key));
  return former.map(({ key }) => key).filter((key) => options[key] === undefined);
}

function describeSource({ kind, source }: Plan): string {
  return Object.values(source).join(' ') || kind;
}

/** As far as setup asks for it: `~/x` and its absolute path are one place. */
function isSame(before: unknown, after: unknown, homeDir: string): boolean {
  const plain = (value: unknown) =>
    typeof value === 'string' ? expandHome(value, homeDir).replace(/(?<=.)\/+$/, '') : value;
  return tomlValue([plain(before)]) === tomlValue([plain(after)]);
}

function shown(path: readonly string[], value: unknown): unknown {
  const key = path.at(-1) ?? '';
  // A table is not shown: what is in it may be anything.
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return '(a table)';
  return maskValue(value, isSecretName(key) && !key.endsWith('_file') && !key.endsWith('_id')) ?? null;
}

function notEditable(edits: readonly TomlEdit[], file: string): BrokerError {
  const lines = edits.map(
    ({ path, value }) => `${dotted(path)} = ${value === undefined ? '(remove it)' : tomlValue(value)}`,
  );
  return new BrokerError('ERR_CONFIG', `${file} is written in a way that setup does not edit`, {
    remedy: `write it by hand: ${lines.join('; ')}`,
  });
}

/**
 * `allow = ["claude-code"]` first in the credential's table; undefined: it has it.
 *
 * @param name undefined: the configured default.
 * @throws BrokerError ERR_USAGE if there is no such credential, or it is allowed to somebody else.
 */
export async function guardCredential(
  existing: Existing,
  name: string | undefined,
  place: ConfigPlace,
): Promise<{ readonly name: string; readonly change: ConfigChange | undefined }> {
  const { config, text = '' } = existing;
  const wanted = name ?? config?.defaultCredential;
  const credential = wanted === undefined ? undefined : config?.credentials.get(wanted);
  if (wanted === undefined || credential === undefined) {
    throw new BrokerError('ERR_USAGE', `there is no credential ${wanted ?? 'by default'} in ${place.file} to guard`, {
      remedy: `name one with --credential: ${[...(config?.credentials.keys() ?? [])].join(', ') || '(none yet: broker setup)'}`,
    });
  }
  if (credential.allow?.includes('claude-code')) return { name: wanted, change: undefined };
  const edit: TomlEdit = { path: ['credentials', wanted, 'allow'], value: ['claude-code'], first: true };
  const changed = credential.allow === undefined ? editToml(text, [edit]) : undefined;
  if (changed === undefined) {
    throw new BrokerError('ERR_USAGE', `[credentials.${writtenKey(wanted)}] in ${place.file} cannot be edited here`, {
      remedy: 'write into it by hand: allow = ["claude-code"]',
    });
  }
  const changes: Change[] = [{ what: 'guard', where: dotted(edit.path), before: null, after: edit.value }];
  return { name: wanted, change: { ...(await checkText(changed, place)), changes } };
}

/**
 * The provider that a plan means: the one that says the same; that of the credential itself, if nobody else uses it; else a
 * name that is free.
 */
export function providerNameFor(
  { root }: Existing,
  plan: Omit<Plan, 'providerName'>,
  { homeDir }: ConfigPlace,
): string {
  const tables = Object.entries(tableAt(root, ['providers']) ?? {});
  const own = valueAt(root, ['credentials', plan.credential, 'provider']);
  const same = tables.filter(([, table]) => saysTheSame(table as Table, plan, homeDir)).map(([name]) => name);
  if (same.length > 0) return same.find((name) => name === own) ?? same[0] ?? '';
  const users = Object.values(tableAt(root, ['credentials']) ?? {}).filter(
    (each) => valueAt(each, ['provider']) === own,
  );
  const isOfType = valueAt(root, ['providers', String(own), 'type']) === kindOf(plan.kind).type;
  if (typeof own === 'string' && isOfType && users.length === 1) return own;
  const usual = kindOf(plan.kind).name;
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? usual : `${usual}-${number}`;
    if (!tables.some(([taken]) => taken === name)) return name;
  }
}

/** In all that setup asks for; a person's own keys (a time limit, say) do not count. */
function saysTheSame(table: Table, { kind, options, auth }: Omit<Plan, 'providerName'>, homeDir: string): boolean {
  const { type, fixed, ways } = kindOf(kind);
  const way = ways && String({ options, auth }[ways.into][ways.key]);
  const asked = connectionQuestions(kind, way);
  const wanted: Record<string, unknown> = { type, ...fixed };
  for (const { into, key } of asked)
    wanted[into === 'auth' ? `auth.${key}` : key] = { options, auth, source: {} }[into][key as never];
  for (const [key, value] of Object.entries(options)) wanted[key] = value;
  if (way !== undefined && ways?.into === 'auth' && way !== 'token') wanted[`auth.${ways.key}`] = way;
  if (way === 'token' && !['token', undefined].includes(valueAt(table, ['auth', 'method']) as string)) return false;
  return Object.entries(wanted).every(([key, value]) => isSame(valueAt(table, key.split('.')), value, homeDir));
}

function taken(name: string, type: string, file: string): BrokerError {
  return new BrokerError('ERR_USAGE', `there is a provider "${name}" of type ${type} in ${file} already`, {
    remedy: 'choose another name with --provider-name, or edit the file',
  });
}
