import { maskUrl } from '../../platform/text.ts';
import type { Facts } from '../doctor/gather.ts';
import { type KeyKind, keyKind } from '../doctor/helper.ts';
import { customHeader, effectiveVariable, originFile, originText, type SettingOrigin } from '../settings/effective.ts';
import { CLOUDS, isOn } from '../shell/variables.ts';
import { type Check, check } from './check.ts';
import { fixForVariable, remedyForVariable } from './profile-removals.ts';

const PROXIES = ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY'];
const PROXY_SWITCH = 'CLAUDE_CODE_ENABLE_PROXY_AUTH_HELPER';
const SOCKS = /^socks/i;

/** Variables that beat the helper or turn it off, and those that say where and how requests go. */
export const environmentChecks: readonly Check[] = [
  check({
    id: 'cloud-variable',
    severity: 'error',
    // With its own login skipped, a cloud's gateway is sent the helper's key.
    when: ({ chain, helper }) =>
      helper &&
      chain.outcomes.print.winner === 'cloud' &&
      chain.methods.find(({ id, present }) => id === 'cloud' && present),
    title: ({ name, origin }) => `${name} is set in ${originText(origin)}`,
    cost: 'every request goes to the cloud provider with its own login; the key of apiKeyHelper is fetched and never used',
    remedy: ({ name, origin }) =>
      `to use the helper: ${remedyToUnset(name, origin)}; if a gateway stands before the cloud and is to get the helper's key: set ${skipOf(name)}=1; to use the cloud's login: broker claude uninstall`,
    where: ({ origin }) => originFile(origin),
  }),
  check({
    id: 'variable-overrides-helper',
    severity: 'error',
    when: ({ input, helper }) =>
      OVERRIDING.flatMap((name) => {
        const set = helper && effectiveVariable(input, name);
        return set === undefined ? [] : [{ name, origin: set.origin }];
      }),
    title: ({ name, origin }) => `${name} is set in ${originText(origin)} and overrides apiKeyHelper`,
    cost: ({ name }) =>
      name === 'ANTHROPIC_API_KEY'
        ? 'with -p, and in the terminal once accepted, the fixed key goes out as x-api-key while the fresh one only goes out as Authorization: when the fixed key dies, no renewal helps'
        : 'the fixed token goes out as Authorization beside the fresh key, and after a 401 the helper is not asked again',
    remedy: ({ name, origin }, facts) => remedyForVariable(facts, name, origin),
    where: ({ origin }) => originFile(origin),
    fix: ({ name, origin }, facts) => fixForVariable(facts, name, origin),
  }),
  check({
    id: 'custom-headers',
    severity: 'error',
    when: ({ input, chain, helper }) => {
      const set = effectiveVariable(input, 'ANTHROPIC_CUSTOM_HEADERS');
      const { winner, xApiKey, authorization, end } = chain.outcomes.print;
      // Set to nothing it may be meant so, unless then nothing is sent at all.
      const isLost = (name: string) => winner === undefined && end === undefined && customHeader(input, name) === '';
      const names = [
        ...(xApiKey === 'custom-headers' || isLost('x-api-key') ? ['x-api-key'] : []),
        ...(authorization === 'custom-headers' || isLost('authorization') ? ['authorization'] : []),
      ];
      // Alone it is a way to log in, if a fixed one.
      const isBeside = winner !== 'custom-headers' || helper !== undefined;
      return set !== undefined && isBeside && names.length > 0 && { names: names.join(' and '), origin: set.origin };
    },
    title: ({ names }) => `ANTHROPIC_CUSTOM_HEADERS sets ${names}`,
    cost: 'it replaces what any method would send, also a fresh key, and never changes',
    remedy: ({ names }) => `remove ${names} from ANTHROPIC_CUSTOM_HEADERS`,
    where: ({ origin }) => originFile(origin),
  }),
  check({
    id: 'simple-mode',
    severity: 'warning',
    when: ({ input }) => {
      const set = effectiveVariable(input, 'CLAUDE_CODE_SIMPLE');
      return isOn(set?.value) && set;
    },
    title: 'CLAUDE_CODE_SIMPLE is set: every claude runs as with --bare',
    cost: 'OAuth tokens, logins and every apiKeyHelper but one given with --settings are ignored',
    remedy: 'unset CLAUDE_CODE_SIMPLE',
    where: ({ origin }) => originFile(origin),
  }),
  check({
    id: 'base-url-invalid',
    severity: 'error',
    when: ({ input }) => {
      const set = effectiveVariable(input, 'ANTHROPIC_BASE_URL');
      return set !== undefined && urlOf(set.value) === undefined && set;
    },
    title: ({ origin }) => `ANTHROPIC_BASE_URL in ${originText(origin)} is not an http or https URL`,
    cost: 'no request leaves the machine',
    remedy: 'write it like https://gateway.example.com',
    where: ({ origin }) => originFile(origin),
  }),
  check({
    id: 'base-url-plain-http',
    when: (facts) => baseUrls(facts).filter(({ url, isLocal }) => url.protocol === 'http:' && !isLocal),
    severity: ({ isPrivate }) => (isPrivate ? 'warning' : 'error'),
    title: ({ shown }) => `ANTHROPIC_BASE_URL ${shown} is not encrypted`,
    cost: 'the key and every prompt can be read on the way',
    remedy: ({ origin }) => `write it with https:// (it is set in ${originText(origin)})`,
    where: ({ origin }) => originFile(origin),
  }),
  check({
    id: 'base-url-version-path',
    severity: 'error',
    when: (facts) => baseUrls(facts).filter(({ url }) => /\/v1\/?$/.test(url.pathname)),
    title: ({ shown }) => `ANTHROPIC_BASE_URL ${shown} ends in /v1`,
    cost: 'the client adds /v1/messages itself: requests go to /v1/v1/messages and end in 404',
    remedy: ({ origin }) => `leave out the /v1 (it is set in ${originText(origin)})`,
    where: ({ origin }) => originFile(origin),
  }),
  check({
    id: 'base-url-foreign-key',
    severity: 'warning',
    when: (facts) =>
      baseUrls(facts).filter(({ isAnthropic, isLocal }) => !isAnthropic && !isLocal && sends(facts, 'api-key')),
    title: ({ url }) => `an Anthropic key is sent to ${url.host}`,
    cost: 'both headers carry the key to whoever runs that host',
    remedy: 'give the gateway a key of its own, or remove ANTHROPIC_BASE_URL',
    where: ({ origin }) => originFile(origin),
  }),
  check({
    id: 'base-url-missing',
    severity: 'warning',
    when: (facts) => {
      const set = effectiveVariable(facts.input, 'ANTHROPIC_BASE_URL');
      const toAnthropic = set === undefined || baseUrls(facts).some(({ isAnthropic }) => isAnthropic);
      const isKey = facts.run?.mistaken === undefined;
      return toAnthropic && isKey && sends(facts, 'other') && { origin: set?.origin };
    },
    title: 'the key is not an Anthropic key, and requests go to api.anthropic.com',
    cost: 'a key for a gateway is answered with 401 there',
    remedy: 'set ANTHROPIC_BASE_URL to the gateway, or fix the path of the credential',
    where: ({ origin }) => originFile(origin),
  }),
  check({
    id: 'check-other-host',
    severity: 'warning',
    when: ({ broker, chain, helper, input }) => {
      // A cloud's requests go elsewhere.
      const isMeant = helper?.ours === true && chain.outcomes.print.winner !== 'cloud';
      const checked = isMeant ? broker.credential?.checkHost : undefined;
      const set = effectiveVariable(input, 'ANTHROPIC_BASE_URL');
      const used = set === undefined ? ANTHROPIC_API : urlOf(set.value)?.host;
      return checked != null && used !== undefined && checked !== used && { checked, used, origin: set?.origin };
    },
    title: ({ checked, used }, { broker }) =>
      `the check of "${broker.credential?.name}" asks ${checked}, and claude's requests go to ${used}`,
    cost: 'a key may be good for the one and refused by the other: a good key is refused, or a dead one served longer',
    remedy: ({ used }, { broker }) =>
      `set url in [credentials.${broker.credential?.name}.check] to an address of ${used}, or remove the check`,
    where: ({ origin }) => originFile(origin),
  }),
  check({
    id: 'proxy-unsupported',
    severity: 'error',
    when: (facts) => proxiesWithoutHttp(facts).filter(({ value }) => SOCKS.test(value)),
    title: ({ name, origin }) => `${name} in ${originText(origin)} is a SOCKS proxy`,
    cost: 'no request leaves the machine: the client speaks to HTTP proxies only (UnsupportedProxyProtocol)',
    remedy: 'name an HTTP proxy, or unset it for claude',
    where: ({ origin }) => originFile(origin),
  }),
  check({
    id: 'proxy-url-invalid',
    // Without proxyAuthHelper the client puts the http:// before it.
    when: (facts) =>
      proxyHelperIn(facts) !== undefined && proxiesWithoutHttp(facts).filter(({ value }) => !SOCKS.test(value)),
    severity: 'error',
    title: ({ name, origin }) => `${name} in ${originText(origin)} does not begin with http://`,
    cost: 'with proxyAuthHelper claude ends at once with "Invalid proxy URL"',
    remedy: ({ name }) => `write it like ${name}=http://proxy.example.com:3128`,
    where: ({ origin }) => originFile(origin),
  }),
  check({
    id: 'proxy-helper-off',
    severity: 'warning',
    when: (facts) => !isOn(effectiveVariable(facts.input, PROXY_SWITCH)?.value) && proxyHelperIn(facts),
    title: `proxyAuthHelper is set, and ${PROXY_SWITCH} is not`,
    cost: 'the client never runs it, and the proxy answers 407',
    remedy: ({ file }) => `set env.${PROXY_SWITCH} to "1" in ${file}, as broker claude install --for proxy does`,
    where: ({ file, siblings }) => `${file}:${siblings.get('proxyAuthHelper')?.line}`,
  }),
];

