import type { StatusReport } from '../../../src/protocol/reports.ts';
import { statusOf } from './status-sample.ts';

/**
 * Homes as data: an environment, files and what the doctor is to make of them. `{HOME}` in a file or variable is the
 * home's folder; the project lies in `{HOME}/project`. Every home has an executable `{HOME}/bin/broker-key`.
 */
export interface Home {
  readonly name: string;
  readonly env?: Record<string, string>;
  /** Text, or text and mode; 0600 unless given. */
  readonly files?: Record<string, string | readonly [text: string, mode: number]>;
  /** `--settings` of the client. */
  readonly flag?: string;
  readonly broker?: StatusReport | 'none';
  readonly runHelper?: boolean;
  /** Symbolic links, each to a path within the home. */
  readonly links?: Record<string, string>;
  /** Nobody else can enter its folder. */
  readonly isClosed?: boolean;
  /** Default: linux. On darwin the fake programs of mac-programs.ts answer. */
  readonly platform?: 'darwin';
  /** Winner in the terminal, with -p and with --bare. */
  readonly wins: readonly [interactive: string | null, print: string | null, bare: string | null];
  /** x-api-key and Authorization of -p. */
  readonly headers?: readonly [string | null, string | null];
  /** Ids of all findings but notes, in any order. */
  readonly finds: readonly string[];
  /** Ids of notes that must be among them. */
  readonly notes?: readonly string[];
}

const API = 'sk-ant-api03-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
const OTHER_API = 'sk-ant-api03-BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB';
export const OAUTH = 'sk-ant-oat01-CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC';
const ADMIN = 'sk-ant-admin01-DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD';
const TOKEN = 'gateway-token-EEEEEEEEEEEEEEEEEEEEEEEEEEEE';

export const USER = '.claude/settings.json';
const PROJECT = 'project/.claude/settings.json';
const LOCAL = 'project/.claude/settings.local.json';
export const MANAGED = 'system/etc/claude-code/managed-settings.json';
const STATE = '.claude.json';

export const OURS = '{HOME}/bin/broker-key anthropic';
export const helper = (command: string, more: object = {}) =>
  JSON.stringify({ apiKeyHelper: command, ...more }, null, 2);
const ours = helper(OURS);
const withEnv = (env: object) => helper(OURS, { env });
export const script = (body: string): [string, number] => [`#!/bin/sh\n${body}\n`, 0o755];

/** What a login to claude.ai leaves, as far as it is looked at. */
export const LOGIN = JSON.stringify({ claudeAiOauth: { accessToken: OAUTH, scopes: ['user:inference'] } });

export const H = ['helper', 'helper', null] as const;
const NOTHING = [null, null, null] as const;
const BOTH = ['helper', 'helper'] as const;

