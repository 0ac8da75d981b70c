import {
  type ChainInput,
  customHeaders,
  type EffectiveVariable,
  effectiveVariable,
  originText,
} from '../settings/effective.ts';
import type { SettingsFile } from '../settings/files.ts';
import type { ManagedPolicies } from '../settings/policies.ts';
import type { Carried, Destination, MethodId } from './request.ts';

/** Why the client ends: what to say, and where that is demanded. */
export interface ClientEnd {
  readonly id:
    | 'flag'
    | 'managed-broken'
    | 'state'
    | 'version'
    | 'login-method'
    | 'organization'
    | 'provider'
    | 'header'
    | 'key';
  readonly why: string;
  readonly where: string;
  /** It ends before the helper is run. */
  readonly beforeHelper: boolean;
}

interface Session {
  readonly mode: 'interactive' | 'print' | 'bare';
  readonly bare: boolean;
  readonly uses: (id: MethodId) => boolean;
  readonly carried: Carried;
  readonly destination: Destination;
}

const METHODS = ['claudeai', 'console', 'gateway'];
const NAMES: Readonly<Record<string, string>> = {
  claudeai: 'a claude.ai login',
  console: 'a Console login',
  gateway: 'a sign-in to the cloud gateway',
};

/** The first thing that keeps a session like this from starting. */
export function whyTheClientEnds(input: ChainInput, session: Session): ClientEnd | undefined {
  const flag = input.settings.find(({ scope, state }) => scope === 'flag' && !['in-effect', 'refused'].includes(state));
  if (flag !== undefined) return ended('flag', `${flag.file}, which --settings names, cannot be used`, flag.file, true);
  const broken = input.settings.find(({ scope, state }) => scope === 'managed' && isUnusable(state));
  if (broken !== undefined && session.mode !== 'interactive') {
    const isRead = ['broken', 'refused'].includes(broken.state);
    return ended('managed-broken', `the managed settings in ${broken.file} cannot be read`, broken.file, isRead);
  }
  const { brokenState } = input;
  if (brokenState !== undefined && session.mode !== 'interactive')
    return ended('state', `its own memory in ${brokenState} is not JSON`, brokenState, true);
  return (
    versionEnd(input) ??
    loginEnd(input, session) ??
    providerEnd(input, session.destination) ??
    headerEnd(input, session)
  );
}

function isUnusable(state: SettingsFile['state']): boolean {
  return !['in-effect', 'outranked', 'missing'].includes(state);
}

/** What no header may have: control characters, and what is beyond Latin-1. */
const NOT_OF_HEADERS = /[^\t\x20-\x7e\x80-\xff]/;
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;

/** A header that cannot be written makes the client refuse every request. */
function headerEnd(input: ChainInput, { uses, carried }: Session): ClientEnd | undefined {
  const broken = customHeaders(input).find(({ name, value }) => !HEADER_NAME.test(name) || NOT_OF_HEADERS.test(value));
  if (broken !== undefined && uses('custom-headers')) {
    const what = HEADER_NAME.test(broken.name) ? `the value of ${broken.name}` : `"${broken.name}"`;
    const where = originText(effectiveVariable(input, 'ANTHROPIC_CUSTOM_HEADERS')?.origin);
    return ended('header', `${what} in ANTHROPIC_CUSTOM_HEADERS (${where}) cannot be a header`, where);
  }
  const sent = [
    carried.authorization,
    carried.xApiKey === 'custom-headers' && uses('api-key') ? 'api-key' : carried.xApiKey,
  ];
  const variables = {
    'api-key': 'ANTHROPIC_API_KEY',
    'auth-token': 'ANTHROPIC_AUTH_TOKEN',
    'oauth-token': 'CLAUDE_CODE_OAUTH_TOKEN',
  };
  for (const [id, name] of Object.entries(variables)) {
    const set = sent.some((each) => each === id) ? effectiveVariable(input, name) : undefined;
    if (set !== undefined && NOT_OF_HEADERS.test(set.value.trim())) {
      const where = originText(set.origin);
      return ended('key', `the value of ${name} (${where}) cannot be a header`, where);
    }
  }
  return undefined;
}

