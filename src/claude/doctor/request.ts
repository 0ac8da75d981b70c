import { type ChainInput, customHeader, effectiveVariable } from '../settings/effective.ts';
import { CLOUDS, isOn } from '../shell/variables.ts';
import type { Destination } from './client-end.ts';

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

type Usable = Readonly<Record<MethodId, boolean>>;

/** Both are taken from the environment alone: in settings they do nothing. */
export function isHostManaged({ environment }: ChainInput): boolean {
  return isOn(environment['CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST']);
}

export function isRemote({ environment }: ChainInput): boolean {
  return isOn(environment['CLAUDE_CODE_REMOTE']);
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
  if (usesGateway(input) && usable['auth-token']) {
    return { xApiKey: custom(input, 'x-api-key'), authorization: 'auth-token' };
  }
  return cloudOf(input) === undefined ? toTheApi(input, usable, remote) : toACloud(input, usable);
}

function toTheApi(input: ChainInput, usable: Usable, remote: boolean): Carried {
  const first = (...ids: MethodId[]) => ids.find((id) => usable[id]);
  const byHand = custom(input, 'authorization', usable);
  const xByHand = custom(input, 'x-api-key', usable);
  const login = first('oauth-token', 'login');
  const key = first('api-key', 'handed-key', 'helper');
  const beatsIdentity = input.identity?.beatsLogin === true && usable[input.identity.kind] && !usable['oauth-token'];
  // Any key turns logins off, except in a session that runs elsewhere.
  const isLogin = login !== undefined && (remote || (key === undefined && !usable['auth-token'] && !beatsIdentity));
  if (isLogin) return { xApiKey: xByHand, authorization: byHand ?? login };
  const bearer = first('auth-token', 'helper');
  // A header that is blank by hand goes out blank.
  const isBlank = customHeader(input, 'x-api-key') === '';
  const xApiKey = isBlank ? undefined : (key ?? first('console-key'));
  if (bearer !== undefined) return { xApiKey: xByHand ?? xApiKey, authorization: bearer };
  const identity = xApiKey === undefined && !remote ? first('workload-identity', 'profile') : undefined;
  return { xApiKey: xByHand ?? xApiKey, authorization: identity ?? byHand };
}

/**
 * A cloud logs in by its own means. Told to skip that (a gateway stands before it), the client sends what it would send as
 * Authorization to the API, with differences between the clouds.
 */
function toACloud(input: ChainInput, usable: Usable): Carried {
  const cloud = cloudOf(input);
  const isSet = (name: string) => effectiveVariable(input, name) !== undefined;
  const xByHand = custom(input, 'x-api-key', usable);
  const own = (['auth-token', 'helper'] as const).find((id) => usable[id]) ?? custom(input, 'authorization', usable);
  const skips = cloud !== undefined && isOn(effectiveVariable(input, cloud.skip)?.value);
  // What Mantle is sent by hand or by a helper comes before its own token.
  const isPassed = cloud?.provider === 'mantle' && skips && own !== undefined;
  const hasBearer = cloud?.bearer !== undefined && isSet(cloud.bearer) && !isPassed;
  const isKeyed = cloud?.provider === 'foundry' && !hasBearer && isSet('ANTHROPIC_FOUNDRY_API_KEY');
  if (isKeyed) return { xApiKey: 'cloud', authorization: undefined };
  if (hasBearer || !skips) {
    const withKey = hasBearer && skips && cloud.provider === 'bedrock' && usable['api-key'] ? 'api-key' : undefined;
    return { xApiKey: xByHand ?? withKey, authorization: 'cloud' };
  }
  const key = usable['api-key'] ? 'api-key' : undefined;
  switch (cloud.provider) {
    case 'bedrock':
      return { xApiKey: xByHand ?? (own && key), authorization: own };
    case 'vertex':
      return { xApiKey: xByHand ?? key, authorization: own };
    case 'anthropicAws':
      return { xApiKey: xByHand ?? own, authorization: own };
    case 'foundry':
      // Without anything to send it sends a word of its own.
      return { xApiKey: xByHand, authorization: own ?? 'cloud' };
    default:
      return { xApiKey: xByHand, authorization: own };
  }
}

function custom(input: ChainInput, name: 'x-api-key' | 'authorization', usable?: Usable): 'custom-headers' | undefined {
  const isUsed = usable?.['custom-headers'] ?? true;
  return isUsed && customHeader(input, name) ? 'custom-headers' : undefined;
}
