import type { CheckContext } from './check-context.ts';
import { checkCredential } from './check-credential.ts';
import { checkProvider } from './check-provider.ts';
import { commonCredentialSchema, daemonSchema, fileSchema, nameSchema } from './common-schemas.ts';
import type { Config, CredentialConfig, DaemonConfig, ProviderConfig } from './config.ts';
import type { Environment } from './environment.ts';
import { explainIssues } from './issues.ts';
import { nearest } from './nearest.ts';
import { isTable, keysOf, type Table } from './schema-walk.ts';
import { kindOf, orList, tomlValue } from './toml-words.ts';

/** Checks a parsed file as a whole; every fault goes to `context.findings`. The result counts only if there is none. */
export function checkFile(
  root: Table,
  context: CheckContext,
  surroundings: { readonly file: string; readonly env: Environment; readonly homeDir: string },
): Config {
  const { findings, effective } = context;
  const outermost = fileSchema.safeParse(root);
  if (!outermost.success) {
    const checked = { schema: fileSchema, value: root, base: [], placeOf: context.placeOf };
    for (const finding of explainIssues(outermost.error.issues, checked)) findings.add(finding);
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
    const remedy = 'a name is 1 to 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit';
    findings.add({ path: [key, name], message: 'this name is not allowed', remedy: `choose another name: ${remedy}` });
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

function checkDaemon(value: unknown, { findings, effective, placeOf }: CheckContext): DaemonConfig {
  const path = ['daemon'];
  const table = value ?? {};
  if (!isTable(table)) {
    findings.add({ path, message: `this is ${kindOf(table)}, not a table`, remedy: 'write a table: [daemon]' });
    return daemonConfig(DAEMON_DEFAULTS);
  }
  effective.addTable(path, table, daemonSchema);
  const parsed = daemonSchema.safeParse(table);
  if (parsed.success) return daemonConfig(parsed.data);
  const checked = { schema: daemonSchema, value: table, base: path, placeOf };
  for (const finding of explainIssues(parsed.error.issues, checked)) findings.add(finding);
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
export function placeOfCommonKey(key: string): string | undefined {
  if (key === 'default') return 'at the top of the file, above the first [table]';
  if (key === 'providers' || key === 'credentials') return `in tables of its own: [${key}.NAME]`;
  if (keysOf(daemonSchema, {}).includes(key)) return 'in [daemon]';
  if (keysOf(commonCredentialSchema, {}).includes(key)) return 'in [credentials.NAME]';
  return undefined;
}
