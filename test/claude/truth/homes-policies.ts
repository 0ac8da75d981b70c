import { API, OAUTH, TOKEN, type TruthHome } from './home.ts';
import { CREDENTIALS, DROP_INS, helper, MANAGED, USER } from './homes-methods.ts';

const ORG = '00000000-0000-4000-8000-000000000000';
const managed = (policy: object) => ({ [MANAGED]: policy, [USER]: helper('user') });
const both = (policy: object) => ({ [MANAGED]: helper('managed', policy) });
const login = (policy: object) => ({ [MANAGED]: policy, '.claude/.credentials.json': CREDENTIALS });

/** What an organization demands of a login; where it is not met the client ends at once. */
export const POLICY_HOMES: readonly TruthHome[] = [
  { name: 'forced to claude.ai, helper', files: managed({ forceLoginMethod: 'claudeai' }) },
  { name: 'forced to the Console, helper', files: managed({ forceLoginMethod: 'console' }) },
  { name: 'forced to a gateway, helper', files: managed({ forceLoginMethod: 'gateway' }) },
  { name: 'forced to claude.ai, managed helper', files: both({ forceLoginMethod: 'claudeai' }) },
  { name: 'forced to the Console, managed helper', files: both({ forceLoginMethod: 'console' }) },
  {
    name: 'forced to claude.ai, --bare, helper of --settings',
    bare: true,
    files: managed({ forceLoginMethod: 'claudeai' }),
    settings: '{"apiKeyHelper":"{HELPER:flag}"}',
  },
  { name: 'forced to claude.ai, login', files: login({ forceLoginMethod: 'claudeai' }) },
  { name: 'forced to the Console, login', files: login({ forceLoginMethod: 'console' }) },
  {
    name: 'forced to claude.ai, API key',
    env: { ANTHROPIC_API_KEY: API },
    files: { [MANAGED]: { forceLoginMethod: 'claudeai' } },
  },
  {
    name: 'forced to the Console, API key',
    env: { ANTHROPIC_API_KEY: API },
    files: { [MANAGED]: { forceLoginMethod: 'console' } },
  },
  {
    name: 'forced to claude.ai, auth token',
    env: { ANTHROPIC_AUTH_TOKEN: TOKEN },
    files: { [MANAGED]: { forceLoginMethod: 'claudeai' } },
  },
  {
    name: 'forced to claude.ai, OAuth token',
    env: { CLAUDE_CODE_OAUTH_TOKEN: OAUTH },
    files: { [MANAGED]: { forceLoginMethod: 'claudeai' } },
  },
  {
    name: 'forced to claude.ai, Bedrock',
    env: {
      CLAUDE_CODE_USE_BEDROCK: '1',
      CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1',
      ANTHROPIC_BEDROCK_BASE_URL: '{API}',
      AWS_REGION: 'us-east-1',
    },
    files: managed({ forceLoginMethod: 'claudeai' }),
  },
  { name: 'forced to nonsense, helper', files: managed({ forceLoginMethod: 'nonsense' }) },
  { name: 'forced to nothing, helper', files: managed({ forceLoginMethod: '' }) },
  { name: 'forced by the user, helper', files: { [USER]: helper('user', { forceLoginMethod: 'claudeai' }) } },
  {
    name: 'forced by the project, helper',
    files: { 'project/.claude/settings.json': { forceLoginMethod: 'claudeai' }, [USER]: helper('user') },
  },
  { name: 'an organization forced, helper', files: managed({ forceLoginOrgUUID: ORG }) },
  { name: 'a list of organizations forced, helper', files: managed({ forceLoginOrgUUID: [ORG] }) },
  { name: 'an empty list of organizations forced, helper', files: managed({ forceLoginOrgUUID: [] }) },
  { name: 'an organization forced, managed helper', files: both({ forceLoginOrgUUID: ORG }) },
  {
    name: 'an organization forced, API key',
    env: { ANTHROPIC_API_KEY: API },
    files: { [MANAGED]: { forceLoginOrgUUID: ORG } },
  },
  { name: 'an organization forced by the user, helper', files: { [USER]: helper('user', { forceLoginOrgUUID: ORG }) } },
  { name: 'only Bedrock allowed, helper', files: managed({ allowedProviders: ['bedrock'] }) },
  { name: 'only Anthropic allowed, helper', files: managed({ allowedProviders: ['anthropic'] }) },
  { name: 'no provider allowed, helper', files: managed({ allowedProviders: [] }) },
  { name: 'a custom endpoint allowed, helper', files: managed({ allowedProviders: ['customEndpoint'] }) },
  {
    name: 'only Anthropic allowed, Bedrock',
    env: {
      CLAUDE_CODE_USE_BEDROCK: '1',
      CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1',
      ANTHROPIC_BEDROCK_BASE_URL: '{API}',
      AWS_REGION: 'us-east-1',
    },
    files: managed({ allowedProviders: ['anthropic'] }),
  },
  {
    name: 'only Bedrock allowed, Bedrock passed through',
    env: {
      CLAUDE_CODE_USE_BEDROCK: '1',
      CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1',
      ANTHROPIC_BEDROCK_BASE_URL: '{API}',
      AWS_REGION: 'us-east-1',
    },
    files: managed({ allowedProviders: ['bedrock'] }),
  },
  {
    name: 'only Bedrock allowed by the user, helper',
    files: { [USER]: helper('user', { allowedProviders: ['bedrock'] }) },
  },
  { name: 'a newer version required, helper', files: managed({ requiredMinimumVersion: '99.0.0' }) },
  { name: 'this version required, helper', files: managed({ requiredMinimumVersion: '2.0.0' }) },
  { name: 'a version of nonsense required, helper', files: managed({ requiredMinimumVersion: 'new' }) },
  { name: 'an older version at most, helper', files: managed({ requiredMaximumVersion: '1.0.0' }) },
  {
    name: 'a newer version required by the user, helper',
    files: { [USER]: helper('user', { requiredMinimumVersion: '99.0.0' }) },
  },
  { name: 'only managed hooks, helper', files: managed({ allowManagedHooksOnly: true }) },
  {
    name: 'a custom endpoint allowed and named, helper',
    files: managed({ allowedProviders: ['customEndpoint'], env: { ANTHROPIC_BASE_URL: '{API}' } }),
  },
  {
    name: 'Anthropic and a custom endpoint allowed and named, API key',
    env: { ANTHROPIC_API_KEY: API },
    files: { [MANAGED]: { allowedProviders: ['anthropic', 'customEndpoint'], env: { ANTHROPIC_BASE_URL: '{API}' } } },
  },
  {
    name: 'a custom endpoint named but not allowed, helper',
    files: managed({ allowedProviders: ['anthropic'], env: { ANTHROPIC_BASE_URL: '{API}' } }),
  },
  {
    name: 'only Bedrock allowed, and named, passed through',
    env: { CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1', AWS_REGION: 'us-east-1', CLAUDE_CODE_USE_BEDROCK: '1' },
    files: managed({ allowedProviders: ['bedrock'], env: { ANTHROPIC_BEDROCK_BASE_URL: '{API}' } }),
  },
  {
    name: 'Bedrock and a custom endpoint allowed, Bedrock passed through',
    env: {
      CLAUDE_CODE_USE_BEDROCK: '1',
      CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1',
      ANTHROPIC_BEDROCK_BASE_URL: '{API}',
      AWS_REGION: 'us-east-1',
    },
    files: managed({ allowedProviders: ['bedrock', 'customEndpoint'] }),
  },
  {
    name: 'Bedrock and a custom endpoint allowed and named, Bedrock passed through',
    env: { CLAUDE_CODE_USE_BEDROCK: '1', CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1', AWS_REGION: 'us-east-1' },
    files: managed({ allowedProviders: ['bedrock', 'customEndpoint'], env: { ANTHROPIC_BEDROCK_BASE_URL: '{API}' } }),
  },
  { name: 'a provider of nonsense allowed, helper', files: managed({ allowedProviders: ['nosuch'] }) },
  { name: 'allowedProviders as text, helper', files: managed({ allowedProviders: 'anthropic' }) },
  {
    name: 'forced in a drop-in, helper',
    files: { [`${DROP_INS}/10-a.json`]: { forceLoginMethod: 'claudeai' }, [USER]: helper('user') },
  },
  {
    name: 'forced in a file and lifted in a drop-in, helper',
    files: {
      [MANAGED]: { forceLoginMethod: 'claudeai' },
      [`${DROP_INS}/10-a.json`]: { forceLoginMethod: null },
      [USER]: helper('user'),
    },
  },
  {
    name: 'forced to claude.ai, Authorization by hand',
    env: { ANTHROPIC_CUSTOM_HEADERS: 'Authorization: Bearer custom-header-FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF' },
    files: { [MANAGED]: { forceLoginMethod: 'claudeai' } },
  },
  {
    name: 'forced to claude.ai, key on a descriptor',
    descriptor: API,
    env: { CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: '3' },
    files: { [MANAGED]: { forceLoginMethod: 'claudeai' } },
  },
  {
    name: 'forced to claude.ai, Console key',
    files: {
      [MANAGED]: { forceLoginMethod: 'claudeai' },
      '.claude.json': { primaryApiKey: 'sk-ant-api03-EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE' },
    },
  },
  {
    name: 'forced to the Console, Console key',
    files: {
      [MANAGED]: { forceLoginMethod: 'console' },
      '.claude.json': { primaryApiKey: 'sk-ant-api03-EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE' },
    },
  },
  {
    name: 'forced to claude.ai, helper and login',
    files: {
      [MANAGED]: { forceLoginMethod: 'claudeai' },
      [USER]: helper('user'),
      '.claude/.credentials.json': CREDENTIALS,
    },
  },
  { name: 'forced to claude.ai, --bare, user helper', bare: true, files: managed({ forceLoginMethod: 'claudeai' }) },
  { name: 'forced to a gateway, login', files: login({ forceLoginMethod: 'gateway' }) },
  {
    name: 'forced to claude.ai, Bedrock, helper',
    env: {
      CLAUDE_CODE_USE_BEDROCK: '1',
      ANTHROPIC_BEDROCK_BASE_URL: '{API}',
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'x',
    },
    files: managed({ forceLoginMethod: 'claudeai' }),
  },
  {
    name: 'an organization forced, Bedrock passed through, helper',
    env: {
      CLAUDE_CODE_USE_BEDROCK: '1',
      CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1',
      ANTHROPIC_BEDROCK_BASE_URL: '{API}',
      AWS_REGION: 'us-east-1',
    },
    files: managed({ forceLoginOrgUUID: ORG }),
  },
  {
    name: 'a version required and forced at once, helper',
    files: managed({ requiredMinimumVersion: '99.0.0', forceLoginMethod: 'claudeai' }),
  },
  { name: 'a minimum version of two parts', files: managed({ requiredMinimumVersion: '99.0' }) },
  { name: 'a minimum version with a v', files: managed({ requiredMinimumVersion: 'v99.0.0' }) },
];
