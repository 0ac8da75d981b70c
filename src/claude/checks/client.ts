import { shellWord } from '../../errors.ts';
import type { ModeOutcome } from '../doctor/auth-chain.ts';
import type { ClientEnd } from '../doctor/client-end.ts';
import type { Facts } from '../doctor/gather.ts';
import { type MethodId, remoteSwitch } from '../doctor/request.ts';
import { effectiveVariable, originFile, originText } from '../settings/effective.ts';
import { isOfProject } from '../settings/files.ts';
import { isOn } from '../shell/variables.ts';
import { type Check, check } from './check.ts';

/** What keeps the client from starting or from running the helper, and where it contradicts what is said here. */
export const clientChecks: readonly Check[] = [
  check({
    id: 'client-ends',
    severity: 'error',
    when: ({ chain: { outcomes } }) => {
      const ends = [outcomes.print, outcomes.interactive].flatMap(({ end }) => (end === undefined ? [] : [end]));
      // Settings that cannot be read and keys that are damaged have findings of their own.
      return ends.slice(0, 1).filter(({ id }) => id !== 'managed-broken' && id !== 'key');
    },
    title: ({ why }) => `claude ends as soon as it is started: ${why}`,
    cost: ({ id }) =>
      id === 'flag'
        ? '"Settings file not found", and nothing else happens'
        : `no request is made; the client names ${id === 'state' || id === 'header' ? 'it' : 'the policy'} and ends`,
    remedy: remedyForEnd,
    where: ({ where }) => where,
  }),
  check({
    id: 'client-disagrees',
    severity: 'warning',
    when: disagreements,
    title: ({ what, said, expected }) =>
      `the client itself says that ${what} comes from ${said}, and by what is said above it is ${expected}`,
    cost: 'one of the two is wrong: the account above may not hold for this client',
    remedy: ({ command }) =>
      `believe the client, and type: ${command}; if that is not what you set up, tell the makers of broker`,
  }),
  check({
    id: 'provider-managed',
    severity: 'warning',
    when: ({ input, helper, chain }) => {
      const set = effectiveVariable(input, 'CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST');
      return isOn(set?.value) && helper !== undefined && chain.outcomes.print.helper === undefined && set;
    },
    title: 'CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST is set: the program that starts claude logs it in',
    cost: 'apiKeyHelper is not run, and keys in settings, logins and OAuth tokens are ignored',
    remedy: 'type: unset CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST; or give that program the key',
    where: ({ origin }) => originFile(origin),
  }),
  check({
    id: 'remote-login-wins',
    severity: 'warning',
    when: ({ input, helper, chain: { outcomes } }) => {
      const id = (['login', 'oauth-token'] as const).find((each) => each === outcomes.print.authorization);
      const set = remoteSwitch(input);
      return helper !== undefined && id !== undefined && set !== undefined && { id, ...set };
    },
    title: ({ id, name, value }) =>
      `${name} is set${isOn(value) ? '' : ` to ${value}`}: ${id === 'login' ? 'the claude.ai login' : 'the OAuth token'} is sent, and no key`,
    cost: 'apiKeyHelper runs, and what it prints is not used',
    remedy: ({ id, name }) =>
      `to use the helper: unset ${name}; to use the login: broker claude uninstall${id === 'login' ? '' : ', and keep CLAUDE_CODE_OAUTH_TOKEN'}`,
  }),
];

function remedyForEnd(end: ClientEnd, { input, helper }: Facts): string {
  switch (end.id) {
    case 'flag':
      return 'name a file that is there, or give the JSON itself in braces';
    case 'state':
      return `fix the JSON in it, or start with a new one: mv ${shellWord(end.where)} ${shellWord(`${end.where}.broken`)}`;
    case 'header':
      return 'write it as Name: value, one on a line, the name in ASCII without spaces';
    case 'version':
      return /or newer/.test(end.why)
        ? 'type: claude update'
        : 'install the version that your administrator allows: claude install VERSION';
    case 'provider': {
      const url = effectiveVariable(input, 'ANTHROPIC_BASE_URL');
      const own = url === undefined ? '' : `remove ANTHROPIC_BASE_URL where it is set (${originText(url.origin)}); or `;
      return `${own}ask your administrator to add the provider to allowedProviders in ${end.where}, for a gateway "customEndpoint" and its address in "env" of the same file`;
    }
    default: {
      const isManaged = helper?.settings.scope === 'managed';
      const policy = end.id === 'organization' ? 'forceLoginOrgUUID' : 'forceLoginMethod';
      const login = 'to log in as demanded: broker claude uninstall, then claude auth login';
      const admin = `to use keys: ask your administrator to remove ${policy} from ${end.where}`;
      return isManaged ? `${admin}; it and a managed apiKeyHelper exclude each other` : `${admin}; ${login}`;
    }
  }
}

interface Disagreement {
  readonly what: string;
  readonly said: string;
  readonly expected: string;
  readonly command: string;
}

/** Words of the client for what it found, by what is found here. */
const TOKENS: Readonly<Record<string, readonly MethodId[]>> = {
  'claude.ai': ['login'],
  api_key_helper: ['helper'],
  // A token that is exchanged or read from a profile is one of OAuth to it.
  oauth_token: ['oauth-token', 'auth-token', 'workload-identity', 'profile'],
};
const KEYS: Readonly<Record<string, readonly MethodId[]>> = {
  ANTHROPIC_API_KEY: ['api-key', 'handed-key'],
  apiKeyHelper: ['helper'],
  '/login managed key': ['console-key'],
};

/** Of what `claude auth status` says only what it can know: it takes no --settings, and misses policies and custom headers. */
function disagreements({ client, chain: { outcomes }, input }: Facts): Disagreement[] {
  const login = client?.login;
  const { print } = outcomes;
  if (login === undefined || client === undefined || print.end !== undefined) return [];
  if (input.settings.some(({ scope }) => scope === 'flag') || login.authMethod === 'third_party') return [];
  // Nor where settings lead to other settings.
  if (input.settings.filter(({ scope }) => scope === 'user').length > 1) return [];
  // It does not look at the variables of a project that nobody trusted yet; claude -p takes them.
  const names = ['ANTHROPIC_AUTH_TOKEN', 'ANTHROPIC_API_KEY'];
  const ofProject = input.settings.filter(({ scope, state }) => isOfProject(scope) && state === 'in-effect');
  if (ofProject.some(({ env }) => names.some((name) => env.has(name)))) return [];
  const command = `${client.program} auth status`;
  return [
    compare('Authorization', login.authMethod, TOKENS, print, print.authorization, command),
    compare('x-api-key', login.apiKeySource, KEYS, print, print.xApiKey, command),
  ].flatMap((found) => found ?? []);
}

function compare(
  header: string,
  said: string,
  words: Readonly<Record<string, readonly MethodId[]>>,
  { mode }: ModeOutcome,
  carried: MethodId | undefined,
  command: string,
): Disagreement | undefined {
  const meant = words[said];
  if (meant === undefined || carried === undefined || carried === 'custom-headers' || meant.includes(carried))
    return undefined;
  return { what: `${header} of ${mode === 'print' ? 'claude -p' : 'claude'}`, said, expected: carried, command };
}
