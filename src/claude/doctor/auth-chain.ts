import { fingerprint } from '../../platform/text.ts';
import {
  type ChainInput,
  effectiveHelper,
  effectiveVariable,
  type FoundHelper,
  keyAnswer,
  type SettingOrigin,
} from '../settings/effective.ts';
import { describeCommand } from '../shell/helper-command.ts';
import { CLOUDS, isOn } from '../shell/variables.ts';
import { type ClientEnd, whyTheClientEnds } from './client-end.ts';
import {
  type Carried,
  destinationOf,
  isHostManaged,
  METHODS,
  type MethodId,
  remoteSwitch,
  requestOf,
} from './request.ts';

type Mode = 'interactive' | 'print' | 'bare';

export interface AuthMethod {
  readonly id: MethodId;
  readonly label: string;
  readonly present: boolean;
  readonly origin: SettingOrigin | undefined;
  /** What may be shown: a fingerprint, a command without its arguments. */
  readonly shown: string | undefined;
  /** The variable or setting it comes from. */
  readonly name: string;
}

export interface ModeOutcome extends Carried {
  readonly mode: Mode;
  readonly winner: MethodId | undefined;
  /** `file:line` of the helper that is run, even if its key is then not sent; undefined: none is. */
  readonly helper: string | undefined;
  /** What makes the client end before it sends anything; undefined: nothing. */
  readonly end: ClientEnd | undefined;
  /** What has to happen first, or what the mode leaves out. */
  readonly note: string | undefined;
}

export interface AuthChain {
  /** The strongest first. */
  readonly methods: readonly AuthMethod[];
  readonly outcomes: Readonly<Record<Mode, ModeOutcome>>;
}

export function authChain(input: ChainInput): AuthChain {
  const methods = methodsOf(input);
  const outcome = (mode: Mode) => outcomeOf(input, methods, mode);
  return {
    methods,
    outcomes: { interactive: outcome('interactive'), print: outcome('print'), bare: outcome('bare') },
  };
}

function methodsOf(input: ChainInput): AuthMethod[] {
  const helper = effectiveHelper(input);
  const cloud = CLOUDS.map(({ use }) => effectiveVariable(input, use)).find((set) => isOn(set?.value));
  const { login, identity } = input;
  const variable = (id: MethodId, name: string, isSecret = true): AuthMethod => {
    const set = effectiveVariable(input, name);
    const shown = set && isSecret ? fingerprint(set.value) : undefined;
    return { id, label: name, name, present: set !== undefined, origin: set?.origin, shown };
  };
  const kept = (id: MethodId, label: string, file: string | undefined, name = label): AuthMethod => ({
    id,
    label,
    name,
    present: file !== undefined,
    origin: file === undefined ? undefined : { kind: 'login', file, line: undefined },
    shown: undefined,
  });
  const exchange = identity?.kind === 'workload-identity' ? identity : undefined;
  const profile = identity?.kind === 'profile' ? identity : undefined;
  const oauth = variable('oauth-token', 'CLAUDE_CODE_OAUTH_TOKEN');
  const handedToken = variable('oauth-token', 'CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR', false);
  return [
    {
      id: 'cloud',
      label: 'cloud provider',
      name: cloud?.name ?? 'CLAUDE_CODE_USE_*',
      present: cloud !== undefined,
      origin: cloud?.origin,
      shown: cloud?.name,
    },
    variable('auth-token', 'ANTHROPIC_AUTH_TOKEN'),
    variable('api-key', 'ANTHROPIC_API_KEY'),
    variable('handed-key', 'CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR', false),
    {
      id: 'helper',
      label: 'apiKeyHelper',
      name: 'apiKeyHelper',
      present: helper !== undefined,
      origin: helper && { kind: 'settings', file: helper.settings.file, line: helper.line },
      shown: helper && describeCommand(helper.command),
    },
    !oauth.present && handedToken.present ? handedToken : oauth,
    kept('workload-identity', 'workload identity', exchange?.file, 'ANTHROPIC_FEDERATION_RULE_ID'),
    kept('login', 'login kept by the client', login.subscription, '/login'),
    kept('profile', 'profile of the ant CLI', profile?.file),
    kept('console-key', 'Console key kept by the client', login.consoleKey, '/login'),
    customLogin(input),
  ];
}

