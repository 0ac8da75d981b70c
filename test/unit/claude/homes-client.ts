import { H, type Home, helper, LOGIN, MANAGED, OAUTH, OURS, script, USER } from './homes.ts';

const ours = helper(OURS);
const NOBODY = [null, null, null] as const;
const BEDROCK = { CLAUDE_CODE_USE_BEDROCK: '1', ANTHROPIC_BEDROCK_BASE_URL: 'https://gw.example.com/bedrock' };
const HOSTED = { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1' };

/** What the real client was seen to do (docs/doctor-truth.md), with what the doctor has to say about it. */
export const CLIENT_HOMES: readonly Home[] = [
  {
    name: 'a gateway before Bedrock gets the key of the helper',
    env: { ...BEDROCK, CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1' },
    files: { [USER]: ours },
    wins: ['helper', 'helper', 'cloud'],
    headers: [null, 'helper'],
    finds: [],
  },
  {
    name: 'Bedrock with its own login beside the helper',
    env: BEDROCK,
    files: { [USER]: ours },
    wins: ['cloud', 'cloud', 'cloud'],
    headers: [null, 'cloud'],
    finds: ['cloud-variable'],
  },
  {
    name: 'forceLoginMethod beside a managed helper',
    files: { [MANAGED]: helper(OURS, { forceLoginMethod: 'claudeai' }) },
    wins: NOBODY,
    finds: ['client-ends'],
  },
  {
    name: 'forceLoginMethod and the login that it demands',
    files: { [MANAGED]: '{"forceLoginMethod":"claudeai"}', '.claude/.credentials.json': LOGIN },
    wins: ['login', 'login', null],
    finds: [],
  },
  {
    name: 'an organization is demanded beside a helper',
    files: { [MANAGED]: '{"forceLoginOrgUUID":"00000000-0000-4000-8000-000000000000"}', [USER]: ours },
    wins: NOBODY,
    finds: ['client-ends'],
  },
  {
    name: 'a gateway that allowedProviders does not name',
    env: { ANTHROPIC_BASE_URL: 'https://gw.example.com' },
    files: { [MANAGED]: '{"allowedProviders":["anthropic"]}', [USER]: ours },
    wins: NOBODY,
    finds: ['client-ends'],
  },
  {
    name: 'an entry of a wrong type in the user settings',
    files: { [USER]: helper(OURS, { permissions: { defaultMode: null } }) },
    wins: NOBODY,
    finds: ['no-method', 'settings-refused'],
  },
  {
    name: 'an entry of a wrong type in managed settings',
    files: { [MANAGED]: helper(OURS, { permissions: 'x' }) },
    wins: H,
    finds: ['settings-entry-ignored'],
  },
  {
    name: 'bad rules and odd values that the client takes',
    files: {
      [USER]: helper(OURS, {
        permissions: { allow: [1, 'x('] },
        hooks: { Nosuch: [] },
        env: { A: null, B: 1 },
        nosuch: 1,
      }),
    },
    wins: H,
    finds: [],
  },
  {
    name: 'settings.jsonc',
    files: { '.claude/settings.jsonc': `// mine\n${ours}` },
    wins: NOBODY,
    finds: ['helper-misplaced', 'no-method'],
  },
  {
    name: 'CLAUDE_CONFIG_DIR set to nothing',
    env: { CLAUDE_CONFIG_DIR: '' },
    files: { [USER]: ours },
    wins: NOBODY,
    finds: ['config-dir-hides-helper', 'config-dir-odd', 'no-method'],
  },
  {
    name: 'a provider that its host manages',
    env: HOSTED,
    files: { [USER]: ours, '.claude/.credentials.json': LOGIN },
    wins: NOBODY,
    finds: ['no-method', 'provider-managed'],
  },
  {
    name: 'a remote session with an OAuth token and a helper',
    env: { CLAUDE_CODE_REMOTE: '1', CLAUDE_CODE_OAUTH_TOKEN: OAUTH },
    files: { [USER]: ours },
    wins: ['oauth-token', 'oauth-token', null],
    headers: [null, 'oauth-token'],
    finds: ['oauth-token-bare', 'remote-login-wins'],
  },
  {
    name: 'a login and a helper in a session of Claude Desktop',
    env: { CLAUDE_CODE_ENTRYPOINT: 'claude-desktop' },
    files: { [USER]: ours, '.claude/.credentials.json': LOGIN },
    wins: ['login', 'login', null],
    headers: [null, 'login'],
    finds: ['remote-login-wins'],
  },
  {
    name: 'a memory of the client that is not JSON',
    files: { [USER]: ours, '.claude.json': '{"projects":' },
    wins: ['helper', null, null],
    finds: ['client-ends'],
  },
  {
    name: 'a header by hand with a space in its name',
    env: { ANTHROPIC_CUSTOM_HEADERS: 'My Header: 1' },
    files: { [USER]: ours },
    wins: NOBODY,
    finds: ['client-ends'],
  },
  {
    name: 'a login behind an Authorization by hand that is blank',
    env: { ANTHROPIC_CUSTOM_HEADERS: 'Authorization:' },
    files: { '.claude/.credentials.json': LOGIN },
    wins: NOBODY,
    finds: ['custom-headers', 'no-method'],
  },
  {
    name: 'a helper with Windows line ends',
    files: { [USER]: helper("'{HOME}/bin/key'"), 'bin/key': ['#!/bin/sh\r\n', 0o755] },
    runHelper: false,
    wins: ['helper', 'helper', null],
    finds: ['helper-crlf'],
  },
  ...['-S A=1 sh', '-S -i sh', '-S/bin/sh', '-vS sh'].map((args) => ({
    name: `a helper that env ${args} runs, and that prints nothing`,
    files: { [USER]: helper('{HOME}/bin/key'), 'bin/key': [`#!/usr/bin/env ${args}\n`, 0o755] as const },
    wins: ['helper', 'helper', null] as const,
    finds: ['helper-output-refused'],
  })),
  {
    name: 'a helper whose interpreter is not there',
    files: { [USER]: helper('{HOME}/bin/key'), 'bin/key': ['#!/usr/bin/nosuch\n', 0o755] },
    runHelper: false,
    wins: ['helper', 'helper', null],
    finds: ['helper-interpreter'],
  },
  {
    name: 'local settings of the main worktree',
    files: {
      'main/.git/worktrees/wt/commondir': '../..\n',
      'main/.git/worktrees/wt/gitdir': '{HOME}/project/.git\n',
      'project/.git': 'gitdir: {HOME}/main/.git/worktrees/wt\n',
      'main/.claude/settings.local.json': ours,
    },
    wins: ['helper', 'helper', null],
    headers: ['helper', 'helper'],
    finds: ['helper-untrusted-project'],
  },
  {
    name: 'a profile whose token has ended and cannot be renewed',
    files: {
      '.config/anthropic/configs/default.json': '{"authentication":{"type":"user_oauth"},"organization_id":"org"}',
      '.config/anthropic/credentials/default.json': '{"access_token":"t","expires_at":1000}',
    },
    wins: NOBODY,
    finds: ['no-method'],
  },
  {
    name: 'CLAUDE_CONFIG_DIR in user settings',
    files: { [USER]: helper(OURS, { env: { CLAUDE_CONFIG_DIR: '{HOME}/other' } }), 'other/.credentials.json': LOGIN },
    wins: ['login', 'login', null],
    headers: [null, 'login'],
    finds: ['config-dir-hides-helper'],
  },
  {
    name: 'a helper of white space',
    files: { [USER]: helper('  '), '.claude/.credentials.json': LOGIN },
    wins: ['helper', 'helper', null],
    finds: ['helper-blank'],
  },
  {
    name: 'a helper that gives an OAuth token',
    files: { [USER]: helper('{HOME}/key.sh'), 'key.sh': script(`T=${OAUTH}; echo "$T"`) },
    wins: H,
    finds: ['helper-gives-oauth-token'],
  },
  {
    name: 'a helper that gives an example',
    files: { [USER]: helper('{HOME}/key.sh'), 'key.sh': script('T=sk-ant-your; echo "$T-api-key-here"') },
    wins: H,
    finds: ['helper-prints-no-key'],
  },
  {
    name: 'Authorization by hand logs in alone',
    env: { ANTHROPIC_CUSTOM_HEADERS: 'Authorization: Bearer abc' },
    wins: ['custom-headers', 'custom-headers', 'custom-headers'],
    headers: [null, 'custom-headers'],
    finds: [],
  },
  {
    name: 'workload identity',
    env: {
      ANTHROPIC_FEDERATION_RULE_ID: 'fdrl_1',
      ANTHROPIC_ORGANIZATION_ID: '00000000-0000-4000-8000-000000000000',
      ANTHROPIC_IDENTITY_TOKEN_FILE: '{HOME}/token',
    },
    wins: ['workload-identity', 'workload-identity', null],
    headers: [null, 'workload-identity'],
    finds: [],
  },
];
