import { API, CLOUD, CONSOLE, CUSTOM, HANDED, OAUTH, TOKEN, type TruthHome } from './home.ts';
import { CREDENTIALS, helper, MANAGED, USER } from './homes-methods.ts';

const AWS = {
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const BEDROCK = { CLAUDE_CODE_USE_BEDROCK: '1', ANTHROPIC_BEDROCK_BASE_URL: '{API}', ...AWS };
const VERTEX = {
  CLAUDE_CODE_USE_VERTEX: '1',
  ANTHROPIC_VERTEX_BASE_URL: '{API}/v1',
  ANTHROPIC_VERTEX_PROJECT_ID: 'p',
  CLOUD_ML_REGION: 'us-east5',
};
const FOUNDRY = { CLAUDE_CODE_USE_FOUNDRY: '1', ANTHROPIC_FOUNDRY_BASE_URL: '{API}' };
const MANTLE = { CLAUDE_CODE_USE_MANTLE: '1', ANTHROPIC_BEDROCK_MANTLE_BASE_URL: '{API}', ...AWS };
const ON_AWS = {
  CLAUDE_CODE_USE_ANTHROPIC_AWS: '1',
  ANTHROPIC_AWS_BASE_URL: '{API}',
  ANTHROPIC_AWS_WORKSPACE_ID: 'wrkspc_1',
  ...AWS,
};
const ON_GOOGLE = {
  CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD: '1',
  ANTHROPIC_GOOGLE_CLOUD_BASE_URL: '{API}',
  ANTHROPIC_GOOGLE_CLOUD_PROJECT: 'p',
  ANTHROPIC_GOOGLE_CLOUD_LOCATION: 'us',
  ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID: 'w',
};

interface Cloud {
  readonly env: Readonly<Record<string, string>>;
  readonly skip: string;
}

const CLOUDS: Readonly<Record<string, Cloud>> = {
  Bedrock: { env: BEDROCK, skip: 'CLAUDE_CODE_SKIP_BEDROCK_AUTH' },
  Vertex: { env: VERTEX, skip: 'CLAUDE_CODE_SKIP_VERTEX_AUTH' },
  Foundry: { env: FOUNDRY, skip: 'CLAUDE_CODE_SKIP_FOUNDRY_AUTH' },
  Mantle: { env: MANTLE, skip: 'CLAUDE_CODE_SKIP_MANTLE_AUTH' },
  'Anthropic on AWS': { env: ON_AWS, skip: 'CLAUDE_CODE_SKIP_ANTHROPIC_AWS_AUTH' },
  'Anthropic on Google Cloud': { env: ON_GOOGLE, skip: 'CLAUDE_CODE_SKIP_ANTHROPIC_GOOGLE_CLOUD_AUTH' },
};

const files = { [USER]: helper('user') };

function* each(): Generator<TruthHome> {
  for (const [cloud, { env, skip }] of Object.entries(CLOUDS)) {
    const pass = { ...env, [skip]: '1' };
    yield { name: `${cloud} and helper`, env, files };
    yield { name: `${cloud}, passed through`, env: pass };
    yield { name: `${cloud}, passed through, and helper`, env: pass, files };
    yield { name: `${cloud}, passed through, and auth token`, env: { ...pass, ANTHROPIC_AUTH_TOKEN: TOKEN } };
    yield { name: `${cloud}, passed through, and API key`, env: { ...pass, ANTHROPIC_API_KEY: API } };
    yield { name: `${cloud}, passed through, API key and helper`, env: { ...pass, ANTHROPIC_API_KEY: API }, files };
    yield {
      name: `${cloud}, passed through, and login`,
      env: pass,
      files: { '.claude/.credentials.json': CREDENTIALS },
    };
    yield {
      name: `${cloud}, passed through, Authorization by hand`,
      env: { ...pass, ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}` },
    };
    yield {
      name: `${cloud}, passed through, Authorization by hand, and helper`,
      env: { ...pass, ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}` },
      files,
    };
    yield {
      name: `${cloud}, passed through, x-api-key by hand`,
      env: { ...pass, ANTHROPIC_CUSTOM_HEADERS: `x-api-key: ${CUSTOM}` },
    };
    yield {
      name: `${cloud}, passed through, x-api-key by hand, and helper`,
      env: { ...pass, ANTHROPIC_CUSTOM_HEADERS: `x-api-key: ${CUSTOM}` },
      files,
    };
    yield {
      name: `${cloud}, x-api-key by hand, and API key`,
      env: { ...env, ANTHROPIC_API_KEY: API, ANTHROPIC_CUSTOM_HEADERS: `x-api-key: ${CUSTOM}` },
    };
    yield { name: `--bare: ${cloud}, passed through, and helper`, bare: true, env: pass, files };
    yield {
      name: `--bare: ${cloud}, passed through, and helper of --settings`,
      bare: true,
      env: pass,
      settings: '{"apiKeyHelper":"{HELPER:flag}"}',
    };
  }
}