/** The strongest managed file that demands it; a null in a stronger one does not lift it. */
function demandIn<Name extends keyof ManagedPolicies>(input: ChainInput, name: Name) {
  const file = input.settings.find(({ scope, state, policies }) => {
    return scope === 'managed' && state === 'in-effect' && policies[name] !== undefined;
  });
  const demand = file?.policies[name] as Exclude<ManagedPolicies[Name], undefined> | undefined;
  return file && demand && { demand, where: `${file.file}:${demand.line}` };
}

function versionEnd(input: ChainInput): ClientEnd | undefined {
  const running = partsOf(input.clientVersion);
  const low = demandIn(input, 'requiredMinimumVersion');
  if (running && low && isBelow(running, partsOf(low.demand.value))) {
    return ended('version', `Claude Code ${low.demand.value} or newer is demanded in ${low.where}`, low.where, true);
  }
  const high = demandIn(input, 'requiredMaximumVersion');
  const limit = partsOf(high?.demand.value);
  if (running && high && limit && isBelow(limit, running)) {
    return ended('version', `Claude Code ${high.demand.value} at most is allowed in ${high.where}`, high.where, true);
  }
  return undefined;
}

/** Any key beside the login that is demanded ends the client, even a managed helper's. */
function loginEnd(input: ChainInput, { uses, bare, carried }: Session): ClientEnd | undefined {
  const isLogin = carried.authorization === 'login' || carried.authorization === 'oauth-token';
  const hasKey = !isLogin && (['api-key', 'handed-key', 'auth-token', 'helper'] as const).some(uses);
  const method = demandIn(input, 'forceLoginMethod');
  const isNamed = method !== undefined && METHODS.includes(method.demand.value);
  if (isNamed && (hasKey || bare || method.demand.value === 'gateway')) {
    const wanted = NAMES[method.demand.value];
    return ended('login-method', `${wanted} is demanded in ${method.where} (forceLoginMethod)`, method.where);
  }
  const organization = demandIn(input, 'forceLoginOrgUUID');
  if (organization && (hasKey || bare)) {
    const why = `a login of an organization is demanded in ${organization.where} (forceLoginOrgUUID)`;
    return ended('organization', why, organization.where);
  }
  return undefined;
}

function providerEnd(input: ChainInput, { provider, address }: Destination): ClientEnd | undefined {
  const allowed = demandIn(input, 'allowedProviders');
  if (allowed === undefined) return undefined;
  const names = allowed.demand.value;
  const isPinned = address === undefined || isManaged(input, address);
  const isAllowed =
    address === undefined
      ? names.includes(provider)
      : names.includes('customEndpoint') && isPinned && (provider === 'anthropic' || names.includes(provider));
  if (isAllowed) return undefined;
  const to = address === undefined ? provider : `the host in ${address.name}`;
  const list = names.length === 0 ? 'no provider' : `only ${names.join(', ')}`;
  return ended(
    'provider',
    `requests go to ${to}, and ${allowed.where} allows ${list} (allowedProviders)`,
    allowed.where,
  );
}

function isManaged({ settings }: ChainInput, { origin }: EffectiveVariable): boolean {
  return settings.some(({ scope, file }) => scope === 'managed' && origin.kind === 'settings' && file === origin.file);
}

function ended(id: ClientEnd['id'], why: string, where: string, beforeHelper = false): ClientEnd {
  return { id, why, where, beforeHelper };
}

/** Three numbers; the client ignores what is not. */
function partsOf(version: string | undefined): readonly number[] | undefined {
  const found = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version?.trim() ?? '');
  return found === null ? undefined : found.slice(1).map(Number);
}

function isBelow(version: readonly number[], limit: readonly number[] | undefined): boolean {
  if (limit === undefined) return false;
  const at = version.findIndex((part, index) => part !== limit[index]);
  return at !== -1 && (version[at] ?? 0) < (limit[at] ?? 0);
}
