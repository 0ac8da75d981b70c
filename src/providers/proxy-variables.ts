import type { ProviderHost } from './definition.ts';

const NAMES = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'] as const;

/** The daemon's own variables, for the `proxyEnv` of Node's agents, which know what they mean. */
export function proxyVariables({ env }: Pick<ProviderHost, 'env'>): Record<string, string | undefined> {
  return Object.fromEntries(NAMES.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}