/** Anything that goes out as x-api-key or Authorization before the helper's key. */
const OVERRIDING = ['ANTHROPIC_AUTH_TOKEN', 'ANTHROPIC_API_KEY', 'CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR'] as const;

function remedyToUnset(name: string, { kind, file, line }: Partial<SettingOrigin> = {}): string {
  if (file === undefined) return `unset ${name}`;
  return kind === 'settings'
    ? `remove env.${name} from ${file}:${line}`
    : `remove it from ${file}:${line}, and unset ${name}`;
}

function skipOf(use: string): string {
  return CLOUDS.find((cloud) => cloud.use === use)?.skip ?? 'CLAUDE_CODE_SKIP_…_AUTH';
}

function urlOf(value: string): URL | undefined {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) ? url : undefined;
}

/** Where requests go while ANTHROPIC_BASE_URL is not set. */
const ANTHROPIC_API = 'api.anthropic.com';

/** A name without dots or of a zone that no public server has; a tailnet, a container's host. */
const PRIVATE_NAME =
  /^[^.:[\]]+$|\.(local|lan|home|internal|intranet|corp|home\.arpa|ts\.net|localhost|test|svc|svc\.cluster\.local)$/i;
const PRIVATE_ADDRESS =
  /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|169\.254\.|0\.0\.0\.0$|\[f[cd])/i;

