import { type KeyPath, writtenKey } from '../config/key-path.ts';
import { tomlValue } from '../config/toml-words.ts';
import type { Plan } from './draft.ts';
import type { ProviderKind } from './questions.ts';

/** A new configuration file, with comments for whoever opens it next. */
export function newConfig(plan: Plan): string {
  return `# Configuration of broker, begun by \`broker setup\`. Change it as you like: the daemon takes changes up by itself.
# Every key is explained in docs/configuration.md; check the file with: broker config validate

default = ${tomlValue(plan.credential)}   # served when no name is given

${providerTables(plan)}
${credentialTable(plan)}`;
}

/** What is added to a file that is there already; it ends as it was, and nothing in it is changed. */
export function extendedConfig(
  before: string,
  plan: Plan,
  has: { readonly provider: boolean; readonly default: boolean },
): string {
  const added = has.provider ? [credentialTable(plan)] : [providerTables(plan), credentialTable(plan)];
  const gap = before.endsWith('\n') ? '\n' : '\n\n';
  // Above the first table is the only place for it.
  const head = has.default ? '' : `default = ${tomlValue(plan.credential)}   # served when no name is given\n`;
  const [mark, rest] = before.startsWith('\uFEFF') ? ['\uFEFF', before.slice(1)] : ['', before];
  return `${mark}${head}${rest}${gap}${added.join('\n')}`;
}

const WHAT: Readonly<Record<ProviderKind, string>> = {
  vault: 'HashiCorp Vault or OpenBao (docs/providers/vault.md).',
  'aws-secrets-manager': 'AWS Secrets Manager (docs/providers/aws-secrets-manager.md).',
  'aws-ssm': 'AWS Systems Manager Parameter Store (docs/providers/aws-ssm.md).',
};

function providerTables({ kind, providerName, options, auth }: Plan): string {
  const lines = [`# ${WHAT[kind]}`, header(['providers', providerName]), pair('type', kind), ...pairs(options)];
  if (auth['method'] !== undefined) {
    lines.push('', header(['providers', providerName, 'auth']), ...pairs(auth));
    if (isForAPerson(auth)) lines.push(`# When the session is over: broker login ${providerName}`);
  }
  return `${lines.join('\n')}\n`;
}

function credentialTable({ providerName, source, field, credential }: Plan): string {
  const lines = [
    '# A key that may be asked for: `broker-key NAME`, and what Claude Code gets.',
    header(['credentials', credential]),
    pair('provider', providerName),
    ...pairs(source),
    ...(field === undefined ? [] : [pair('field', field)]),
    '# ttl = "15m"         # how long a key that does not say when it dies is trusted before the provider is asked again',
    '# max_stale = "24h"   # how long it is served on while the provider cannot be reached',
  ];
  return `${lines.join('\n')}\n`;
}

function isForAPerson(auth: Plan['auth']): boolean {
  const byPassword = auth['method'] === 'userpass' || auth['method'] === 'ldap';
  return auth['method'] === 'oidc' || (byPassword && auth['password_file'] === undefined);
}

function header(path: KeyPath): string {
  return `[${path.map((part) => writtenKey(String(part))).join('.')}]`;
}

function pairs(table: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(table).map(([key, value]) => pair(key, value));
}

function pair(key: string, value: string | number): string {
  return `${writtenKey(key)} = ${tomlValue(value)}`;
}
