import { type ChainInput, customHeader, type EffectiveVariable, effectiveVariable } from '../settings/effective.ts';
import { CLOUDS, isOn } from '../shell/variables.ts';

/** Claude Code's ways to authenticate, the strongest first. */
export const METHODS = [
  'cloud',
  'auth-token',
  'api-key',
  'handed-key',
  'helper',
  'oauth-token',
  'workload-identity',
  'login',
  'profile',
  'console-key',
  'custom-headers',
] as const;

export type MethodId = (typeof METHODS)[number];
/** Where the content of a header comes from; undefined: the request does not have it. */
export interface Carried {
  readonly xApiKey: MethodId | undefined;
  readonly authorization: MethodId | undefined;
}

/** Who is asked for answers, as managed settings name it. */
export interface Destination {
  readonly provider: string;
  /** The variable that leads to another host than the provider's own. */
  readonly address: EffectiveVariable | undefined;
}

type Usable = Readonly<Record<MethodId, boolean>>;

export function isHostManaged(input: ChainInput): boolean {
  return isOn(effectiveVariable(input, 'CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST')?.value);
}

const APPS = new Set(['claude-desktop', 'local-agent', 'local_agent']);

/** The variable for which a login comes before any key: the session runs elsewhere, or in Claude Desktop. */
export function remoteSwitch(input: ChainInput): EffectiveVariable | undefined {
  const remote = effectiveVariable(input, 'CLAUDE_CODE_REMOTE');
  if (isOn(remote?.value)) return remote;
  const entry = effectiveVariable(input, 'CLAUDE_CODE_ENTRYPOINT');
  return entry !== undefined && APPS.has(entry.value) ? entry : undefined;
}

/** The first of these clouds that is switched on takes every request. */
function cloudOf(input: ChainInput) {
  return CLOUDS.find(({ use }) => isOn(effectiveVariable(input, use)?.value));
}

function usesGateway(input: ChainInput): boolean {
  const isSwitched = isOn(effectiveVariable(input, 'CLAUDE_CODE_USE_GATEWAY')?.value);
  return isSwitched && effectiveVariable(input, 'ANTHROPIC_AUTH_TOKEN') !== undefined;
}

/** Who is asked, in the words of `allowedProviders`. */
export function destinationOf(input: ChainInput): Destination {
  const cloud = cloudOf(input);
  if (cloud !== undefined) return { provider: cloud.provider, address: effectiveVariable(input, cloud.baseUrl) };
  const address = effectiveVariable(input, 'ANTHROPIC_BASE_URL');
  const isOwn = address === undefined || /^https:\/\/([\w-]+\.)*anthropic\.com(\/|$)/i.test(address.value.trim());
  return { provider: 'anthropic', address: isOwn ? undefined : address };
}

/** What a request carries, given what there is to log in with. */
export function requestOf(input: ChainInput, usable: Usable, remote: boolean): Carried {
  const sent = withoutKeyByHand(input, usable, remote);
  return { ...sent, xApiKey: overridden(input, usable, 'x-api-key', sent.xApiKey) };
}

/** What is set by hand replaces the client's own; set to nothing it goes out as nothing. */
function overridden(
  input: ChainInput,
  usable: Usable,
  name: 'x-api-key' | 'authorization',
  own: MethodId | undefined,
): MethodId | undefined {
  const value = usable['custom-headers'] ? customHeader(input, name) : undefined;
  return value === undefined ? own : value === '' ? undefined : 'custom-headers';
}

function withoutKeyByHand(input: ChainInput, usable: Usable, remote: boolean): Carried {
  if (usesGateway(input) && usable['auth-token']) return { xApiKey: undefined, authorization: 'auth-token' };
  return cloudOf(input) === undefined ? toTheApi(input, usable, remote) : toACloud(input, usable);
}

function toTheApi(input: ChainInput, usable: Usable, remote: boolean): Carried {
  const first = (...ids: MethodId[]) => ids.find((id) => usable[id]);
  const login = first('oauth-token', 'login');
  const key = first('api-key', 'handed-key', 'helper');
  const beatsIdentity = input.identity?.beatsLogin === true && usable[input.identity.kind] && !usable['oauth-token'];
  // Any key turns logins off, except in a session that runs elsewhere.
  const isLogin = login !== undefined && (remote || (key === undefined && !usable['auth-token'] && !beatsIdentity));
  if (isLogin) return { xApiKey: undefined, authorization: overridden(input, usable, 'authorization', login) };
  const xApiKey = key ?? first('console-key');
  const bearer = first('auth-token', 'helper');
  if (bearer !== undefined) return { xApiKey, authorization: bearer };
  const identity = xApiKey === undefined && !remote ? first('workload-identity', 'profile') : undefined;
  return { xApiKey, authorization: identity ?? overridden(input, usable, 'authorization', undefined) };
}

/**
 * A cloud logs in by its own means. Told to skip that (a gateway stands before it), the client sends what it would send as
 * Authorization to the API, with differences between the clouds.
 */
function toACloud(input: ChainInput, usable: Usable): Carried {
  const cloud = cloudOf(input);
  const isSet = (name: string) => effectiveVariable(input, name) !== undefined;
  const byHand = overridden(input, usable, 'authorization', undefined);
  const own = (['auth-token', 'helper'] as const).find((id) => usable[id]) ?? byHand;
  const skips = cloud !== undefined && isOn(effectiveVariable(input, cloud.skip)?.value);
  // What Mantle is sent by hand or by a helper comes before its own token.
  const isPassed = cloud?.provider === 'mantle' && skips && own !== undefined;
  const hasBearer = cloud?.bearer !== undefined && isSet(cloud.bearer) && !isPassed;
  const isKeyed = cloud?.provider === 'foundry' && !hasBearer && isSet('ANTHROPIC_FOUNDRY_API_KEY');
  if (isKeyed) return { xApiKey: 'cloud', authorization: undefined };
  if (hasBearer || !skips) {
    const withKey = hasBearer && skips && cloud.provider === 'bedrock' && usable['api-key'] ? 'api-key' : undefined;
    return { xApiKey: withKey, authorization: 'cloud' };
  }
  const key = usable['api-key'] ? 'api-key' : undefined;
  switch (cloud.provider) {
    case 'bedrock':
      return { xApiKey: own && key, authorization: own };
    case 'vertex':
      return { xApiKey: key, authorization: own };
    case 'anthropicAws':
      return { xApiKey: own, authorization: own };
    case 'foundry':
      // Without anything to send it sends a word of its own.
      return { xApiKey: undefined, authorization: own ?? overridden(input, usable, 'authorization', 'cloud') };
    default:
      return { xApiKey: undefined, authorization: own };
  }
}
