import { API, CONSOLE, CUSTOM, HANDED, LOGIN, OAUTH, PROFILE, TOKEN, type TruthHome } from './home.ts';

export const USER = '.claude/settings.json';
export const PROJECT = 'project/.claude/settings.json';
export const LOCAL = 'project/.claude/settings.local.json';
export const MANAGED = 'etc/claude-code/managed-settings.json';
export const DROP_INS = 'etc/claude-code/managed-settings.d';
const STATE = '.claude.json';

/** A settings file with a helper of this name. */
export const helper = (name: string, more: object = {}) => ({ apiKeyHelper: `{HELPER:${name}}`, ...more });

const DISTANT = 4_000_000_000_000;
export const CREDENTIALS = {
  claudeAiOauth: {
    accessToken: LOGIN,
    refreshToken: 'sk-ant-ort01-DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD',
    expiresAt: DISTANT,
    scopes: ['user:inference', 'user:profile'],
    subscriptionType: 'max',
  },
};

type Part = Pick<TruthHome, 'env' | 'files'>;

/** The ways to log in that a home can have at once. */
const PARTS: Readonly<Record<string, Part>> = {
  'API key': { env: { ANTHROPIC_API_KEY: API } },
  'auth token': { env: { ANTHROPIC_AUTH_TOKEN: TOKEN } },
  helper: { files: { [USER]: helper('user') } },
  'OAuth token': { env: { CLAUDE_CODE_OAUTH_TOKEN: OAUTH } },
  login: { files: { '.claude/.credentials.json': CREDENTIALS } },
};

/** Every set of these ways, with `-p` and with `--bare`. */
function* combined(): Generator<TruthHome> {
  const names = Object.keys(PARTS);
  for (let set = 0; set < 1 << names.length; set += 1) {
    const chosen = names.filter((_, index) => (set & (1 << index)) !== 0);
    const parts = chosen.map((name) => PARTS[name]);
    const home = {
      env: Object.assign({}, ...parts.map((part) => part?.env)) as Record<string, string>,
      files: Object.assign({}, ...parts.map((part) => part?.files)) as Record<string, unknown>,
    };
    const name = chosen.join(', ') || 'nothing';
    yield { name, ...home };
    yield { name: `--bare: ${name}`, ...home, bare: true };
  }
}

const approved = { customApiKeyResponses: { approved: [API.slice(-20)], rejected: [] } };
const rejected = { customApiKeyResponses: { approved: [], rejected: [API.slice(-20)] } };

