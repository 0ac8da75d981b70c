import { fingerprint } from '../../platform/text.ts';
import {
  type ChainInput,
  customHeaders,
  effectiveHelper,
  effectiveVariable,
  keyAnswer,
  type SettingOrigin,
} from '../settings/effective.ts';
import { describeCommand } from '../shell/helper-command.ts';
import { CLOUD_VARIABLES, isOn } from '../shell/variables.ts';

/** Claude Code's ways to authenticate, the strongest first. */
type MethodId = 'cloud' | 'auth-token' | 'api-key' | 'helper' | 'oauth-token' | 'login' | 'federation';
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

/** Where the content of a header comes from: a method, or ANTHROPIC_CUSTOM_HEADERS, which beats them all. */
export type HeaderSource = MethodId | 'custom-headers';

export interface ModeOutcome {
  readonly mode: Mode;
  readonly winner: MethodId | undefined;
  readonly xApiKey: HeaderSource | undefined;
  readonly authorization: HeaderSource | undefined;
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
  const cloud = CLOUD_VARIABLES.map((name) => effectiveVariable(input, name)).find((set) => isOn(set?.value));
  const secret = (id: MethodId, name: string): AuthMethod => {
    const set = effectiveVariable(input, name);
    const shown = set === undefined ? undefined : fingerprint(set.value);
    return { id, label: name, name, present: set !== undefined, origin: set?.origin, shown };
  };
  return [
    {
      id: 'cloud',
      label: 'cloud provider',
      name: cloud?.name ?? 'CLAUDE_CODE_USE_*',
      present: cloud !== undefined,
      origin: cloud?.origin,
      shown: cloud?.name,
    },
    secret('auth-token', 'ANTHROPIC_AUTH_TOKEN'),
    secret('api-key', 'ANTHROPIC_API_KEY'),
    {
      id: 'helper',
      label: 'apiKeyHelper',
      name: 'apiKeyHelper',
      present: helper !== undefined,
      origin: helper && { kind: 'settings', file: helper.settings.file, line: helper.line },
      shown: helper && describeCommand(helper.command),
    },
    secret('oauth-token', 'CLAUDE_CODE_OAUTH_TOKEN'),
    {
      id: 'login',
      label: 'login kept by the client',
      name: '/login',
      present: input.login.present,
      origin: input.login.present ? { kind: 'login', file: input.login.file, line: undefined } : undefined,
      shown: undefined,
    },
    federation(input),
  ];
}

/** All of them are needed. Of the two that say where the identity token is the file is the usual one. */
function federation(input: ChainInput): AuthMethod {
  const [rule, organization] = ['ANTHROPIC_FEDERATION_RULE_ID', 'ANTHROPIC_ORGANIZATION_ID'].map((name) =>
    effectiveVariable(input, name),
  );
  const file = effectiveVariable(input, 'ANTHROPIC_IDENTITY_TOKEN_FILE');
  const token = file ?? effectiveVariable(input, 'ANTHROPIC_IDENTITY_TOKEN');
  const present = rule !== undefined && organization !== undefined && token !== undefined;
  return {
    id: 'federation',
    label: 'workload identity',
    name: 'ANTHROPIC_FEDERATION_RULE_ID',
    present,
    origin: present ? rule.origin : undefined,
    shown: present ? (file === undefined ? rule.value : `${rule.value}, with the token in ${file.value}`) : undefined,
  };
}

/** As observed with version 2.1.330; see docs/doctor.md, "Which method wins". */
function outcomeOf(input: ChainInput, methods: readonly AuthMethod[], mode: Mode): ModeOutcome {
  const bare = mode === 'bare' || isOn(effectiveVariable(input, 'CLAUDE_CODE_SIMPLE')?.value);
  const has = (id: MethodId) => methods.some((method) => method.id === id && method.present);
  const key = effectiveVariable(input, 'ANTHROPIC_API_KEY');
  const answer = key === undefined ? 'not asked' : keyAnswer(input, key.value);
  const helperScope = effectiveHelper(input)?.settings.scope;
  const usable: Record<MethodId, boolean> = {
    cloud: has('cloud'),
    'auth-token': has('auth-token'),
    'api-key': has('api-key') && !(mode === 'interactive' && answer === 'declined'),
    helper: has('helper') && (!bare || helperScope === 'flag'),
    'oauth-token': has('oauth-token') && !bare,
    login: has('login') && !bare,
    federation: has('federation') && !bare,
  };
  const winner = methods.find(({ id }) => usable[id])?.id;
  const note = noteOf(input, mode, usable, answer, has);
  if (winner === 'cloud') return { mode, winner, xApiKey: undefined, authorization: 'cloud', note };
  const custom = customHeaders(input);
  const first = (...ids: MethodId[]) => ids.find((id) => usable[id]);
  const authorization =
    first('auth-token', 'helper') ?? (usable['api-key'] ? undefined : first('oauth-token', 'login', 'federation'));
  return {
    mode,
    winner,
    xApiKey: custom.has('x-api-key') ? 'custom-headers' : first('api-key', 'helper'),
    authorization: custom.has('authorization') ? 'custom-headers' : authorization,
    note,
  };
}

function noteOf(
  input: ChainInput,
  mode: Mode,
  usable: Record<MethodId, boolean>,
  answer: string,
  has: (id: MethodId) => boolean,
): string | undefined {
  const helperScope = effectiveHelper(input)?.settings.scope;
  if (mode === 'bare' && has('helper') && !usable.helper)
    return 'apiKeyHelper counts only if --settings names its file';
  if (mode !== 'interactive') return undefined;
  if (usable['api-key'] && answer === 'not asked') return 'asks first; if you decline, ANTHROPIC_API_KEY is left out';
  if (has('api-key') && answer === 'declined') return 'ANTHROPIC_API_KEY was declined at the prompt before';
  const fromProject = helperScope === 'project' || helperScope === 'local';
  if (usable.helper && fromProject && input.trusted !== true)
    return 'apiKeyHelper runs only once the folder is trusted';
  return undefined;
}
