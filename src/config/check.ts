import { NAME, NAME_RULE } from '../protocol/request.ts';
import { checkBorrowing } from './borrowing.ts';
import { checkAgreement, checkCredential, warnOfOpenTwins } from './check-credential.ts';
import { checkProvider } from './check-provider.ts';
import { type CheckContext, parsed, placeOfCommonKey, requireTable } from './check-table.ts';
import type { Config, DaemonConfig } from './config.ts';
import { nearest, nearOrAll } from './explain.ts';
import type { Findings } from './faults.ts';
import { dotted } from './positions.ts';
import { daemonSchema, fileSchema } from './schema.ts';
import { tomlValue } from './toml.ts';
import { isTable, type Table } from './walk.ts';

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