export const HOMES: readonly Home[] = [
  // One method at a time
  { name: 'nothing at all', wins: NOTHING, headers: [null, null], finds: ['no-method'] },
  {
    name: 'our helper',
    files: { [USER]: ours },
    wins: H,
    headers: BOTH,
    finds: [],
    notes: ['helper-ignored-by-bare', 'agent-can-read-key'],
  },
  {
    name: 'our helper with deny rules',
    files: { [USER]: helper(OURS, { permissions: { deny: ['Bash(broker-key:*)'] } }) },
    wins: H,
    finds: [],
  },
  {
    name: 'API key, not asked yet',
    env: { ANTHROPIC_API_KEY: API },
    wins: ['api-key', 'api-key', 'api-key'],
    headers: ['api-key', null],
    finds: [],
  },
  {
    name: 'API key, accepted',
    env: { ANTHROPIC_API_KEY: API },
    files: { [STATE]: JSON.stringify({ customApiKeyResponses: { approved: [API.slice(-20)] } }) },
    wins: ['api-key', 'api-key', 'api-key'],
    finds: [],
  },
  {
    name: 'API key, declined',
    env: { ANTHROPIC_API_KEY: API },
    files: { [STATE]: JSON.stringify({ customApiKeyResponses: { rejected: [API.slice(-20)] } }) },
    wins: [null, 'api-key', 'api-key'],
    finds: ['api-key-declined'],
  },
  {
    name: 'auth token',
    env: { ANTHROPIC_AUTH_TOKEN: TOKEN, ANTHROPIC_BASE_URL: 'https://gw.example.com' },
    wins: ['auth-token', 'auth-token', 'auth-token'],
    headers: [null, 'auth-token'],
    finds: [],
  },
  {
    name: 'OAuth token',
    env: { CLAUDE_CODE_OAUTH_TOKEN: OAUTH },
    wins: ['oauth-token', 'oauth-token', null],
    headers: [null, 'oauth-token'],
    finds: ['oauth-token-bare'],
  },
  {
    name: 'subscription login',
    files: { '.claude/.credentials.json': LOGIN },
    wins: ['login', 'login', null],
    headers: [null, 'login'],
    finds: [],
  },
  {
    name: 'Console login',
    files: { [STATE]: JSON.stringify({ primaryApiKey: API }) },
    wins: ['console-key', 'console-key', null],
    headers: ['console-key', null],
    finds: [],
  },
  {
    name: 'Bedrock alone',
    env: { CLAUDE_CODE_USE_BEDROCK: '1' },
    wins: ['cloud', 'cloud', 'cloud'],
    headers: [null, 'cloud'],
    finds: [],
  },
  {
    name: 'an empty variable is none',
    env: { ANTHROPIC_API_KEY: '' },
    files: { [USER]: ours },
    wins: H,
    headers: BOTH,
    finds: [],
  },

  // What beats the helper
  {
    name: 'API key beside the helper',
    env: { ANTHROPIC_API_KEY: API },
    files: { [USER]: ours },
    wins: ['api-key', 'api-key', 'api-key'],
    headers: ['api-key', 'helper'],
    finds: ['variable-overrides-helper'],
  },
  {
    name: 'declined API key beside the helper',
    env: { ANTHROPIC_API_KEY: API },
    files: { [USER]: ours, [STATE]: JSON.stringify({ customApiKeyResponses: { rejected: [API.slice(-20)] } }) },
    wins: ['helper', 'api-key', 'api-key'],
    finds: ['variable-overrides-helper'],
  },
  {
    name: 'auth token beside the helper',
    env: { ANTHROPIC_AUTH_TOKEN: TOKEN },
    files: { [USER]: ours },
    wins: ['auth-token', 'auth-token', 'auth-token'],
    headers: ['helper', 'auth-token'],
    finds: ['variable-overrides-helper', 'base-url-missing'],
  },
  {
    name: 'API key and auth token beside the helper',
    env: { ANTHROPIC_API_KEY: API, ANTHROPIC_AUTH_TOKEN: TOKEN, ANTHROPIC_BASE_URL: 'http://127.0.0.1:4000' },
    files: { [USER]: ours },
    wins: ['auth-token', 'auth-token', 'auth-token'],
    headers: ['api-key', 'auth-token'],
    finds: ['variable-overrides-helper', 'variable-overrides-helper'],
  },
  {
    name: 'OAuth token beside the helper',
    env: { CLAUDE_CODE_OAUTH_TOKEN: OAUTH },
    files: { [USER]: ours },
    wins: H,
    headers: BOTH,
    finds: ['two-methods'],
  },
  {
    name: 'login beside the helper',
    files: { [USER]: ours, '.claude/.credentials.json': LOGIN },
    wins: H,
    headers: BOTH,
    finds: [],
    notes: ['two-methods'],
  },
  {
    name: 'API key in the settings',
    files: { [USER]: withEnv({ ANTHROPIC_API_KEY: API }) },
    wins: ['api-key', 'api-key', 'api-key'],
    headers: ['api-key', 'helper'],
    finds: ['variable-overrides-helper'],
  },
  {
    name: 'settings beat the shell',
    env: { ANTHROPIC_BASE_URL: 'nonsense' },
    files: { [USER]: withEnv({ ANTHROPIC_BASE_URL: 'http://127.0.0.1:4000' }) },
    wins: H,
    finds: [],
  },
  {
    name: 'Bedrock beside the helper',
    env: { CLAUDE_CODE_USE_BEDROCK: 'true' },
    files: { [USER]: ours },
    wins: ['cloud', 'cloud', 'cloud'],
    headers: [null, 'cloud'],
    finds: ['cloud-variable'],
  },
  {
    name: 'Vertex in the settings',
    files: { [USER]: withEnv({ CLAUDE_CODE_USE_VERTEX: '1' }) },
    wins: ['cloud', 'cloud', 'cloud'],
    finds: ['cloud-variable'],
  },
  {
    name: 'Foundry turned off',
    env: { CLAUDE_CODE_USE_FOUNDRY: '0' },
    files: { [USER]: ours },
    wins: H,
    headers: BOTH,
    finds: [],
  },
  {
    name: 'custom header',
    env: { ANTHROPIC_CUSTOM_HEADERS: 'X-Api-Key: abc\nX-Team: a' },
    files: { [USER]: ours },
    wins: ['helper', 'helper', 'custom-headers'],
    headers: ['custom-headers', 'helper'],
    finds: ['custom-headers'],
  },
  {
    name: 'harmless custom header',
    env: { ANTHROPIC_CUSTOM_HEADERS: 'X-Team: a' },
    files: { [USER]: ours },
    wins: H,
    headers: BOTH,
    finds: [],
  },
  {
    name: 'API key and OAuth token',
    env: { ANTHROPIC_API_KEY: API, CLAUDE_CODE_OAUTH_TOKEN: OAUTH },
    wins: ['api-key', 'api-key', 'api-key'],
    headers: ['api-key', null],
    finds: ['two-methods'],
  },
  {
    name: 'simple mode',
    env: { CLAUDE_CODE_SIMPLE: '1' },
    files: { [USER]: ours },
    wins: NOTHING,
    finds: ['simple-mode', 'no-method'],
  },

  // Profiles
  {
    name: 'stale export in .zshrc, this shell clean',
    files: { [USER]: ours, '.zshrc': `export ANTHROPIC_API_KEY=${API}\n` },
    wins: H,
    finds: ['profile-overrides-helper'],
  },
  {
    name: 'stale export in .zshrc, in this shell',
    env: { ANTHROPIC_API_KEY: API },
    files: { [USER]: ours, '.zshrc': `export ANTHROPIC_API_KEY=${API}\n` },
    wins: ['api-key', 'api-key', 'api-key'],
    finds: ['variable-overrides-helper', 'profile-holds-key'],
  },
  {
    name: 'export from a command in .bashrc',
    files: { [USER]: ours, '.bashrc': 'export ANTHROPIC_API_KEY="$(pass show key)"\n' },
    wins: H,
    finds: ['profile-overrides-helper'],
  },
  {
    name: 'fish',
    files: { [USER]: ours, '.config/fish/config.fish': `set -gx ANTHROPIC_AUTH_TOKEN ${TOKEN}\n` },
    wins: H,
    finds: ['profile-overrides-helper'],
  },
  {
    name: 'environment.d',
    files: { [USER]: ours, '.config/environment.d/key.conf': `ANTHROPIC_API_KEY=${API}\n` },
    wins: H,
    finds: ['profile-overrides-helper'],
  },
  {
    name: '/etc/environment',
    files: { [USER]: ours, 'system/etc/environment': `ANTHROPIC_API_KEY="${API}"\n` },
    wins: H,
    finds: ['profile-overrides-helper'],
  },
  {
    name: 'alias',
    files: { [USER]: ours, '.bash_aliases': `alias cc='ANTHROPIC_API_KEY=${API} claude'\n` },
    wins: H,
    finds: [],
    notes: ['profile-holds-key'],
  },
  {
    name: 'commented out',
    files: { [USER]: ours, '.zshrc': `# export ANTHROPIC_API_KEY=${API}\n` },
    wins: H,
    finds: [],
  },
  { name: 'unset', files: { [USER]: ours, '.zshrc': 'unset ANTHROPIC_API_KEY\n' }, wins: H, finds: [] },
  {
    name: 'OAuth token kept in a profile',
    env: { CLAUDE_CODE_OAUTH_TOKEN: OAUTH },
    files: { '.profile': [`export CLAUDE_CODE_OAUTH_TOKEN=${OAUTH}\n`, 0o644] },
    wins: ['oauth-token', 'oauth-token', null],
    finds: ['oauth-token-bare', 'profile-holds-key', 'readable-by-others'],
  },

  // Precedence of settings
  {
    name: 'managed hides user',
    files: { [MANAGED]: ours, [USER]: helper('{HOME}/bin/broker-key other') },
    wins: H,
    finds: [],
    notes: ['helper-shadowed'],
  },
  {
    name: 'managed drop-in beats the base file',
    files: { [MANAGED]: helper('{HOME}/bin/broker-key a'), 'system/etc/claude-code/managed-settings.d/10.json': ours },
    wins: H,
    finds: [],
    notes: ['helper-shadowed'],
  },
  {
    name: 'local hides project',
    files: {
      [LOCAL]: ours,
      [PROJECT]: helper('{HOME}/bin/broker-key other'),
      [STATE]: '{"projects":{"{HOME}":{"hasTrustDialogAccepted":true}}}',
    },
    wins: H,
    finds: [],
    notes: ['helper-shadowed'],
  },
  {
    name: 'the helper of another program hides ours',
    files: { [MANAGED]: helper('{HOME}/key.sh'), [USER]: ours, 'key.sh': script('echo sk-ant-api03-"$(id -u)"') },
    wins: H,
    finds: ['helper-shadowed'],
  },
  { name: 'same helper twice is no conflict', files: { [MANAGED]: ours, [USER]: ours }, wins: H, finds: [] },
  {
    name: 'project helper, not trusted',
    files: { [PROJECT]: helper('./tool.sh'), 'project/tool.sh': script('echo "$K"') },
    wins: H,
    finds: ['helper-relative', 'helper-untrusted-project'],
    notes: ['helper-not-run', 'foreign-helper'],
  },
  {
    name: 'project helper, trusted',
    files: { [PROJECT]: ours, [STATE]: '{"projects":{"{HOME}/project":{"hasTrustDialogAccepted":true}}}' },
    wins: H,
    finds: [],
  },
  {
    name: 'bare with --settings',
    flag: 'bare.json',
    files: { 'bare.json': ours },
    wins: ['helper', 'helper', 'helper'],
    headers: BOTH,
    finds: [],
  },
  {
    name: 'an empty helper hides a weaker one',
    files: { [LOCAL]: helper(''), [USER]: ours },
    wins: NOTHING,
    finds: ['no-method', 'helper-shadowed'],
  },
  {
    name: 'moved by CLAUDE_CONFIG_DIR',
    env: { CLAUDE_CONFIG_DIR: '{HOME}/moved' },
    files: { 'moved/settings.json': ours },
    wins: H,
    finds: [],
  },
  {
    name: 'CLAUDE_CONFIG_DIR hides the helper',
    env: { CLAUDE_CONFIG_DIR: '{HOME}/moved', ANTHROPIC_API_KEY: API },
    files: { [USER]: ours },
    wins: ['api-key', 'api-key', 'api-key'],
    finds: ['config-dir-hides-helper'],
  },

  // Broken settings
  { name: 'a comment', files: { [USER]: `// mine\n${ours}` }, wins: NOTHING, finds: ['settings-refused', 'no-method'] },
  {
    name: 'a trailing comma',
    files: { [USER]: '{"apiKeyHelper": "x",}' },
    wins: NOTHING,
    finds: ['settings-refused', 'no-method'],
  },
  {
    name: 'a helper that is no text',
    files: { [USER]: '{"apiKeyHelper": 5}' },
    wins: NOTHING,
    finds: ['settings-refused', 'no-method'],
  },
  {
    name: 'broken JSON',
    files: { [USER]: '{"apiKeyHelper": ', [LOCAL]: ours },
    wins: H,
    finds: ['settings-broken', 'helper-untrusted-project'],
  },
  { name: 'an empty file and a BOM are fine', files: { [LOCAL]: '', [USER]: `\uFEFF${ours}` }, wins: H, finds: [] },
  {
    name: 'the helper twice',
    files: { [USER]: `{"apiKeyHelper": "/bin/false", "apiKeyHelper": "${OURS}"}` },
    wins: H,
    finds: ['settings-duplicate'],
  },

  // The helper itself
  { name: 'missing program', files: { [USER]: helper('/nowhere/broker-key') }, wins: H, finds: ['helper-missing'] },
  { name: 'program not on PATH', files: { [USER]: helper('no-such-helper') }, wins: H, finds: ['helper-missing'] },
  {
    name: 'not executable',
    files: { [USER]: helper('{HOME}/h.sh'), 'h.sh': ['#!/bin/sh\necho "$K"\n', 0o644] },
    wins: H,
    finds: ['helper-not-executable', 'helper-fails'],
  },
  {
    name: 'relative in user settings',
    files: { [USER]: helper('./h.sh'), 'project/h.sh': script(`k=${API}; echo "$k"`) },
    wins: H,
    finds: ['helper-relative'],
  },
  { name: 'under the home with a tilde', files: { [USER]: helper('~/bin/broker-key anthropic') }, wins: H, finds: [] },
  {
    name: 'quoted path with a space',
    files: { [USER]: helper("'{HOME}/my bin/broker-key' anthropic"), 'my bin/broker-key': script(`echo ${API}`) },
    wins: H,
    finds: [],
  },
  {
    name: 'reads standard input',
    files: { [USER]: helper('{HOME}/h.sh </dev/null'), 'h.sh': script(`read -r line; k=${API}; echo "$k"`) },
    wins: H,
    finds: ['helper-reads-stdin'],
  },
  {
    name: 'fails',
    files: { [USER]: helper('{HOME}/h.sh'), 'h.sh': script('echo "$(date)" >&2; exit 3') },
    wins: H,
    finds: ['helper-fails'],
  },
  {
    name: 'prints two lines',
    files: { [USER]: helper('{HOME}/h.sh'), 'h.sh': script('echo "$0"; echo two') },
    wins: H,
    finds: ['helper-output-refused'],
  },
  {
    name: 'prints a header',
    files: { [USER]: helper('{HOME}/h.sh'), 'h.sh': script('echo "Bearer $0"') },
    wins: H,
    finds: ['helper-output-refused'],
  },
  {
    name: 'prints null',
    files: { [USER]: helper('{HOME}/h.sh'), 'h.sh': script('k=null; echo "$k"') },
    wins: H,
    finds: ['helper-prints-no-key'],
  },
  {
    name: 'prints a reference that nobody resolved',
    files: { [USER]: helper('{HOME}/h.sh'), 'h.sh': script('k=op://dev/claude/key; echo "$k"') },
    wins: H,
    finds: ['helper-prints-no-key'],
  },
  {
    name: 'prints the key in its quotes',
    files: { [USER]: helper('{HOME}/h.sh'), 'h.sh': script(`k='"${API}"'; echo "$k"`) },
    wins: H,
    finds: ['helper-prints-no-key'],
  },
  {
    name: 'is slow',
    files: { [USER]: helper('{HOME}/h.sh'), 'h.sh': script(`sleep 1.1; k=${API}; echo "$k"`) },
    wins: H,
    finds: ['helper-slow'],
  },
  { name: 'echoes a fixed key', files: { [USER]: helper(`echo ${API}`) }, wins: H, finds: ['static-key'] },
  { name: 'reads a key file', files: { [USER]: helper('cat {HOME}/key'), key: API }, wins: H, finds: ['static-key'] },
  {
    name: 'a script that echoes a fixed key',
    files: { [USER]: helper('{HOME}/h.sh'), 'h.sh': script(`# key\necho ${API}`) },
    wins: H,
    finds: ['static-key'],
  },
  {
    name: 'a placeholder',
    files: { [USER]: helper('echo your-api-key-here') },
    wins: H,
    finds: ['placeholder-helper', 'static-key', 'helper-prints-no-key'],
  },
  {
    name: 'gives an admin key',
    files: { [USER]: helper('{HOME}/h.sh'), 'h.sh': script(`k=${ADMIN}; echo "$k"`) },
    wins: H,
    finds: ['helper-gives-admin-key'],
  },
  {
    name: 'project helper run on demand',
    runHelper: true,
    files: { [PROJECT]: helper('{HOME}/h.sh'), 'h.sh': script('exit 4') },
    wins: H,
    finds: ['helper-fails', 'helper-untrusted-project'],
  },

  // Interval, URL, shape
  {
    name: 'nonsense interval',
    files: { [USER]: withEnv({ CLAUDE_CODE_API_KEY_HELPER_TTL_MS: 'five minutes' }) },
    wins: H,
    finds: ['ttl-nonsense'],
  },
  {
    name: 'interval with a unit, which the client takes for milliseconds',
    files: { [USER]: withEnv({ CLAUDE_CODE_API_KEY_HELPER_TTL_MS: '5m' }) },
    wins: H,
    finds: ['ttl-too-short'],
  },
  {
    name: 'interval of zero',
    env: { CLAUDE_CODE_API_KEY_HELPER_TTL_MS: '0' },
    files: { [USER]: ours },
    wins: H,
    finds: ['ttl-too-short'],
  },
  {
    name: 'interval as a number',
    files: { [USER]: withEnv({ CLAUDE_CODE_API_KEY_HELPER_TTL_MS: 60000 }) },
    wins: H,
    finds: [],
  },
  {
    name: 'interval longer than the key lives',
    files: { [USER]: ours },
    broker: statusOf({ lifeMs: 120_000 }),
    wins: H,
    finds: ['ttl-exceeds-key-life'],
  },
  {
    name: 'gateway over plain http',
    env: { ANTHROPIC_BASE_URL: 'http://gw.example.com' },
    files: { [USER]: ours },
    wins: H,
    finds: ['base-url-plain-http', 'base-url-foreign-key'],
  },
  {
    name: 'gateway with /v1',
    env: { ANTHROPIC_BASE_URL: 'https://api.anthropic.com/v1' },
    files: { [USER]: ours },
    wins: H,
    finds: ['base-url-version-path'],
  },
  {
    name: 'no URL',
    env: { ANTHROPIC_BASE_URL: 'gw.example.com' },
    files: { [USER]: ours },
    wins: H,
    finds: ['base-url-invalid'],
  },
  {
    name: 'Anthropic key to a gateway',
    env: { ANTHROPIC_BASE_URL: 'https://gw.example.com', ANTHROPIC_API_KEY: API },
    wins: ['api-key', 'api-key', 'api-key'],
    finds: ['base-url-foreign-key'],
  },
  {
    name: 'OAuth token as API key',
    env: { ANTHROPIC_API_KEY: OAUTH },
    wins: ['api-key', 'api-key', 'api-key'],
    finds: ['key-in-wrong-variable'],
  },
  {
    name: 'API key as OAuth token',
    env: { CLAUDE_CODE_OAUTH_TOKEN: OTHER_API },
    wins: ['oauth-token', 'oauth-token', null],
    finds: ['key-in-wrong-variable', 'oauth-token-bare'],
  },
  {
    name: 'key with its quotes',
    env: { ANTHROPIC_API_KEY: `"${API}"`, ANTHROPIC_BASE_URL: 'http://localhost:1' },
    wins: ['api-key', 'api-key', 'api-key'],
    finds: ['key-damaged'],
  },
  {
    name: 'token with Bearer',
    env: { ANTHROPIC_AUTH_TOKEN: `Bearer ${TOKEN}`, ANTHROPIC_BASE_URL: 'http://localhost:1' },
    wins: ['auth-token', 'auth-token', 'auth-token'],
    finds: ['key-damaged'],
  },

  // Broker and modes
  {
    name: 'no broker',
    files: { [USER]: ours, 'bin/broker-key': script('echo "broker: not there" >&2; exit 69') },
    broker: 'none',
    wins: H,
    finds: ['broker-unreachable'],
  },
  {
    name: 'unknown credential',
    files: { [USER]: helper('{HOME}/bin/broker-key typo') },
    wins: H,
    finds: ['credential-unknown'],
  },
  {
    name: 'no default credential',
    files: { [USER]: helper('{HOME}/bin/broker-key') },
    broker: statusOf({ isDefault: false }),
    wins: H,
    finds: ['credential-unknown'],
  },
  {
    name: 'failing credential',
    files: { [USER]: ours },
    broker: statusOf({ state: 'failing' }),
    wins: H,
    finds: ['credential-failing'],
  },
  {
    name: 'advice',
    files: { [USER]: ours },
    broker: statusOf({
      advice: [{ about: 'interval', message: 'keys live too short', remedy: 'shorten the interval' }],
    }),
    wins: H,
    finds: ['broker-advice'],
  },
  {
    name: 'advice about the clock',
    files: { [USER]: ours },
    broker: statusOf({ advice: [{ about: 'clock', message: 'the clock is off', remedy: 'set it' }] }),
    wins: H,
    finds: [],
  },
  {
    name: 'a check that asks the API which claude uses',
    files: { [USER]: ours },
    broker: statusOf({ checkHost: 'api.anthropic.com' }),
    wins: H,
    finds: [],
  },
  {
    name: 'a check that asks another API than claude uses',
    files: { [USER]: withEnv({ ANTHROPIC_BASE_URL: 'http://127.0.0.1:4000' }) },
    broker: statusOf({ checkHost: 'api.anthropic.com' }),
    wins: H,
    finds: ['check-other-host'],
  },
  {
    name: 'a check that asks a gateway which claude does not use',
    files: { [USER]: ours },
    broker: statusOf({ checkHost: 'gateway.example.com' }),
    wins: H,
    finds: ['check-other-host'],
  },
  {
    name: 'settings that others can write',
    files: { [USER]: [ours, 0o666] },
    wins: H,
    finds: ['writable-by-others'],
    notes: ['helper-not-run'],
  },
  {
    name: 'helper that others can write',
    files: { [USER]: ours, 'bin/broker-key': [`#!/bin/sh\necho ${API}\n`, 0o777] },
    wins: H,
    finds: ['writable-by-others'],
  },
  {
    name: 'open login file',
    files: { '.claude/.credentials.json': [LOGIN, 0o644] },
    wins: ['login', 'login', null],
    finds: ['readable-by-others'],
  },
  {
    name: 'editor and Desktop',
    files: {
      [USER]: ours,
      '.vscode/extensions/anthropic.claude-code-2.1.0/package.json': '{}',
      '.config/Claude/x': '',
    },
    wins: H,
    finds: [],
    notes: ['editor-ignores-helper', 'desktop-ignores-helper'],
  },
  {
    name: 'socket in the settings',
    files: { [USER]: withEnv({ BROKER_SOCKET: '/elsewhere.sock' }) },
    wins: H,
    finds: ['second-socket'],
  },
];
