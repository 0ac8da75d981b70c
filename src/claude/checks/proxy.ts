import { effectiveVariable } from '../effective.ts';
import type { Facts } from '../facts.ts';
import type { Check, Finding } from '../finding.ts';
import { isOn } from '../variables.ts';
import { placeText, whereOf } from './places.ts';

const VARIABLES = ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY'] as const;
const SWITCH = 'CLAUDE_CODE_ENABLE_PROXY_AUTH_HELPER';

/** How requests leave the machine, and whether the helper for that is run at all (both seen with 2.1.330). */
export const proxy: Check = (facts) => [...address(facts), ...helper(facts)];

function address({ input }: Facts): Finding[] {
  return VARIABLES.flatMap((name) => {
    const set = effectiveVariable(input, name);
    if (set === undefined || /^https?:\/\/./i.test(set.value)) return [];
    const place = placeText(set.place);
    const where = whereOf(set.place);
    if (/^socks/i.test(set.value)) {
      return [
        {
          id: 'proxy-unsupported',
          severity: 'error',
          title: `${name} in ${place} is a SOCKS proxy`,
          cost: 'no request leaves the machine: the client speaks to HTTP proxies only (UnsupportedProxyProtocol)',
          remedy: 'name an HTTP proxy, or unset it for claude',
          ...where,
        },
      ];
    }
    return [
      {
        id: 'proxy-url-invalid',
        severity: /^[\d.:[\]]+$/.test(set.value) ? 'error' : 'warning',
        title: `${name} in ${place} has no http:// before it`,
        cost: 'claude takes some names like that and ends at once with "Invalid proxy URL" at others and at every number; it runs no proxyAuthHelper then',
        remedy: `write it like ${name}=http://proxy.example.com:3128`,
        ...where,
      },
    ];
  });
}

function helper({ input }: Facts): Finding[] {
  const settings = input.settings.find(({ state, proxyHelper }) => state === 'in-effect' && proxyHelper !== undefined);
  if (settings?.proxyHelper === undefined || isOn(effectiveVariable(input, SWITCH)?.value)) return [];
  return [
    {
      id: 'proxy-helper-off',
      severity: 'warning',
      title: `proxyAuthHelper is set, and ${SWITCH} is not`,
      cost: 'the client never runs it, and the proxy answers 407',
      remedy: `set env.${SWITCH} to "1" in ${settings.file}, as broker claude install --for proxy does`,
      where: `${settings.file}:${settings.proxyHelper.line}`,
    },
  ];
}
