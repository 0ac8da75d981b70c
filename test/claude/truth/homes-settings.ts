import { API, CUSTOM, OAUTH, TOKEN, type TruthHome } from './home.ts';
import { CREDENTIALS, DROP_INS, helper, LOCAL, MANAGED, PROJECT, USER } from './homes-methods.ts';

const FLAG = '{"apiKeyHelper":"{HELPER:flag}"}';

/** Which file's helper runs. */
const PRECEDENCE: readonly TruthHome[] = [
  { name: 'project helper', files: { [PROJECT]: helper('project') } },
  { name: 'local helper', files: { [LOCAL]: helper('local') } },
  { name: 'managed helper', files: { [MANAGED]: helper('managed') } },
  { name: 'project over user', files: { [USER]: helper('user'), [PROJECT]: helper('project') } },
  { name: 'local over project', files: { [PROJECT]: helper('project'), [LOCAL]: helper('local') } },
  {
    name: 'managed over all',
    files: {
      [USER]: helper('user'),
      [PROJECT]: helper('project'),
      [LOCAL]: helper('local'),
      [MANAGED]: helper('managed'),
    },
    settings: FLAG,
  },
  { name: '--settings over local', files: { [USER]: helper('user'), [LOCAL]: helper('local') }, settings: FLAG },
  {
    name: '--settings with a file',
    files: { [USER]: helper('user'), 'flag.json': helper('flag') },
    settings: '{HOME}/flag.json',
  },
  { name: '--settings with a relative file', files: { 'project/flag.json': helper('flag') }, settings: 'flag.json' },
  { name: '--settings with padded JSON', settings: ` ${FLAG} ` },
  { name: '--settings with broken JSON', files: { [USER]: helper('user') }, settings: '{"apiKeyHelper":' },
  {
    name: '--settings with a file that is not there',
    files: { [USER]: helper('user') },
    settings: '{HOME}/nosuch.json',
  },
  {
    name: '--settings with a file of a wrong type',
    files: { [USER]: helper('user'), 'flag.json': helper('flag', { permissions: 'x' }) },
    settings: '{HOME}/flag.json',
  },
  {
    name: '--settings with inline JSON of a wrong type',
    files: { [USER]: helper('user') },
    settings: '{"apiKeyHelper":"{HELPER:flag}","permissions":"x"}',
  },
  {
    name: '--settings with only an env',
    files: { [USER]: helper('user') },
    settings: `{"env":{"ANTHROPIC_API_KEY":"${API}"}}`,
  },
  {
    name: 'drop-ins',
    files: {
      [MANAGED]: helper('managed'),
      [`${DROP_INS}/10-a.json`]: helper('ten'),
      [`${DROP_INS}/20-b.json`]: helper('twenty'),
    },
  },
  { name: 'a drop-in alone', files: { [`${DROP_INS}/10-a.json`]: helper('ten') } },
  { name: 'a hidden drop-in', files: { [`${DROP_INS}/.10-a.json`]: helper('ten'), [USER]: helper('user') } },
  {
    name: 'from a folder below the project',
    cwd: 'project/below',
    files: { [PROJECT]: helper('project'), [USER]: helper('user') },
  },
  {
    name: 'from a folder below a git root',
    cwd: 'project/below',
    files: { [PROJECT]: helper('project'), 'project/.git/HEAD': 'ref: refs/heads/main\n', [USER]: helper('user') },
  },
  { name: 'from the home folder', cwd: '.', files: { [USER]: helper('user') } },
  {
    name: 'local settings of the home folder',
    cwd: '.',
    files: { [USER]: helper('user'), '.claude/settings.local.json': helper('local') },
  },
  {
    name: 'a moved folder with a helper',
    env: { CLAUDE_CONFIG_DIR: '{HOME}/elsewhere' },
    files: { 'elsewhere/settings.json': helper('moved'), [USER]: helper('user') },
  },
  {
    name: 'a moved folder without one',
    env: { CLAUDE_CONFIG_DIR: '{HOME}/elsewhere' },
    files: { [USER]: helper('user') },
  },
  {
    name: 'a moved folder, empty name, settings in the current one',
    env: { CLAUDE_CONFIG_DIR: '' },
    files: { 'project/settings.json': helper('moved') },
  },
  { name: 'a moved folder, blank name', env: { CLAUDE_CONFIG_DIR: ' ' }, files: { [USER]: helper('user') } },
  {
    name: 'a moved folder, ~ unexpanded',
    env: { CLAUDE_CONFIG_DIR: '~/elsewhere' },
    files: { [USER]: helper('user'), 'elsewhere/settings.json': helper('moved') },
  },
  { name: 'a moved folder, empty name', env: { CLAUDE_CONFIG_DIR: '' }, files: { [USER]: helper('user') } },
  {
    name: 'a moved folder, relative',
    env: { CLAUDE_CONFIG_DIR: 'conf' },
    files: { 'project/conf/settings.json': helper('moved') },
  },
  {
    name: 'a linked settings file',
    files: { 'dotfiles/settings.json': helper('user'), [USER]: '-> ../dotfiles/settings.json' },
  },
  { name: 'a dangling link', files: { [USER]: '-> ../dotfiles/nosuch.json', [PROJECT]: helper('project') } },
  { name: 'settings.jsonc', files: { '.claude/settings.jsonc': helper('user') } },
  { name: 'settings.local.json of the user', files: { '.claude/settings.local.json': helper('user') } },
  { name: 'a helper in .claude.json', files: { '.claude.json': helper('user') } },
  { name: 'a helper in .config/claude', files: { '.config/claude/settings.json': helper('user') } },
  { name: 'an empty helper hides the weaker one', files: { [USER]: helper('user'), [PROJECT]: { apiKeyHelper: '' } } },
  { name: 'a blank helper', files: { [USER]: { apiKeyHelper: '  ' } } },
  {
    name: 'an empty helper and login',
    files: { [USER]: { apiKeyHelper: '' }, '.claude/.credentials.json': CREDENTIALS },
  },
  { name: 'a null helper hides nothing', files: { [USER]: helper('user'), [PROJECT]: { apiKeyHelper: null } } },
  {
    name: 'a helper that fails, and login',
    files: { [USER]: { apiKeyHelper: 'echo user >> {HOME}/ran; exit 1' }, '.claude/.credentials.json': CREDENTIALS },
  },
  // --bare
  { name: '--bare: helper of --settings', bare: true, files: { [USER]: helper('user') }, settings: FLAG },
  { name: '--bare: managed helper', bare: true, files: { [MANAGED]: helper('managed') } },
  {
    name: '--bare: managed helper and one of --settings',
    bare: true,
    files: { [MANAGED]: helper('managed') },
    settings: FLAG,
  },
  { name: '--bare: API key of user settings', bare: true, files: { [USER]: { env: { ANTHROPIC_API_KEY: API } } } },
  {
    name: '--bare: auth token of user settings',
    bare: true,
    files: { [USER]: { env: { ANTHROPIC_AUTH_TOKEN: TOKEN } } },
  },
  {
    name: '--bare: API key of project settings',
    bare: true,
    files: { [PROJECT]: { env: { ANTHROPIC_API_KEY: API } } },
  },
  {
    name: '--bare: API key of managed settings',
    bare: true,
    files: { [MANAGED]: { env: { ANTHROPIC_API_KEY: API } } },
  },
  // Left out: --bare, a helper of --settings and an auth token. Whether the helper's key goes out as x-api-key depends on whether it
  // ended before the request was made.
  {
    name: '--bare: helper of --settings, API key and auth token',
    bare: true,
    env: { ANTHROPIC_API_KEY: API, ANTHROPIC_AUTH_TOKEN: TOKEN },
    settings: FLAG,
  },
  { name: '--bare: helper of --settings and API key', bare: true, env: { ANTHROPIC_API_KEY: API }, settings: FLAG },
  { name: 'CLAUDE_CODE_SIMPLE and helper', env: { CLAUDE_CODE_SIMPLE: '1' }, files: { [USER]: helper('user') } },
  {
    name: 'CLAUDE_CODE_SIMPLE in settings, and helper',
    files: { [USER]: helper('user', { env: { CLAUDE_CODE_SIMPLE: '1' } }) },
  },
  { name: 'CLAUDE_CODE_SIMPLE and OAuth token', env: { CLAUDE_CODE_SIMPLE: 'true', CLAUDE_CODE_OAUTH_TOKEN: OAUTH } },
  { name: 'CLAUDE_CODE_SIMPLE off, and helper', env: { CLAUDE_CODE_SIMPLE: '0' }, files: { [USER]: helper('user') } },
  { name: 'safe mode and helper', env: { CLAUDE_CODE_SAFE_MODE: '1' }, files: { [USER]: helper('user') } },
];

