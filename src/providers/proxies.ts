import { z } from 'zod';
import type { EnvironmentRule } from '../config/schema.ts';
import { maskUrl } from '../platform/text.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** No proxy, whatever the environment says. */
const DIRECT = 'direct';

const VARIABLES = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'NO_PROXY', 'no_proxy'] as const;

/** The key `proxy` of a provider that is reached over the network. */
export const proxyOption = () =>
  z
    .union([z.literal(DIRECT), z.url({ protocol: /^https?$/, error: 'write it like http://proxy.example.com:3128' })])
    .optional()
    .meta({
      description:
        'Proxy that the provider is reached through: http://host:port, or "direct". Default: HTTPS_PROXY or HTTP_PROXY of the daemon; NO_PROXY is honoured.',
      examples: ['http://proxy.example.com:3128', DIRECT],
      secret: false,
    });

/** What Node's agents take as `proxyEnv`: they read a proxy from variables only. */
export function proxyEnvironment(proxy: string | undefined, env: Environment): Record<string, string | undefined> {
  if (proxy === DIRECT) return { NO_PROXY: '*' };
  const own = Object.fromEntries(VARIABLES.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
  if (proxy === undefined) return own;
  const { NO_PROXY = env['no_proxy'] } = own;
  return { HTTPS_PROXY: proxy, HTTP_PROXY: proxy, NO_PROXY };
}

/** The variable that has the proxy for a URL, as long as NO_PROXY does not exempt it. */
export function proxyRule(urlOf: (table: Readonly<Record<string, unknown>>) => string | undefined): EnvironmentRule {
  return {
    variablesFor(table, env) {
      const url = URL.parse(urlOf(table) ?? '');
      if (url === null || !/^https?:$/.test(url.protocol) || isExempt(url, env)) return [];
      return url.protocol === 'https:' ? ['https_proxy', 'HTTPS_PROXY'] : ['http_proxy', 'HTTP_PROXY'];
    },
  };
}

/** The proxy that Node's agents use for a URL, without user and password; undefined: none. `env`: of proxyEnvironment(). */
export function proxyUsed(address: string, env: Environment): string | undefined {
  const url = URL.parse(address);
  if (url === null || !/^https?:$/.test(url.protocol) || isExempt(url, env)) return undefined;
  const proxy =
    url.protocol === 'https:' ? env['https_proxy'] || env['HTTPS_PROXY'] : env['http_proxy'] || env['HTTP_PROXY'];
  return proxy ? maskUrl(proxy) : undefined;
}

/** `*`, `host`, `.domain`, `*.domain`, each with `:port` if that matters: as Node's agents read NO_PROXY, but for ranges of addresses. */
function isExempt(url: URL, env: Environment): boolean {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const entries = (env['no_proxy'] || env['NO_PROXY'] || '').toLowerCase().split(/[\s,]+/);
  return entries.filter(Boolean).some((entry) => {
    if (entry === '*') return true;
    const [, name = entry, only] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
    if (only !== undefined && only !== port) return false;
    return name.startsWith('.') || name.startsWith('*.') ? host.endsWith(name.replace(/^\*/, '')) : host === name;
  });
}