/** `Authorization` in ANTHROPIC_CUSTOM_HEADERS logs in by itself. */
function customLogin(input: ChainInput): AuthMethod {
  const name = 'ANTHROPIC_CUSTOM_HEADERS';
  const set = effectiveVariable(input, name);
  const present = set !== undefined && /^\s*(authorization|x-api-key)\s*:\s*\S/im.test(set.value);
  return {
    id: 'custom-headers',
    label: name,
    name,
    present,
    origin: present ? set.origin : undefined,
    shown: undefined,
  };
}

/** As seen with 2.1.331 and 2.1.332 in every home of docs/doctor-truth.md. */
function outcomeOf(input: ChainInput, methods: readonly AuthMethod[], mode: Mode): ModeOutcome {
  const bare = mode === 'bare' || isOn(effectiveVariable(input, 'CLAUDE_CODE_SIMPLE')?.value);
  const has = (id: MethodId) => methods.some((method) => method.id === id && method.present);
  const hosted = isHostManaged(input);
  const own = (name: string) => {
    const set = effectiveVariable(input, name);
    // What manages the provider keeps settings from replacing it.
    return set !== undefined && !(hosted && set.origin.kind === 'settings');
  };
  const key = effectiveVariable(input, 'ANTHROPIC_API_KEY');
  const answer = key === undefined ? 'not asked' : keyAnswer(input, key.value);
  const found = helperFor(input, bare, hosted);
  const kept = !bare && !hosted;
  const remote = remoteSwitch(input) !== undefined;
  // A host hands its token over in the environment; a helper that is set keeps it from counting, if it runs or not.
  const isHanded = own('CLAUDE_CODE_OAUTH_TOKEN') || own('CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR');
  const handed = !hosted || (isHanded && (remote || effectiveHelper(input) === undefined));
  const usable: Record<MethodId, boolean> = {
    cloud: has('cloud'),
    'auth-token': own('ANTHROPIC_AUTH_TOKEN'),
    'api-key': own('ANTHROPIC_API_KEY') && !(mode === 'interactive' && answer === 'declined'),
    'handed-key': has('handed-key') && !bare,
    helper: found !== undefined,
    'oauth-token': has('oauth-token') && !bare && handed,
    'workload-identity': has('workload-identity') && kept,
    login: has('login') && kept,
    profile: has('profile') && kept,
    'console-key': has('console-key') && kept,
    'custom-headers': own('ANTHROPIC_CUSTOM_HEADERS'),
  };
  const carried = requestOf(input, usable, remote);
  const end = whyTheClientEnds(input, {
    mode,
    bare,
    uses: (id) => usable[id],
    carried,
    destination: destinationOf(input),
  });
  const sent = [carried.xApiKey, carried.authorization];
  const strongest = METHODS.find((id) => sent.includes(id)) ?? (usable.cloud ? 'cloud' : undefined);
  return {
    mode,
    end,
    winner: end === undefined ? strongest : undefined,
    xApiKey: end === undefined ? carried.xApiKey : undefined,
    authorization: end === undefined ? carried.authorization : undefined,
    helper: found && end?.beforeHelper !== true ? `${found.settings.file}:${found.line}` : undefined,
    note: noteOf(input, mode, usable, answer, found),
  };
}

/** The helper that a client in this mode runs: `--bare` knows only that of `--settings`, a managed provider no other. */
function helperFor(input: ChainInput, bare: boolean, hosted: boolean): FoundHelper | undefined {
  if (bare) return effectiveHelper(input, 'flag');
  return hosted ? undefined : effectiveHelper(input);
}

function noteOf(
  input: ChainInput,
  mode: Mode,
  usable: Record<MethodId, boolean>,
  answer: string,
  helper: FoundHelper | undefined,
): string | undefined {
  if (mode === 'bare' && helper === undefined && effectiveHelper(input) !== undefined)
    return 'apiKeyHelper counts only if --settings names its file';
  if (mode !== 'interactive') return undefined;
  if (usable['api-key'] && answer === 'not asked') return 'asks first; if you decline, ANTHROPIC_API_KEY is left out';
  if (effectiveVariable(input, 'ANTHROPIC_API_KEY') !== undefined && answer === 'declined')
    return 'ANTHROPIC_API_KEY was declined at the prompt before';
  const fromProject = helper?.settings.scope === 'project' || helper?.settings.scope === 'local';
  if (fromProject && input.trusted !== true) return 'apiKeyHelper runs only once the folder is trusted';
  return undefined;
}