/** Variables in settings, and values that are none. */
const VARIABLES: readonly TruthHome[] = [
  {
    name: 'settings beat the environment',
    env: { ANTHROPIC_API_KEY: 'sk-ant-api03-other' },
    files: { [USER]: { env: { ANTHROPIC_API_KEY: API } } },
  },
  {
    name: 'an empty value in settings turns a variable off',
    env: { ANTHROPIC_API_KEY: API },
    files: { [USER]: helper('user', { env: { ANTHROPIC_API_KEY: '' } }) },
  },
  {
    name: 'an API key of the project',
    files: { [PROJECT]: { env: { ANTHROPIC_API_KEY: API } }, [USER]: helper('user') },
  },
  {
    name: 'an auth token of the project',
    files: { [PROJECT]: { env: { ANTHROPIC_AUTH_TOKEN: TOKEN } }, [USER]: helper('user') },
  },
  { name: 'an OAuth token in settings', files: { [USER]: { env: { CLAUDE_CODE_OAUTH_TOKEN: OAUTH } } } },
  {
    name: 'an API key in managed settings',
    files: { [MANAGED]: { env: { ANTHROPIC_API_KEY: API } }, [USER]: helper('user') },
  },
  {
    name: 'a null in env of settings',
    env: { ANTHROPIC_API_KEY: API },
    files: { [USER]: helper('user', { env: { ANTHROPIC_API_KEY: null } }) },
  },
  { name: 'a number in env of settings', files: { [USER]: helper('user', { env: { ANTHROPIC_API_KEY: 1 } }) } },
  {
    name: 'a list in env of settings',
    env: { ANTHROPIC_API_KEY: API },
    files: { [USER]: helper('user', { env: { ANTHROPIC_API_KEY: ['x'] } }) },
  },
  { name: 'a truth value in env', files: { [USER]: helper('user', { env: { CLAUDE_CODE_SIMPLE: true } }) } },
  { name: 'a blank API key', env: { ANTHROPIC_API_KEY: '   ' }, files: { [USER]: helper('user') } },
  { name: 'a blank API key alone', env: { ANTHROPIC_API_KEY: '   ' } },
  { name: 'a blank auth token', env: { ANTHROPIC_AUTH_TOKEN: ' ' }, files: { [USER]: helper('user') } },
  {
    name: 'a blank OAuth token, and login',
    env: { CLAUDE_CODE_OAUTH_TOKEN: ' ' },
    files: { '.claude/.credentials.json': CREDENTIALS },
  },
  {
    name: 'a blank API key in settings',
    env: { ANTHROPIC_API_KEY: API },
    files: { [USER]: helper('user', { env: { ANTHROPIC_API_KEY: ' ' } }) },
  },
  { name: 'an API key with spaces around', env: { ANTHROPIC_API_KEY: ` ${API} ` } },
  { name: 'an auth token with spaces around', env: { ANTHROPIC_AUTH_TOKEN: ` ${TOKEN} ` } },
  { name: 'a lower-case name in settings', files: { [USER]: helper('user', { env: { anthropic_api_key: API } }) } },
  {
    name: 'PATH of settings finds the helper',
    files: {
      'bin/my-key': '#!/bin/sh\necho user >> {HOME}/ran\necho sk-ant-api03-helper-user-0123456789abcdef\n',
      [USER]: { apiKeyHelper: 'my-key # helpers/user', env: { PATH: '{HOME}/bin:/usr/bin:/bin' } },
    },
  },
  {
    name: 'custom headers of the project',
    files: { [PROJECT]: { env: { ANTHROPIC_CUSTOM_HEADERS: `x-api-key: ${CUSTOM}` } }, [USER]: helper('user') },
  },
  {
    name: 'duplicate keys: the last counts',
    files: { [USER]: '{"apiKeyHelper":"{HELPER:first}",\n"apiKeyHelper":"{HELPER:last}"}' },
  },
  { name: 'a byte-order mark', files: { [USER]: '\uFEFF{"apiKeyHelper":"{HELPER:user}"}' } },
];

