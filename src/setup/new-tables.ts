import { type KeyPath, writtenKey } from '../config/positions.ts';
import { tomlValue } from '../config/toml.ts';
import type { Answers, Plan } from './draft.ts';
import { kindOf } from './kinds.ts';

/** By which `broker uninstall` knows the file again. */
export const BEGUN_BY_SETUP = '# Configuration of broker, begun by `broker setup`.';

/** A new configuration file, with comments for the person who opens it next. */
export function newConfig(plan: Plan): string {
  return `${BEGUN_BY_SETUP} Change it as you like: the daemon notices changes.
# Every key is explained by: broker help configuration; check the file with: broker config validate

default = ${tomlValue(plan.credential)}   # served when no name is given

${[providerTables(plan), credentialTable(plan), ...checkTable(plan)].join('\n')}`;
}

export function providerTables({ kind, providerName, options, auth }: Plan): string {
  const { comment, type, fixed } = kindOf(kind);
  const lines = [`# ${comment}`, header(['providers', providerName]), pair('type', type), ...pairs(fixed)];
  lines.push(...pairs(options));
  if (auth['method'] !== undefined) lines.push('', header(['providers', providerName, 'auth']), ...pairs(auth));
  if (isForAPerson({ options, auth })) lines.push(`# When the session is over: broker login ${providerName}`);
  return `${lines.join('\n')}\n`;
}

export function credentialTable({ providerName, source, field, credential }: Plan): string {
  const lines = [
    '# A key that may be asked for: `broker-key NAME`, and what Claude Code gets.',
    header(['credentials', credential]),
    pair('provider', providerName),
    ...pairs(source),
    ...(typeof field === 'string' ? [pair('field', field)] : []),
    '# ttl = "15m"         # how long a key that does not say when it dies is trusted before the provider is asked again',
    '# max_stale = "24h"   # how long it is served on while the provider cannot be reached',
  ];
  return `${lines.join('\n')}\n`;
}

export const ANTHROPIC_CHECK = 'https://api.anthropic.com/v1/models?limit=1';

/** None, or one: by which the API itself says whether the key is good. */
export function checkTable({ credential, checkUrl }: Plan): readonly string[] {
  if (checkUrl === undefined) return [];
  const headers = URL.parse(checkUrl)?.hostname === URL.parse(ANTHROPIC_CHECK)?.hostname ? [VERSION_HEADER] : [];
  const lines = ['# The API itself says whether the key is good (broker help rejection); once: broker check'];
  lines.push(header(['credentials', credential, 'check']), pair('url', checkUrl), ...headers);
  return [`${lines.join('\n')}\n`];
}

const VERSION_HEADER = 'headers = { anthropic-version = "2023-06-01" }';

/** Nothing that lasts is written down: somebody has to log in now and then. */
function isForAPerson({ options, auth }: Pick<Plan, 'options' | 'auth'>): boolean {
  const byPassword = auth['method'] === 'userpass' || auth['method'] === 'ldap';
  const isLogin = auth['method'] === 'oidc' || (byPassword && auth['password_file'] === undefined);
  return isLogin || options['grant'] === 'device_code' || options['grant'] === 'authorization_code';
}

function header(path: KeyPath): string {
  return `[${path.map((part) => writtenKey(String(part))).join('.')}]`;
}

function pairs(table: Answers): string[] {
  return Object.entries(table).map(([key, value]) => pair(key, value));
}

function pair(key: string, value: string | number): string {
  return `${key.split('.').map(writtenKey).join('.')} = ${tomlValue(value)}`;
}
