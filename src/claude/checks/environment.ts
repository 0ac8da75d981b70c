import type { Facts } from '../doctor/gather.ts';
import { keyKind } from '../doctor/helper.ts';
import type { Check, Finding } from '../doctor/report.ts';
import { customHeaders, effectiveVariable, type Place } from '../settings/effective.ts';
import { fingerprint, maskUrl } from '../settings/masked-diff.ts';
import { isOn } from '../shell/variables.ts';
import { placeText, whereOf } from './broker.ts';

/** The helper is still run for nothing, and its key is sent to nobody. */
export const cloudVariable: Check = ({ chain }) => {
  const cloud = chain.methods.find(({ id, present }) => id === 'cloud' && present);
  const helper = chain.methods.find(({ id, present }) => id === 'helper' && present);
  if (cloud === undefined || helper === undefined) return [];
  return [
    {
      id: 'cloud-variable',
      severity: 'error',
      title: `${cloud.name} is set in ${placeText(cloud.place)}`,
      cost: 'every request goes to the cloud provider with its own login; the key of apiKeyHelper is fetched and never used',
      remedy: `unset ${cloud.name} where it is set, or uninstall the helper: broker claude uninstall`,
      ...whereOf(cloud.place),
    },
  ];
};

const COST = {
  ANTHROPIC_API_KEY:
    'with -p, and in the terminal once accepted, the fixed key goes out as x-api-key while the fresh one only goes out as Authorization: when the fixed key dies, no renewal helps',
  ANTHROPIC_AUTH_TOKEN:
    'the fixed token goes out as Authorization beside the fresh key, and after a 401 the helper is not asked again',
} as const;

/** A variable that beats the helper without a word: the most common reason for a helper that "does not work". */
export const overridingVariable: Check = ({ input, chain }) => {
  if (!chain.methods.some(({ id, present }) => id === 'helper' && present)) return [];
  const findings: Finding[] = [];
  for (const name of ['ANTHROPIC_AUTH_TOKEN', 'ANTHROPIC_API_KEY'] as const) {
    const set = effectiveVariable(input, name);
    if (set === undefined) continue;
    const inSettings = set.place.kind === 'settings' && set.place.file !== undefined;
    findings.push({
      id: 'variable-overrides-helper',
      severity: 'error',
      title: `${name} is set in ${placeText(set.place)} and overrides apiKeyHelper`,
      cost: COST[name],
      remedy: remedyFor(name, set.place),
      ...whereOf(set.place),
      ...(inSettings && set.place.file !== undefined
        ? { fix: { kind: 'remove-setting', file: set.place.file, path: ['env', name] } as const }
        : {}),
    });
  }
  return findings;
};

function remedyFor(name: string, place: Place): string {
  if (place.file === undefined) {
    return `type: unset ${name}; no profile that was read sets it, so look at what started this shell (an editor, direnv, a secret manager)`;
  }
  if (place.kind === 'settings') return `remove env.${name} from ${placeText(place)}`;
  return `remove it from ${placeText(place)} and type: unset ${name}`;
}

const KEYS = new Set(['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN', 'CLAUDE_CODE_OAUTH_TOKEN']);

/** A profile that will set a key in the next shell, or that keeps one in plain text. */
export const profileVariable: Check = ({ input, chain }) => {
  const hasHelper = chain.methods.some(({ id, present }) => id === 'helper' && present);
  const findings: Finding[] = [];
  for (const profile of input.profiles) {
    for (const { name, value, effect, line, lastLine, alone } of profile.assignments) {
      if (!KEYS.has(name) || effect === 'unset' || value === '') continue;
      const where = `${profile.file}:${line}`;
      const beatsHelper = hasHelper && name !== 'CLAUDE_CODE_OAUTH_TOKEN' && effect !== 'local';
      const inThisShell = effectiveVariable(input, name) !== undefined;
      // In this shell already: the variable has its own finding if it beats the helper.
      if (!beatsHelper && value === undefined) continue;
      const shown = value === undefined ? 'computed when the shell starts' : fingerprint(value);
      const fixable = alone && profile.syntax !== 'fish-universal';
      findings.push({
        id: beatsHelper && !inThisShell ? 'profile-overrides-helper' : 'profile-holds-key',
        severity: 'warning',
        title: `${where} sets ${name}, ${shown}`,
        cost: beatsHelper
          ? 'every new shell overrides apiKeyHelper with it, also long after the key is dead'
          : 'a key that never rotates lies in plain text in a file that is copied, synced and backed up',
        remedy:
          profile.syntax === 'fish-universal'
            ? `type in fish: set -Ue ${name}`
            : `remove line ${line} of ${profile.file}`,
        where,
        ...(fixable
          ? {
              fix: { kind: 'take-line-out', file: profile.file, line, lastLine, name, syntax: profile.syntax } as const,
            }
          : {}),
      });
    }
  }
  return findings;
};