/** What is wrong with a file, and what that does to its helper. The project's helper runs where the user's file is dropped. */
const FAULTS: Readonly<Record<string, unknown>> = {
  'a helper that is a number': { apiKeyHelper: 1 },
  'a comment': '// x\n{"apiKeyHelper":"{HELPER:local}"}',
  'a trailing comma': '{"apiKeyHelper":"{HELPER:local}",}',
  'no content': '',
  'white space': ' \n',
  'a list': '[]',
  'half a file': '{"apiKeyHelper":"{HELPER:local}"',
  'permissions as text': helper('local', { permissions: 'x' }),
  'a null defaultMode': helper('local', { permissions: { defaultMode: null } }),
  'an unknown defaultMode': helper('local', { permissions: { defaultMode: 'yolo' } }),
  'allow as text': helper('local', { permissions: { allow: 'Bash' } }),
  'numbers in allow': helper('local', { permissions: { allow: [1] } }),
  'additionalDirectories as text': helper('local', { permissions: { additionalDirectories: '/x' } }),
  'a list of env': helper('local', { env: [] }),
  'env as text': helper('local', { env: 'A=1' }),
  'enabledPlugins as a list': helper('local', { enabledPlugins: ['a'] }),
  'includeCoAuthoredBy as text': helper('local', { includeCoAuthoredBy: 'yes' }),
  'outputStyle as a number': helper('local', { outputStyle: 1 }),
  'disableAllHooks as text': helper('local', { disableAllHooks: 'true' }),
  'awsCredentialExport as a list': helper('local', { awsCredentialExport: [] }),
  'sandbox as text': helper('local', { sandbox: 'on' }),
  'hooks of an event as text': helper('local', { hooks: { Stop: 'x' } }),
  'a hook without a command': helper('local', { hooks: { Stop: [{ hooks: [{ type: 'command' }] }] } }),
  'an unknown hook event': helper('local', { hooks: { Nosuch: [] } }),
  'hooks as a list': helper('local', { hooks: [] }),
  'mcpServers as a list': helper('local', { mcpServers: [] }),
  'an unknown key': helper('local', { nosuch: 1 }),
  'cleanupPeriodDays as text': helper('local', { cleanupPeriodDays: '30' }),
  'cleanupPeriodDays below nothing': helper('local', { cleanupPeriodDays: -1 }),
  'a model that is a number': helper('local', { model: 1 }),
  'statusLine as text': helper('local', { statusLine: 'x' }),
  'statusLine without a type': helper('local', { statusLine: { command: 'x' } }),
  'a null model': helper('local', { model: null }),
  'a bogus forceLoginMethod': helper('local', { forceLoginMethod: 'x' }),
  'language as a number': helper('local', { language: 1 }),
  'theme as a number': helper('local', { theme: 1 }),
  'enableAllProjectMcpServers as text': helper('local', { enableAllProjectMcpServers: 'yes' }),
  'availableModels as text': helper('local', { availableModels: 'opus' }),
  'alwaysThinkingEnabled as text': helper('local', { alwaysThinkingEnabled: 'true' }),
  'attribution with a wrong entry': helper('local', { attribution: { commit: 1 } }),
  'attribution as text': helper('local', { attribution: 'x' }),
  'extraKnownMarketplaces as a list': helper('local', { extraKnownMarketplaces: [] }),
  'spinnerTipsEnabled as text': helper('local', { spinnerTipsEnabled: 'x' }),
  'otelHeadersHelper as a list': helper('local', { otelHeadersHelper: [] }),
  'companyAnnouncements as text': helper('local', { companyAnnouncements: 'x' }),
  'respectGitignore as text': helper('local', { respectGitignore: 'x' }),
  'fileSuggestion as text': helper('local', { fileSuggestion: 'x' }),
  'a sandbox network as text': helper('local', { sandbox: { network: 'x' } }),
  'plansDirectory as a number': helper('local', { plansDirectory: 1 }),
  'an effortLevel of no name': helper('local', { effortLevel: 'x' }),
};

