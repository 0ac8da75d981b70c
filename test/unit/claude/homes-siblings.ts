import { H, type Home, helper, OURS, script, USER } from './homes.ts';

const set = (more: object) => ({ [USER]: helper(OURS, more) });
const mcp = (headersHelper: string) => ({
  mcpServers: { docs: { type: 'http', url: 'https://mcp.example.com', headersHelper } },
});
const GATEWAY = { ANTHROPIC_BASE_URL: 'https://gw.example.com' };

/** The client's other helpers, and names and addresses that are no fault or a small one. */
export const SIBLING_HOMES: readonly Home[] = [
  {
    name: 'otelHeadersHelper is not there',
    files: set({ otelHeadersHelper: '/nowhere/headers.sh' }),
    wins: H,
    finds: ['sibling-missing'],
  },
  {
    name: 'otelHeadersHelper is not executable',
    files: { ...set({ otelHeadersHelper: '{HOME}/o.sh' }), 'o.sh': '#!/bin/sh\n' },
    wins: H,
    finds: ['sibling-not-executable'],
  },
  {
    name: 'awsCredentialExport asks for a bare key',
    files: set({ awsCredentialExport: '{HOME}/bin/broker-key anthropic' }),
    wins: H,
    finds: ['sibling-format'],
  },
  {
    name: 'otelHeadersHelper asks for another format',
    files: set({ otelHeadersHelper: '{HOME}/bin/broker-key --format aws' }),
    wins: H,
    finds: ['sibling-format'],
  },
  {
    name: 'proxyAuthHelper asks for headers',
    files: set({
      proxyAuthHelper: '{HOME}/bin/broker-key --format=headers',
      env: { CLAUDE_CODE_ENABLE_PROXY_AUTH_HELPER: '1' },
    }),
    wins: H,
    finds: ['sibling-format'],
  },
  {
    name: 'a credential that the broker does not have',
    files: set({ otelHeadersHelper: '{HOME}/bin/broker-key --format headers nosuch' }),
    wins: H,
    finds: ['sibling-credential-unknown'],
  },
  {
    name: "an MCP server's headersHelper in the client's state",
    files: { ...set({}), '.claude.json': JSON.stringify(mcp('/nowhere/h')) },
    wins: H,
    finds: ['sibling-missing'],
  },
  {
    name: "an MCP server's headersHelper for this project",
    files: { ...set({}), '.claude.json': JSON.stringify({ projects: { '{HOME}/project': mcp('/nowhere/h') } }) },
    wins: H,
    finds: ['sibling-missing'],
  },
  {
    name: "an MCP server's headersHelper in .mcp.json",
    files: { ...set({}), 'project/.mcp.json': JSON.stringify(mcp('{HOME}/bin/broker-key')) },
    wins: H,
    finds: ['sibling-format'],
  },
  {
    name: 'a relative awsCredentialExport',
    files: { ...set({ awsCredentialExport: './aws.sh' }), 'project/aws.sh': script('echo') },
    wins: H,
    finds: ['sibling-relative'],
  },
  {
    name: 'of two otelHeadersHelpers the stronger counts',
    files: {
      ...set({ otelHeadersHelper: '/nowhere/x' }),
      'project/.claude/settings.json': JSON.stringify({ otelHeadersHelper: '{HOME}/bin/broker-key --format headers' }),
    },
    wins: H,
    finds: [],
  },
  {
    name: 'plain http to a private name is a warning, and echo is a built-in',
    env: { ANTHROPIC_BASE_URL: 'http://ai' },
    files: { [USER]: helper("echo '-'") },
    wins: H,
    finds: ['base-url-plain-http', 'static-key'],
  },
  {
    name: 'plain http to a private address',
    env: { ANTHROPIC_BASE_URL: 'http://192.168.1.20:4000' },
    files: { [USER]: helper('{HOME}/gw.sh'), 'gw.sh': script('K=gateway-0123456789abcdef; printf %s "$K"') },
    wins: H,
    finds: ['base-url-plain-http'],
  },
  {
    name: 'a secret that others can read',
    files: { [USER]: [helper(OURS, { env: { GITHUB_TOKEN: 'github-token-0123456789' } }), 0o644] },
    wins: H,
    finds: ['readable-by-others'],
  },
  // What a new shell has and this one has not
  {
    name: 'a profile turns Bedrock on',
    files: { ...set({}), '.zshrc': 'export CLAUDE_CODE_USE_BEDROCK=1\n' },
    wins: H,
    finds: ['profile-changes-switch'],
  },
  {
    name: 'a profile sends requests elsewhere',
    files: { ...set({}), '.config/fish/config.fish': 'set -gx ANTHROPIC_BASE_URL https://gw.example.com\n' },
    wins: H,
    finds: ['profile-changes-switch'],
  },
  {
    name: 'a profile makes every claude bare',
    files: { ...set({}), '.profile': 'export CLAUDE_CODE_SIMPLE=1\n' },
    wins: H,
    finds: ['profile-changes-switch'],
  },
  {
    name: 'a switch that only a condition turns on is a note',
    files: { ...set({}), '.zshrc': 'if [[ -n $SSH_TTY ]]; then export CLAUDE_CODE_USE_VERTEX=1; fi\n' },
    wins: H,
    finds: [],
    notes: ['profile-changes-switch'],
  },
  {
    name: 'the settings decide, whatever the profile says',
    files: { ...set({ env: GATEWAY }), '.zshrc': 'export ANTHROPIC_BASE_URL=https://other.example.com\n' },
    wins: H,
    finds: ['base-url-foreign-key'],
  },
  {
    name: 'a key that was sourced, with file and line',
    files: { ...set({}), '.zshrc': 'source ~/.secrets\n', '.secrets': 'export ANTHROPIC_AUTH_TOKEN="$(pass token)"\n' },
    wins: H,
    finds: ['profile-overrides-helper'],
  },
];