/** `--bare` reads less than the rest of the client. */
export const bareMode: Check = ({ chain, helper, homeDir }) => {
  const print = chain.outcomes.find(({ mode }) => mode === 'print');
  const bare = chain.outcomes.find(({ mode }) => mode === 'bare');
  if (print?.winner === undefined || bare?.winner === print.winner) return [];
  if (print.winner === 'oauth-token') {
    return [
      {
        id: 'oauth-token-bare',
        severity: 'warning',
        title: 'CLAUDE_CODE_OAUTH_TOKEN is what logs you in, and --bare ignores it',
        cost: 'claude --bare ends with "Not logged in"; the token is for inference only anyway',
        remedy: 'for --bare use a helper: broker claude install --settings FILE, then claude --bare --settings FILE',
      },
    ];
  }
  if (print.winner !== 'helper' || helper === undefined) return [];
  const file = `${homeDir}/.config/broker/bare.json`;
  return [
    {
      id: 'helper-ignored-by-bare',
      severity: 'info',
      title: 'claude --bare ignores this apiKeyHelper',
      cost: 'scripts and CI with --bare end with "Not logged in"',
      remedy: `give it a file of its own: broker claude install --settings ${file}, then start claude --bare --settings ${file}`,
    },
  ];
};

/** The variable behind `--bare`. */
export const simpleMode: Check = ({ input }) => {
  const set = effectiveVariable(input, 'CLAUDE_CODE_SIMPLE');
  if (set === undefined || !isOn(set.value)) return [];
  return [
    {
      id: 'simple-mode',
      severity: 'warning',
      title: 'CLAUDE_CODE_SIMPLE is set: every claude runs as with --bare',
      cost: 'OAuth tokens, logins and every apiKeyHelper but one given with --settings are ignored',
      remedy: 'unset CLAUDE_CODE_SIMPLE',
      ...whereOf(set.place),
    },
  ];
};

/** A header given by hand beats every method. */
export const customHeadersCheck: Check = ({ input }) => {
  const set = effectiveVariable(input, 'ANTHROPIC_CUSTOM_HEADERS');
  const names = [...customHeaders(input)].filter((name) => name === 'x-api-key' || name === 'authorization');
  if (set === undefined || names.length === 0) return [];
  return [
    {
      id: 'custom-headers',
      severity: 'error',
      title: `ANTHROPIC_CUSTOM_HEADERS sets ${names.join(' and ')}`,
      cost: 'it replaces what any method would send, also a fresh key, and never changes',
      remedy: `remove ${names.join(' and ')} from ANTHROPIC_CUSTOM_HEADERS`,
      ...whereOf(set.place),
    },
  ];
};

/** Where requests go, and whether the key is one for there. */
export const baseUrl: Check = (facts) => {
  const set = effectiveVariable(facts.input, 'ANTHROPIC_BASE_URL');
  const findings: Finding[] = [];
  const add = (id: string, severity: Finding['severity'], title: string, cost: string, remedy: string) =>
    findings.push({ id, severity, title, cost, remedy, ...whereOf(set?.place) });
  const url = set !== undefined && URL.canParse(set.value) ? new URL(set.value) : undefined;
  const place = placeText(set?.place);
  if (set !== undefined && (url === undefined || !/^https?:$/.test(url.protocol))) {
    add(
      'base-url-invalid',
      'error',
      `ANTHROPIC_BASE_URL in ${place} is no http or https URL`,
      'no request leaves the machine',
      'write it like https://gateway.example.com',
    );
    return findings;
  }
  const local = url !== undefined && /^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname);
  const anthropic = url === undefined || /(^|\.)anthropic\.com$/.test(url.hostname);
  const kinds = kindsSent(facts);
  if (set !== undefined && url !== undefined) {
    const shown = maskUrl(set.value);
    if (url.protocol === 'http:' && !local) {
      add(
        'base-url-plain-http',
        'error',
        `ANTHROPIC_BASE_URL ${shown} is not encrypted`,
        'the key and every prompt can be read on the way',
        `write it with https:// (it is set in ${place})`,
      );
    }
    if (/\/v1\/?$/.test(url.pathname)) {
      add(
        'base-url-version-path',
        'error',
        `ANTHROPIC_BASE_URL ${shown} ends in /v1`,
        'the client adds /v1/messages itself: requests go to /v1/v1/messages and end in 404',
        `leave out the /v1 (it is set in ${place})`,
      );
    }
    if (!anthropic && !local && kinds.has('api-key')) {
      add(
        'base-url-foreign-key',
        'warning',
        `an Anthropic key is sent to ${url.host}`,
        'both headers carry the key to whoever runs that host',
        'give the gateway a key of its own, or remove ANTHROPIC_BASE_URL',
      );
    }
  }
  if (anthropic && kinds.has('other')) {
    add(
      'base-url-missing',
      'warning',
      'the key is no Anthropic key, and requests go to api.anthropic.com',
      'a key for a gateway is answered with 401 there',
      'set ANTHROPIC_BASE_URL to the gateway, or fix the path of the credential',
    );
  }
  return findings;
};

/** Kinds of what `-p` puts into its headers, as far as they are known. */
function kindsSent({ chain, input, run }: Facts): Set<string> {
  const print = chain.outcomes.find(({ mode }) => mode === 'print');
  const kinds = new Set<string>();
  for (const source of [print?.xApiKey, print?.authorization]) {
    const variable = source === 'api-key' ? 'ANTHROPIC_API_KEY' : source === 'auth-token' ? 'ANTHROPIC_AUTH_TOKEN' : '';
    const value = variable === '' ? undefined : effectiveVariable(input, variable)?.value;
    if (value !== undefined) kinds.add(keyKind(value));
    else if (source === 'helper' && run?.kind !== undefined) kinds.add(run.kind);
  }
  return kinds;
}

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