/** The variables of a file that is dropped. */
const DROPPED: readonly TruthHome[] = [
  {
    name: 'an API key in user settings that are refused',
    files: { [USER]: { env: { ANTHROPIC_API_KEY: API }, permissions: 'x' }, [PROJECT]: helper('project') },
  },
  {
    name: 'an auth token in local settings that are refused',
    files: { [LOCAL]: { env: { ANTHROPIC_AUTH_TOKEN: TOKEN }, permissions: 'x' }, [USER]: helper('user') },
  },
  {
    name: 'an API key in managed settings with a wrong entry',
    files: { [MANAGED]: { env: { ANTHROPIC_API_KEY: API }, permissions: 'x' }, [USER]: helper('user') },
  },
  {
    name: 'an API key in user settings with a comment',
    files: { [USER]: `// x\n{"env":{"ANTHROPIC_API_KEY":"${API}"}}`, [PROJECT]: helper('project') },
  },
];

function* faulty(): Generator<TruthHome> {
  for (const [fault, content] of Object.entries(FAULTS)) {
    yield { name: `local settings with ${fault}`, files: { [LOCAL]: content, [USER]: helper('user') } };
  }
  for (const fault of [
    'a null defaultMode',
    'permissions as text',
    'env as text',
    'a helper that is a number',
    'a hook without a command',
    'half a file',
    'a comment',
    'no content',
  ]) {
    yield { name: `user settings with ${fault}`, files: { [USER]: FAULTS[fault], [PROJECT]: helper('project') } };
    yield { name: `managed settings with ${fault}`, files: { [MANAGED]: FAULTS[fault], [USER]: helper('user') } };
  }
}

export const SETTINGS_HOMES: readonly TruthHome[] = [...PRECEDENCE, ...VARIABLES, ...DROPPED, ...faulty()];
