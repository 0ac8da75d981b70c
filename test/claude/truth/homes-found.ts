import { API, CONSOLE, CUSTOM, HANDED, OAUTH, PROFILE, TOKEN, type TruthHome } from './home.ts';
import { CREDENTIALS, DROP_INS, helper, LOCAL, MANAGED, PROJECT, USER } from './homes-methods.ts';

const STATE = '.claude.json';
const LOGIN_FILE = '.claude/.credentials.json';
const files = { [USER]: helper('user') };
const login = { [LOGIN_FILE]: CREDENTIALS };

/** A linked worktree `wt` of the repository `main`. */
const WORKTREE = {
  'main/.git/HEAD': 'ref: refs/heads/main\n',
  'main/.git/worktrees/wt/HEAD': 'ref: refs/heads/wt\n',
  'main/.git/worktrees/wt/commondir': '../..\n',
  'main/.git/worktrees/wt/gitdir': '{HOME}/wt/.git\n',
  'wt/.git': 'gitdir: {HOME}/main/.git/worktrees/wt\n',
};
const OF_MAIN = 'main/.claude/settings.local.json';
const HEAD = { 'project/.git/HEAD': 'ref: refs/heads/main\n' };
const key = { env: { ANTHROPIC_API_KEY: API } };

/** Local settings are those of the whole repository. */
const REPOSITORIES: readonly TruthHome[] = [
  {
    name: 'local settings of the git root',
    cwd: 'project/below',
    files: { ...files, ...HEAD, [LOCAL]: helper('root') },
  },
  {
    name: 'local settings of the git root and of the folder',
    cwd: 'project/below',
    files: { ...HEAD, [LOCAL]: helper('root'), 'project/below/.claude/settings.local.json': helper('here') },
  },
  {
    name: 'variables in local settings of the git root and of the folder',
    cwd: 'project/below',
    files: {
      ...files,
      ...HEAD,
      [LOCAL]: key,
      'project/below/.claude/settings.local.json': { env: { ANTHROPIC_AUTH_TOKEN: TOKEN } },
    },
  },
  {
    name: 'local settings of the git root, refused',
    cwd: 'project/below',
    files: { ...files, ...HEAD, [LOCAL]: helper('root', { model: 1 }) },
  },
  {
    name: '--bare: API key in local settings of the git root',
    bare: true,
    cwd: 'project/below',
    files: { ...HEAD, [LOCAL]: key },
  },
  {
    name: 'local settings of a git root within a git root',
    cwd: 'project/inner/below',
    files: {
      ...HEAD,
      [LOCAL]: helper('outer'),
      'project/inner/.git/HEAD': 'ref: refs/heads/main\n',
      'project/inner/.claude/settings.local.json': helper('inner'),
    },
  },
  {
    name: 'the home folder is the git root',
    files: { ...files, '.git/HEAD': 'ref: refs/heads/main\n', '.claude/settings.local.json': helper('root') },
  },
  {
    name: 'a .git that leads nowhere',
    cwd: 'project/below',
    files: { ...files, 'project/.git': '-> nosuch', [LOCAL]: helper('root') },
  },
  {
    name: 'a linked worktree, local settings of the main one',
    cwd: 'wt',
    files: { ...files, ...WORKTREE, [OF_MAIN]: helper('main') },
  },
  {
    name: 'a linked worktree, local settings of both',
    cwd: 'wt',
    files: { ...WORKTREE, [OF_MAIN]: helper('main'), 'wt/.claude/settings.local.json': helper('here') },
  },
  {
    name: 'below a linked worktree, local settings of its root',
    cwd: 'wt/below',
    files: { ...files, ...WORKTREE, 'wt/.claude/settings.local.json': helper('here') },
  },
  {
    name: 'a linked worktree, project settings of the main one',
    cwd: 'wt',
    files: { ...files, ...WORKTREE, 'main/.claude/settings.json': helper('main') },
  },
  {
    name: 'a linked worktree that the main one does not know',
    cwd: 'wt',
    files: {
      ...files,
      ...WORKTREE,
      'main/.git/worktrees/wt/gitdir': '{HOME}/other/.git\n',
      'other/.git': 'x',
      [OF_MAIN]: helper('main'),
    },
  },
  {
    name: 'below a submodule',
    cwd: 'main/sub/below',
    files: {
      'main/.git/modules/sub/HEAD': 'ref: refs/heads/main\n',
      'main/sub/.git': 'gitdir: ../.git/modules/sub\n',
      [OF_MAIN]: helper('main'),
      'main/sub/.claude/settings.local.json': helper('sub'),
    },
  },
  {
    name: 'a worktree of a bare repository',
    cwd: 'wt/below',
    files: {
      ...files,
      'main.git/worktrees/wt/commondir': '../..\n',
      'main.git/worktrees/wt/gitdir': '{HOME}/wt/.git\n',
      'wt/.git': 'gitdir: {HOME}/main.git/worktrees/wt\n',
      'main.git/.claude/settings.local.json': helper('bare'),
      'wt/.claude/settings.local.json': helper('wt'),
    },
  },
];