/** ANTHROPIC_BASE_URL if it is set and can be used. */
function baseUrls({ input }: Facts) {
  const set = effectiveVariable(input, 'ANTHROPIC_BASE_URL');
  const url = set && urlOf(set.value);
  if (set === undefined || url === undefined) return [];
  const isLocal = /^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname);
  const isAnthropic = /(^|\.)anthropic\.com$/.test(url.hostname);
  return [
    {
      url,
      isLocal,
      isPrivate: PRIVATE_NAME.test(url.hostname) || PRIVATE_ADDRESS.test(url.hostname),
      isAnthropic,
      shown: maskUrl(set.value),
      origin: set.origin,
    },
  ];
}

/** Whether `claude -p` puts a key of this kind into a header, as far as that is known. */
function sends({ chain, input, run }: Facts, kind: KeyKind): boolean {
  const { xApiKey, authorization } = chain.outcomes.print;
  return [xApiKey, authorization].some((source) => {
    if (source === 'helper') return run?.kind === kind;
    const name = source === 'api-key' ? 'ANTHROPIC_API_KEY' : source === 'auth-token' ? 'ANTHROPIC_AUTH_TOKEN' : '';
    const value = effectiveVariable(input, name)?.value;
    return value !== undefined && keyKind(value) === kind;
  });
}

function proxyHelperIn({ input }: Facts) {
  return input.settings.find(({ state, siblings }) => state === 'in-effect' && siblings.has('proxyAuthHelper'));
}

/** Proxies whose address is not one of HTTP (both findings were seen with 2.1.330). */
function proxiesWithoutHttp({ input }: Facts) {
  return PROXIES.flatMap((name) => {
    const set = effectiveVariable(input, name);
    return set === undefined || /^https?:\/\/./i.test(set.value) ? [] : [set];
  });
}
