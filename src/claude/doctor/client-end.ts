import type { ChainInput, EffectiveVariable } from '../settings/effective.ts';
import type { SettingsFile } from '../settings/files.ts';
import type { ManagedPolicies } from '../settings/policies.ts';

/** Who is asked for answers, as managed settings name it. */
export interface Destination {
  readonly provider: string;
  /** The variable that leads to another host than the provider's own. */
  readonly address: EffectiveVariable | undefined;
}

/** Why the client ends: what to say, and where that is demanded. */
export interface ClientEnd {
  readonly id: 'flag' | 'managed-broken' | 'version' | 'login-method' | 'organization' | 'provider';
  readonly why: string;
  readonly where: string;
  /** It ends before the helper is run. */
  readonly beforeHelper: boolean;
}

type Used = 'auth-token' | 'api-key' | 'handed-key' | 'helper';

interface Session {
  readonly mode: 'interactive' | 'print' | 'bare';
  readonly bare: boolean;
  readonly uses: (id: Used) => boolean;
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
    return ended('managed-broken', `the managed settings in ${broken.file} cannot be read`, broken.file, true);
  }
  return versionEnd(input) ?? loginEnd(input, session) ?? providerEnd(input, session.destination);
}

function isUnusable(state: SettingsFile['state']): boolean {
  return state === 'broken' || state === 'refused';
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
function loginEnd(input: ChainInput, { uses, bare }: Session): ClientEnd | undefined {
  const hasKey = (['api-key', 'handed-key', 'auth-token', 'helper'] as const).some(uses);
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