const elsewhere = { CLAUDE_CONFIG_DIR: '{HOME}/other' };
const there = { 'other/settings.json': helper('other') };

/** CLAUDE_CONFIG_DIR in settings leads the client on, once, and not in those of a project. */
const MOVED: readonly TruthHome[] = [
  { name: 'moved by user settings', files: { [USER]: helper('user', { env: elsewhere }), ...there } },
  { name: 'moved by user settings, nothing there', files: { [USER]: helper('user', { env: elsewhere }) } },
  {
    name: 'moved by user settings, refused there',
    files: { [USER]: helper('user', { env: elsewhere }), 'other/settings.json': helper('other', { permissions: 'x' }) },
  },
  {
    name: 'moved by user settings, and on',
    files: {
      [USER]: helper('user', { env: elsewhere }),
      'other/settings.json': helper('other', { env: { CLAUDE_CONFIG_DIR: '{HOME}/third' } }),
      'third/settings.json': helper('third'),
    },
  },
  {
    name: 'moved by user settings, variables of both',
    files: {
      [USER]: { env: { ...elsewhere, ANTHROPIC_API_KEY: API } },
      'other/settings.json': { env: { ANTHROPIC_AUTH_TOKEN: TOKEN } },
    },
  },
  {
    name: 'moved by user settings, a variable turned off there',
    files: {
      [USER]: { env: { ...elsewhere, ANTHROPIC_API_KEY: API } },
      'other/settings.json': helper('other', { env: { ANTHROPIC_API_KEY: '' } }),
    },
  },
  {
    name: 'moved by user settings, login there',
    files: { [USER]: { env: elsewhere }, 'other/.credentials.json': CREDENTIALS },
  },
  { name: 'moved by user settings, login at the usual place', files: { [USER]: { env: elsewhere }, ...login } },
  {
    name: 'moved by user settings, Console key there',
    files: { [USER]: { env: elsewhere }, 'other/.claude.json': { primaryApiKey: CONSOLE } },
  },
  { name: 'moved by managed settings', files: { ...files, ...there, [MANAGED]: { env: elsewhere } } },
  {
    name: 'moved by --settings',
    files: { ...files, ...there },
    settings: '{"env":{"CLAUDE_CONFIG_DIR":"{HOME}/other"}}',
  },
  { name: 'moved by project settings', files: { ...files, ...there, [PROJECT]: { env: elsewhere } } },
  {
    name: 'moved by user settings to an empty name',
    files: { [USER]: helper('user', { env: { CLAUDE_CONFIG_DIR: '' } }) },
  },
  {
    name: 'moved by the environment, back by settings',
    env: elsewhere,
    files: { ...files, 'other/settings.json': { env: { CLAUDE_CONFIG_DIR: '{HOME}/.claude' } } },
  },
];