export const CLOUD_HOMES: readonly TruthHome[] = [
  ...each(),
  { name: 'Bedrock alone', env: BEDROCK },
  { name: 'Bedrock, API key and auth token', env: { ...BEDROCK, ANTHROPIC_API_KEY: API, ANTHROPIC_AUTH_TOKEN: TOKEN } },
  {
    name: 'Bedrock and Authorization by hand',
    env: { ...BEDROCK, ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}` },
  },
  { name: 'Bedrock and x-api-key by hand', env: { ...BEDROCK, ANTHROPIC_CUSTOM_HEADERS: `x-api-key: ${CUSTOM}` } },
  { name: 'Bedrock with a bearer token', env: { ...BEDROCK, AWS_BEARER_TOKEN_BEDROCK: CLOUD } },
  {
    name: 'Bedrock with a bearer token, passed through, and helper',
    env: { ...BEDROCK, AWS_BEARER_TOKEN_BEDROCK: CLOUD, CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1' },
    files,
  },
  {
    name: 'Mantle with a bearer token, passed through, and helper',
    env: { ...MANTLE, AWS_BEARER_TOKEN_BEDROCK: CLOUD, CLAUDE_CODE_SKIP_MANTLE_AUTH: '1' },
    files,
  },
  { name: 'Foundry with its API key, and helper', env: { ...FOUNDRY, ANTHROPIC_FOUNDRY_API_KEY: CLOUD }, files },
  {
    name: 'Foundry with its auth token, passed through, and helper',
    env: { ...FOUNDRY, ANTHROPIC_FOUNDRY_AUTH_TOKEN: CLOUD, CLAUDE_CODE_SKIP_FOUNDRY_AUTH: '1' },
    files,
  },
  {
    name: 'Anthropic on AWS with its API key, passed through, and helper',
    env: { ...ON_AWS, ANTHROPIC_AWS_API_KEY: CLOUD, CLAUDE_CODE_SKIP_ANTHROPIC_AWS_AUTH: '1' },
    files,
  },
  { name: 'Bedrock switched on by settings, and helper', files: { [USER]: helper('user', { env: BEDROCK }) } },
  { name: 'Bedrock switched off by a 0, and helper', env: { ...BEDROCK, CLAUDE_CODE_USE_BEDROCK: '0' }, files },
  {
    name: 'Bedrock switched off by settings, and helper',
    env: BEDROCK,
    files: { [USER]: helper('user', { env: { CLAUDE_CODE_USE_BEDROCK: '' } }) },
  },
  { name: 'Bedrock switched off by a blank, and helper', env: { ...BEDROCK, CLAUDE_CODE_USE_BEDROCK: ' ' }, files },
  {
    name: 'Bedrock and Vertex, both passed through, and helper',
    env: { ...VERTEX, ...BEDROCK, CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1', CLAUDE_CODE_SKIP_VERTEX_AUTH: '1' },
    files,
  },
  {
    name: 'Vertex and Bedrock, only Vertex passed through, and helper',
    env: { ...VERTEX, ...BEDROCK, CLAUDE_CODE_SKIP_VERTEX_AUTH: '1' },
    files,
  },
  { name: 'passed through without a cloud, and helper', env: { CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1' }, files },
  {
    name: 'Bedrock and Mantle, passed through, and helper',
    env: { ...BEDROCK, ...MANTLE, CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1' },
    files,
  },

  // Gateways
  { name: 'gateway switch and auth token', env: { CLAUDE_CODE_USE_GATEWAY: '1', ANTHROPIC_AUTH_TOKEN: TOKEN }, files },
  { name: 'gateway switch and helper', env: { CLAUDE_CODE_USE_GATEWAY: '1' }, files },
  { name: 'gateway switch and API key', env: { CLAUDE_CODE_USE_GATEWAY: '1', ANTHROPIC_API_KEY: API } },
  {
    name: 'gateway switch, API key, auth token and helper',
    env: { CLAUDE_CODE_USE_GATEWAY: '1', ANTHROPIC_API_KEY: API, ANTHROPIC_AUTH_TOKEN: TOKEN },
    files,
  },

  // Hosts that manage the provider, and remote sessions
  { name: 'provider managed by the host, and helper', env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1' }, files },
  {
    name: 'provider managed by the host, auth token and helper',
    env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1', ANTHROPIC_AUTH_TOKEN: TOKEN },
    files,
  },
  {
    name: 'provider managed by the host, API key and helper',
    env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1', ANTHROPIC_API_KEY: API },
    files,
  },
  {
    name: 'provider managed by the host, OAuth token and helper',
    env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1', CLAUDE_CODE_OAUTH_TOKEN: OAUTH },
    files,
  },
  {
    name: 'provider managed by the host, API key in settings',
    env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1' },
    files: { [USER]: helper('user', { env: { ANTHROPIC_API_KEY: API } }) },
  },
  {
    name: 'provider managed by the host, managed helper',
    env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1' },
    files: { [MANAGED]: helper('managed') },
  },
  {
    name: 'provider managed by the host, helper of --settings',
    env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1' },
    settings: '{"apiKeyHelper":"{HELPER:flag}"}',
  },
  { name: 'remote and helper', env: { CLAUDE_CODE_REMOTE: '1' }, files },
  { name: 'remote, OAuth token and helper', env: { CLAUDE_CODE_REMOTE: '1', CLAUDE_CODE_OAUTH_TOKEN: OAUTH }, files },
  {
    name: 'remote, OAuth token and API key',
    env: { CLAUDE_CODE_REMOTE: '1', CLAUDE_CODE_OAUTH_TOKEN: OAUTH, ANTHROPIC_API_KEY: API },
  },
  {
    name: 'remote, OAuth token and auth token',
    env: { CLAUDE_CODE_REMOTE: '1', CLAUDE_CODE_OAUTH_TOKEN: OAUTH, ANTHROPIC_AUTH_TOKEN: TOKEN },
  },
  {
    name: 'remote, OAuth token and key on a descriptor',
    descriptor: HANDED,
    env: { CLAUDE_CODE_REMOTE: '1', CLAUDE_CODE_OAUTH_TOKEN: OAUTH, CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: '3' },
  },
  {
    name: 'remote, login and helper',
    env: { CLAUDE_CODE_REMOTE: '1' },
    files: { ...files, '.claude/.credentials.json': CREDENTIALS },
  },
  {
    name: 'remote, login and API key',
    env: { CLAUDE_CODE_REMOTE: '1', ANTHROPIC_API_KEY: API },
    files: { '.claude/.credentials.json': CREDENTIALS },
  },
  {
    name: 'provider managed by the host, and login',
    env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1' },
    files: { '.claude/.credentials.json': CREDENTIALS },
  },
  {
    name: 'provider managed by the host, and Console key',
    env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1' },
    files: { '.claude.json': { primaryApiKey: CONSOLE } },
  },
  {
    name: 'provider managed by the host, Authorization by hand',
    env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1', ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}` },
  },
  {
    name: 'provider managed by the host, Authorization by hand in settings',
    env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1' },
    files: { [USER]: { env: { ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}` } } },
  },
  {
    name: 'provider managed by the host, auth token in settings',
    env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1' },
    files: { [USER]: { env: { ANTHROPIC_AUTH_TOKEN: TOKEN } } },
  },
  {
    name: 'provider managed by the host, key on a descriptor',
    descriptor: HANDED,
    env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1', CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: '3' },
  },
  {
    name: 'provider managed by the host, set in settings, and helper',
    files: { [USER]: helper('user', { env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1' } }) },
  },
  {
    name: 'provider managed by the host, Bedrock passed through',
    env: { ...BEDROCK, CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1', CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1' },
    files,
  },
  {
    name: '--bare: provider managed by the host, helper of --settings',
    bare: true,
    env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1' },
    settings: '{"apiKeyHelper":"{HELPER:flag}"}',
  },
  { name: 'remote and auth token', env: { CLAUDE_CODE_REMOTE: '1', ANTHROPIC_AUTH_TOKEN: TOKEN }, files },
  {
    name: 'remote, Console key and helper',
    env: { CLAUDE_CODE_REMOTE: '1' },
    files: { ...files, '.claude.json': { primaryApiKey: CONSOLE } },
  },
  {
    name: 'remote, login and Authorization by hand',
    env: { CLAUDE_CODE_REMOTE: '1', ANTHROPIC_CUSTOM_HEADERS: `Authorization: Bearer ${CUSTOM}` },
    files: { '.claude/.credentials.json': CREDENTIALS },
  },
  {
    name: 'remote in settings, login and helper',
    files: { [USER]: helper('user', { env: { CLAUDE_CODE_REMOTE: '1' } }), '.claude/.credentials.json': CREDENTIALS },
  },
  {
    name: 'remote, login and Bedrock passed through',
    env: { ...BEDROCK, CLAUDE_CODE_REMOTE: '1', CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1' },
    files: { ...files, '.claude/.credentials.json': CREDENTIALS },
  },
  { name: '--bare: remote, OAuth token', bare: true, env: { CLAUDE_CODE_REMOTE: '1', CLAUDE_CODE_OAUTH_TOKEN: OAUTH } },
  {
    name: 'gateway switch, auth token and headers by hand',
    env: {
      CLAUDE_CODE_USE_GATEWAY: '1',
      ANTHROPIC_AUTH_TOKEN: TOKEN,
      ANTHROPIC_CUSTOM_HEADERS: `x-api-key: ${CUSTOM}\nAuthorization: Bearer ${CUSTOM}`,
    },
  },
  {
    name: '--bare: gateway switch and auth token',
    bare: true,
    env: { CLAUDE_CODE_USE_GATEWAY: '1', ANTHROPIC_AUTH_TOKEN: TOKEN },
  },
  {
    name: 'gateway switch in settings and auth token',
    env: { ANTHROPIC_AUTH_TOKEN: TOKEN },
    files: { [USER]: helper('user', { env: { CLAUDE_CODE_USE_GATEWAY: '1' } }) },
  },
  {
    name: 'gateway switch, auth token in settings',
    env: { CLAUDE_CODE_USE_GATEWAY: '1' },
    files: { [USER]: helper('user', { env: { ANTHROPIC_AUTH_TOKEN: TOKEN } }) },
  },
  {
    name: 'gateway switch, login',
    env: { CLAUDE_CODE_USE_GATEWAY: '1' },
    files: { '.claude/.credentials.json': CREDENTIALS },
  },
  {
    name: 'gateway switch and Bedrock, auth token',
    env: { ...BEDROCK, CLAUDE_CODE_USE_GATEWAY: '1', ANTHROPIC_AUTH_TOKEN: TOKEN },
  },
];