const EXCHANGE = {
  ANTHROPIC_FEDERATION_RULE_ID: 'fdrl_0123456789',
  ANTHROPIC_ORGANIZATION_ID: '00000000-0000-4000-8000-000000000000',
  ANTHROPIC_SERVICE_ACCOUNT_ID: 'svac_0123456789',
  ANTHROPIC_IDENTITY_TOKEN_FILE: '{HOME}/identity',
};
const IDENTITY = { identity: 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4IiwiZXhwIjo0MDAwMDAwMDAwfQ.c2ln' };

const PROFILE_FILES = {
  '.config/anthropic/configs/default.json': { authentication: { type: 'user_oauth' }, organization_id: 'org' },
  '.config/anthropic/credentials/default.json': {
    type: 'oauth_token',
    access_token: PROFILE,
    expires_at: 4_000_000_000,
    refresh_token: 'r',
  },
  '.config/anthropic/active_config': 'default',
};

export const METHOD_HOMES: readonly TruthHome[] = [
  ...combined(),

  // The prompt's answer about an API key
  { name: 'API key, approved', env: { ANTHROPIC_API_KEY: API }, files: { [STATE]: approved } },
  { name: 'API key, declined', env: { ANTHROPIC_API_KEY: API }, files: { [STATE]: rejected } },
  {
    name: 'API key, approved, helper',
    env: { ANTHROPIC_API_KEY: API },
    files: { [STATE]: approved, [USER]: helper('user') },
  },
  {
    name: 'API key, declined, helper',
    env: { ANTHROPIC_API_KEY: API },
    files: { [STATE]: rejected, [USER]: helper('user') },
  },
  {
    name: 'API key, declined, login',
    env: { ANTHROPIC_API_KEY: API },
    files: { [STATE]: rejected, '.claude/.credentials.json': CREDENTIALS },
  },

  // Logins that the client keeps
  { name: 'Console key', files: { [STATE]: { primaryApiKey: CONSOLE } } },
  {
    name: 'Console key and login',
    files: { [STATE]: { primaryApiKey: CONSOLE }, '.claude/.credentials.json': CREDENTIALS },
  },
  { name: 'Console key and helper', files: { [STATE]: { primaryApiKey: CONSOLE }, [USER]: helper('user') } },
  {
    name: 'Console key and OAuth token',
    env: { CLAUDE_CODE_OAUTH_TOKEN: OAUTH },
    files: { [STATE]: { primaryApiKey: CONSOLE } },
  },
  { name: 'Console key and API key', env: { ANTHROPIC_API_KEY: API }, files: { [STATE]: { primaryApiKey: CONSOLE } } },
  {
    name: 'Console key and auth token',
    env: { ANTHROPIC_AUTH_TOKEN: TOKEN },
    files: { [STATE]: { primaryApiKey: CONSOLE } },
  },
  { name: '--bare: Console key', bare: true, files: { [STATE]: { primaryApiKey: CONSOLE } } },
  { name: 'an empty credentials file', files: { '.claude/.credentials.json': {} } },
  { name: 'a credentials file that is not JSON', files: { '.claude/.credentials.json': '{' } },
  {
    name: 'a login without the scope for inference',
    files: {
      '.claude/.credentials.json': { claudeAiOauth: { ...CREDENTIALS.claudeAiOauth, scopes: ['user:profile'] } },
    },
  },
  { name: 'a login of other programs only', files: { '.claude/.credentials.json': { mcpOAuth: {} } } },
  {
    name: 'a login with an empty token',
    files: { '.claude/.credentials.json': { claudeAiOauth: { ...CREDENTIALS.claudeAiOauth, accessToken: '' } } },
  },
  { name: 'an empty Console key', files: { [STATE]: { primaryApiKey: '' } } },
  {
    name: 'login in a moved folder',
    env: { CLAUDE_CONFIG_DIR: '{HOME}/elsewhere' },
    files: { 'elsewhere/.credentials.json': CREDENTIALS },
  },
  {
    name: 'login, with the folder moved away',
    env: { CLAUDE_CONFIG_DIR: '{HOME}/elsewhere' },
    files: { '.claude/.credentials.json': CREDENTIALS },
  },
  {
    name: 'Console key in a moved folder',
    env: { CLAUDE_CONFIG_DIR: '{HOME}/elsewhere' },
    files: { 'elsewhere/.claude.json': { primaryApiKey: CONSOLE } },
  },
  {
    name: 'OAuth token with refresh token',
    env: {
      CLAUDE_CODE_OAUTH_TOKEN: OAUTH,
      CLAUDE_CODE_OAUTH_REFRESH_TOKEN: 'sk-ant-ort01-x',
      CLAUDE_CODE_OAUTH_SCOPES: 'user:inference',
    },
  },

  // Headers given by hand
  { name: 'Authorization by hand', env: { ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}` } },
  { name: 'x-api-key by hand', env: { ANTHROPIC_CUSTOM_HEADERS: `x-api-key: ${CUSTOM}` } },
  {
    name: 'both headers by hand',
    env: { ANTHROPIC_CUSTOM_HEADERS: `x-api-key: ${CUSTOM}\nAuthorization: Bearer ${CUSTOM}` },
  },
  {
    name: 'Authorization by hand and helper',
    env: { ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}` },
    files: { [USER]: helper('user') },
  },
  {
    name: 'x-api-key by hand and helper',
    env: { ANTHROPIC_CUSTOM_HEADERS: `X-Api-Key: ${CUSTOM}` },
    files: { [USER]: helper('user') },
  },
  {
    name: 'Authorization by hand and API key',
    env: { ANTHROPIC_CUSTOM_HEADERS: `authorization: Bearer ${CUSTOM}`, ANTHROPIC_API_KEY: API },
  },
  {
    name: 'Authorization by hand and auth token',
    env: { ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}`, ANTHROPIC_AUTH_TOKEN: TOKEN },
  },
  {
    name: 'Authorization by hand and OAuth token',
    env: { ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}`, CLAUDE_CODE_OAUTH_TOKEN: OAUTH },
  },
  {
    name: 'Authorization by hand and login',
    env: { ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}` },
    files: { '.claude/.credentials.json': CREDENTIALS },
  },
  {
    name: 'Authorization by hand and Console key',
    env: { ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}` },
    files: { [STATE]: { primaryApiKey: CONSOLE } },
  },
  {
    name: 'x-api-key by hand and API key',
    env: { ANTHROPIC_CUSTOM_HEADERS: `x-api-key: ${CUSTOM}`, ANTHROPIC_API_KEY: API },
  },
  {
    name: 'x-api-key by hand and auth token',
    env: { ANTHROPIC_CUSTOM_HEADERS: `x-api-key: ${CUSTOM}`, ANTHROPIC_AUTH_TOKEN: TOKEN },
  },
  {
    name: 'x-api-key by hand and OAuth token',
    env: { ANTHROPIC_CUSTOM_HEADERS: `x-api-key: ${CUSTOM}`, CLAUDE_CODE_OAUTH_TOKEN: OAUTH },
  },
  {
    name: 'x-api-key by hand and login',
    env: { ANTHROPIC_CUSTOM_HEADERS: `x-api-key: ${CUSTOM}` },
    files: { '.claude/.credentials.json': CREDENTIALS },
  },
  {
    name: '--bare: Authorization by hand',
    bare: true,
    env: { ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}` },
  },
  { name: '--bare: x-api-key by hand', bare: true, env: { ANTHROPIC_CUSTOM_HEADERS: `x-api-key: ${CUSTOM}` } },
  {
    name: 'another header by hand, and helper',
    env: { ANTHROPIC_CUSTOM_HEADERS: 'X-Team: a' },
    files: { [USER]: helper('user') },
  },
  {
    name: 'Authorization by hand, blank',
    env: { ANTHROPIC_CUSTOM_HEADERS: 'Authorization: ' },
    files: { [USER]: helper('user') },
  },
  {
    name: 'Authorization by hand in settings',
    files: { [USER]: { env: { ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}` } } },
  },
  {
    name: 'a line without a colon by hand',
    env: { ANTHROPIC_CUSTOM_HEADERS: 'Authorization Bearer x' },
    files: { [USER]: helper('user') },
  },

  // Keys handed over on a descriptor
  { name: 'key on a descriptor', descriptor: HANDED, env: { CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: '3' } },
  {
    name: 'key on a descriptor and helper',
    descriptor: HANDED,
    env: { CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: '3' },
    files: { [USER]: helper('user') },
  },
  {
    name: 'key on a descriptor and API key',
    descriptor: HANDED,
    env: { CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: '3', ANTHROPIC_API_KEY: API },
  },
  {
    name: 'key on a descriptor and auth token',
    descriptor: HANDED,
    env: { CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: '3', ANTHROPIC_AUTH_TOKEN: TOKEN },
  },
  {
    name: 'key on a descriptor and OAuth token',
    descriptor: HANDED,
    env: { CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: '3', CLAUDE_CODE_OAUTH_TOKEN: OAUTH },
  },
  {
    name: '--bare: key on a descriptor',
    bare: true,
    descriptor: HANDED,
    env: { CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: '3' },
  },
  { name: 'OAuth token on a descriptor', descriptor: OAUTH, env: { CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR: '3' } },
  {
    name: 'OAuth token on a descriptor and helper',
    descriptor: OAUTH,
    env: { CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR: '3' },
    files: { [USER]: helper('user') },
  },

  // Workload identity and profiles
  { name: 'workload identity', env: EXCHANGE, files: IDENTITY },
  { name: 'workload identity and helper', env: EXCHANGE, files: { ...IDENTITY, [USER]: helper('user') } },
  { name: 'workload identity and API key', env: { ...EXCHANGE, ANTHROPIC_API_KEY: API }, files: IDENTITY },
  { name: 'workload identity and auth token', env: { ...EXCHANGE, ANTHROPIC_AUTH_TOKEN: TOKEN }, files: IDENTITY },
  { name: 'workload identity and OAuth token', env: { ...EXCHANGE, CLAUDE_CODE_OAUTH_TOKEN: OAUTH }, files: IDENTITY },
  {
    name: 'workload identity and login',
    env: EXCHANGE,
    files: { ...IDENTITY, '.claude/.credentials.json': CREDENTIALS },
  },
  {
    name: 'workload identity and Console key',
    env: EXCHANGE,
    files: { ...IDENTITY, [STATE]: { primaryApiKey: CONSOLE } },
  },
  { name: '--bare: workload identity', bare: true, env: EXCHANGE, files: IDENTITY },
  {
    name: 'workload identity without its organization',
    env: { ...EXCHANGE, ANTHROPIC_ORGANIZATION_ID: '' },
    files: IDENTITY,
  },
  { name: 'workload identity without its token', env: { ...EXCHANGE, ANTHROPIC_IDENTITY_TOKEN_FILE: '' }, files: {} },
  {
    name: 'workload identity with the token itself',
    env: { ...EXCHANGE, ANTHROPIC_IDENTITY_TOKEN_FILE: '', ANTHROPIC_IDENTITY_TOKEN: IDENTITY.identity },
  },
  { name: 'profile', files: PROFILE_FILES },
  { name: 'profile and helper', files: { ...PROFILE_FILES, [USER]: helper('user') } },
  { name: 'profile and login', files: { ...PROFILE_FILES, '.claude/.credentials.json': CREDENTIALS } },
  { name: 'profile and OAuth token', env: { CLAUDE_CODE_OAUTH_TOKEN: OAUTH }, files: PROFILE_FILES },
  { name: 'profile and API key', env: { ANTHROPIC_API_KEY: API }, files: PROFILE_FILES },
  { name: 'profile and auth token', env: { ANTHROPIC_AUTH_TOKEN: TOKEN }, files: PROFILE_FILES },
  { name: 'profile and Console key', files: { ...PROFILE_FILES, [STATE]: { primaryApiKey: CONSOLE } } },
  {
    name: 'profile by name and login',
    env: { ANTHROPIC_PROFILE: 'default' },
    files: { ...PROFILE_FILES, '.claude/.credentials.json': CREDENTIALS },
  },
  {
    name: 'profile by name and helper',
    env: { ANTHROPIC_PROFILE: 'default' },
    files: { ...PROFILE_FILES, [USER]: helper('user') },
  },
  {
    name: 'profile by a name that is not there, and helper',
    env: { ANTHROPIC_PROFILE: 'nosuch' },
    files: { ...PROFILE_FILES, [USER]: helper('user') },
  },
  { name: 'profile by a name that is not there', env: { ANTHROPIC_PROFILE: 'nosuch' }, files: PROFILE_FILES },
  {
    name: 'profile in a folder of its own',
    env: { ANTHROPIC_CONFIG_DIR: '{HOME}/profiles' },
    files: Object.fromEntries(
      Object.entries(PROFILE_FILES).map(([name, text]) => [name.replace('.config/anthropic', 'profiles'), text]),
    ),
  },
  { name: '--bare: profile', bare: true, files: PROFILE_FILES },
  {
    name: 'workload identity and Authorization by hand',
    env: { ...EXCHANGE, ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}` },
    files: IDENTITY,
  },
  {
    name: 'workload identity and x-api-key by hand',
    env: { ...EXCHANGE, ANTHROPIC_CUSTOM_HEADERS: `x-api-key: ${CUSTOM}` },
    files: IDENTITY,
  },
  {
    name: 'workload identity and key on a descriptor',
    descriptor: HANDED,
    env: { ...EXCHANGE, CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: '3' },
    files: IDENTITY,
  },
  { name: 'workload identity and profile', env: EXCHANGE, files: { ...IDENTITY, ...PROFILE_FILES } },
  { name: 'workload identity in settings', files: { ...IDENTITY, [USER]: { env: EXCHANGE } } },
  {
    name: 'profile and Authorization by hand',
    env: { ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}` },
    files: PROFILE_FILES,
  },
  { name: 'profile, active by another name', files: { ...PROFILE_FILES, '.config/anthropic/active_config': 'nosuch' } },
  {
    name: 'profile without its credentials',
    files: { '.config/anthropic/configs/default.json': { authentication: { type: 'user_oauth' } } },
  },
  {
    name: 'x-api-key by hand, blank, and helper',
    env: { ANTHROPIC_CUSTOM_HEADERS: 'x-api-key: ' },
    files: { [USER]: helper('user') },
  },
  {
    name: 'key on a descriptor and Console key',
    descriptor: HANDED,
    env: { CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: '3' },
    files: { [STATE]: { primaryApiKey: CONSOLE } },
  },
  {
    name: 'key on a descriptor and login',
    descriptor: HANDED,
    env: { CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: '3' },
    files: { '.claude/.credentials.json': CREDENTIALS },
  },
  {
    name: '--bare: OAuth token on a descriptor',
    bare: true,
    descriptor: OAUTH,
    env: { CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR: '3' },
  },
];