const SIMPLE = { env: { CLAUDE_CODE_SIMPLE: '1' } };

/** What the settings of a project say too late. */
const TOO_LATE: readonly TruthHome[] = [
  { name: 'CLAUDE_CODE_SIMPLE of the project, and helper', files: { ...files, [PROJECT]: SIMPLE } },
  { name: 'CLAUDE_CODE_SIMPLE of the project, and login', files: { ...login, [PROJECT]: SIMPLE } },
  {
    name: 'CLAUDE_CODE_SIMPLE, off in the project',
    ...SIMPLE,
    files: { ...files, [PROJECT]: { env: { CLAUDE_CODE_SIMPLE: '0' } } },
  },
  { name: 'OAuth token of the project', files: { [PROJECT]: { env: { CLAUDE_CODE_OAUTH_TOKEN: OAUTH } } } },
  {
    name: 'OAuth token, turned off by the project',
    env: { CLAUDE_CODE_OAUTH_TOKEN: OAUTH },
    files: { [PROJECT]: { env: { CLAUDE_CODE_OAUTH_TOKEN: '' } } },
  },
  {
    name: 'workload identity of the project',
    files: {
      identity: 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4IiwiZXhwIjo0MDAwMDAwMDAwfQ.c2ln',
      [PROJECT]: {
        env: {
          ANTHROPIC_FEDERATION_RULE_ID: 'fdrl_0123456789',
          ANTHROPIC_ORGANIZATION_ID: '00000000-0000-4000-8000-000000000000',
          ANTHROPIC_IDENTITY_TOKEN_FILE: '{HOME}/identity',
        },
      },
    },
  },
  {
    name: 'API key of user settings, turned off by the project',
    files: { [USER]: helper('user', key), [PROJECT]: { env: { ANTHROPIC_API_KEY: '' } } },
  },
];

const HOST = { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1' };
const DESKTOP = { CLAUDE_CODE_ENTRYPOINT: 'claude-desktop' };

/** How the client was started. */
const STARTED: readonly TruthHome[] = [
  { name: 'started by Desktop, login and helper', env: DESKTOP, files: { ...files, ...login } },
  { name: 'started by Desktop, login and API key', env: { ...DESKTOP, ANTHROPIC_API_KEY: API }, files: login },
  { name: 'started by Desktop, helper', env: DESKTOP, files },
  {
    name: 'started as a local agent, OAuth token and helper',
    env: { CLAUDE_CODE_ENTRYPOINT: 'local-agent', CLAUDE_CODE_OAUTH_TOKEN: OAUTH },
    files,
  },
  {
    name: 'started by an editor, login and helper',
    env: { CLAUDE_CODE_ENTRYPOINT: 'claude-vscode' },
    files: { ...files, ...login },
  },
  {
    name: 'started by Desktop, by settings, login and helper',
    files: { [USER]: helper('user', { env: DESKTOP }), ...login },
  },
  {
    name: 'started by Desktop, forced to claude.ai, login and helper',
    env: DESKTOP,
    files: { ...files, ...login, [MANAGED]: { forceLoginMethod: 'claudeai' } },
  },
  { name: 'provider managed by the host, OAuth token', env: { ...HOST, CLAUDE_CODE_OAUTH_TOKEN: OAUTH } },
  {
    name: 'provider managed by the host, OAuth token in settings',
    env: HOST,
    files: { [USER]: { env: { CLAUDE_CODE_OAUTH_TOKEN: OAUTH } } },
  },
  {
    name: 'provider managed by the host, OAuth token on a descriptor',
    descriptor: OAUTH,
    env: { ...HOST, CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR: '3' },
  },
  {
    name: 'provider managed by the host, remote, OAuth token and helper',
    env: { ...HOST, CLAUDE_CODE_REMOTE: '1', CLAUDE_CODE_OAUTH_TOKEN: OAUTH },
    files,
  },
  {
    name: 'key on a descriptor, by settings',
    descriptor: HANDED,
    files: { [USER]: helper('user', { env: { CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: '3' } }) },
  },
  { name: 'key on a descriptor of no number', env: { CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: 'three' }, files },
  {
    name: 'OAuth token on a descriptor of no number, and login',
    env: { CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR: 'x' },
    files: login,
  },
];

const byHand = (text: string) => ({ ANTHROPIC_CUSTOM_HEADERS: text });
const VERTEX = {
  CLAUDE_CODE_USE_VERTEX: '1',
  CLAUDE_CODE_SKIP_VERTEX_AUTH: '1',
  ANTHROPIC_VERTEX_BASE_URL: '{API}',
  ANTHROPIC_VERTEX_PROJECT_ID: 'p',
  CLOUD_ML_REGION: 'x',
};

/** Headers that are set to nothing, and what cannot be one. */
const HEADERS: readonly TruthHome[] = [
  { name: 'Authorization by hand, blank, and login', env: byHand('Authorization:'), files: login },
  {
    name: 'Authorization by hand, blank, and OAuth token',
    env: { ...byHand('Authorization:'), CLAUDE_CODE_OAUTH_TOKEN: OAUTH },
  },
  { name: 'Authorization by hand, blank, and API key', env: { ...byHand('Authorization:'), ANTHROPIC_API_KEY: API } },
  {
    name: 'x-api-key by hand, blank, Vertex, passed through, and API key',
    env: { ...VERTEX, ...byHand('x-api-key:'), ANTHROPIC_API_KEY: API },
  },
  {
    name: 'x-api-key by hand, and Foundry with its API key',
    env: {
      ...byHand(`x-api-key: ${CUSTOM}`),
      CLAUDE_CODE_USE_FOUNDRY: '1',
      ANTHROPIC_FOUNDRY_BASE_URL: '{API}',
      ANTHROPIC_FOUNDRY_API_KEY: TOKEN,
    },
  },
  { name: 'a header by hand with a space in its name', env: byHand('My Header: 1'), files },
  { name: 'a header by hand without a name', env: byHand('X-A: 1\n: b'), files },
  { name: 'headers by hand as JSON', env: byHand('{"X-A": "1"}'), files },
  { name: 'a header by hand with a letter that is not Latin', env: byHand('X-A: \u20ac'), files },
  { name: 'a header by hand with a Latin letter', env: byHand('X-A: \u00e9'), files },
  { name: 'an API key with a letter that is not Latin', env: { ANTHROPIC_API_KEY: 'sk-ant-\u20ac' }, files },
  { name: 'an auth token of two lines', env: { ANTHROPIC_AUTH_TOKEN: 'a\nb' } },
  { name: 'an OAuth token with a letter that is not Latin', env: { CLAUDE_CODE_OAUTH_TOKEN: 'sk-ant-oat01-\u20ac' } },
  {
    name: 'an OAuth token with a letter that is not Latin, and helper',
    env: { CLAUDE_CODE_OAUTH_TOKEN: 'sk-ant-oat01-\u20ac' },
    files,
  },
];

const PROFILE_FILE = { authentication: { type: 'user_oauth' }, organization_id: 'org' };
const PROFILE_CREDENTIALS = {
  type: 'oauth_token',
  access_token: PROFILE,
  expires_at: 4_000_000_000,
  refresh_token: 'r',
};
const profile = (folder = '.config/anthropic', more: object = PROFILE_FILE) => ({
  [`${folder}/configs/default.json`]: more,
  [`${folder}/credentials/default.json`]: PROFILE_CREDENTIALS,
});

/** What the client keeps, and how strictly it reads that. */
const KEPT: readonly TruthHome[] = [
  { name: '.claude.json that is no JSON, and helper', files: { ...files, [STATE]: '{"a":' } },
  {
    name: '--bare: .claude.json that is no JSON, and API key',
    bare: true,
    env: { ANTHROPIC_API_KEY: API },
    files: { [STATE]: '{"a":' },
  },
  { name: '.claude.json with a comment', files: { ...files, [STATE]: '// x\n{}' } },
  { name: '.claude.json with a byte-order mark', files: { [STATE]: `\uFEFF{"primaryApiKey":"${CONSOLE}"}` } },
  { name: 'an empty .claude.json, and helper', files: { ...files, [STATE]: '' } },
  { name: 'Console key in .config.json', files: { '.claude/.config.json': { primaryApiKey: CONSOLE } } },
  {
    name: 'Console key beside .config.json',
    files: { '.claude/.config.json': {}, [STATE]: { primaryApiKey: CONSOLE } },
  },
  { name: 'a blank Console key', files: { [STATE]: { primaryApiKey: '  ' } } },
  { name: 'a login with a byte-order mark', files: { [LOGIN_FILE]: `\uFEFF${JSON.stringify(CREDENTIALS)}` } },
  { name: 'a login with a comment', files: { [LOGIN_FILE]: `// x\n${JSON.stringify(CREDENTIALS)}` } },
  {
    name: 'a login with its scopes as text',
    files: { [LOGIN_FILE]: { claudeAiOauth: { ...CREDENTIALS.claudeAiOauth, scopes: 'user:profile user:inference' } } },
  },
  {
    name: 'profile with a comment',
    files: { ...profile(), '.config/anthropic/configs/default.json': `// x\n${JSON.stringify(PROFILE_FILE)}` },
  },
  {
    name: 'profile by a name in settings, and login',
    files: { ...profile(), ...login, [USER]: { env: { ANTHROPIC_PROFILE: 'default' } } },
  },
  {
    name: 'profile folder by settings',
    files: { ...profile(), [USER]: { env: { ANTHROPIC_CONFIG_DIR: '{HOME}/nosuch' } } },
  },
  {
    name: 'profile folder by a relative name',
    env: { XDG_CONFIG_HOME: 'xdg' },
    files: profile('project/xdg/anthropic'),
  },
  {
    name: 'profile with credentials by a relative name',
    files: {
      '.config/anthropic/configs/default.json': {
        ...PROFILE_FILE,
        authentication: { type: 'user_oauth', credentials_path: 'c.json' },
      },
      'project/c.json': PROFILE_CREDENTIALS,
    },
  },
];

/** Files that are something else, and where --settings leads. */
const ODD_FILES: readonly TruthHome[] = [
  { name: 'a folder in place of user settings', files: { '.claude/settings.json/': '', [PROJECT]: helper('project') } },
  { name: 'a folder in place of managed settings', files: { ...files, 'etc/claude-code/managed-settings.json/': '' } },
  {
    name: 'a folder among drop-ins',
    files: { ...files, [`${DROP_INS}/10-a.json/`]: '', [`${DROP_INS}/20-b.json`]: helper('twenty') },
  },
  {
    name: 'settings nested deeply',
    files: { [USER]: `{"apiKeyHelper":"{HELPER:user}","nosuch":${'['.repeat(3000)}${']'.repeat(3000)}}` },
  },
  {
    name: 'a variable nested deeply',
    files: { [USER]: `{"apiKeyHelper":"{HELPER:user}","env":{"A":${'['.repeat(3000)}${']'.repeat(3000)}}}` },
  },
  { name: '--settings of nothing', files, settings: '' },
  { name: '--settings with JSON and a comment', files, settings: '{/* x */"apiKeyHelper":"{HELPER:flag}"}' },
  { name: '--bare: --settings with the user file', bare: true, files, settings: '{HOME}/.claude/settings.json' },
  {
    name: '--bare: --settings with the project file',
    bare: true,
    files: { [PROJECT]: helper('project') },
    settings: '.claude/settings.json',
  },
];

export const FOUND_HOMES: readonly TruthHome[] = [
  ...REPOSITORIES,
  ...MOVED,
  ...TOO_LATE,
  ...STARTED,
  ...HEADERS,
  ...KEPT,
  ...ODD_FILES,
];
