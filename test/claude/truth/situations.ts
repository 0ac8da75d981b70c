import { API, CONSOLE, CUSTOM, OAUTH, TOKEN, type TruthHome } from './home.ts';
import { CREDENTIALS, helper, LOCAL, MANAGED, PROJECT, USER } from './homes-methods.ts';

/** Something that people report, and the same home after they did what the doctor said. */
export interface Situation {
  readonly name: string;
  /** Where it was reported; undefined: rebuilt from what the client was seen to do. */
  readonly source?: string;
  readonly before: Omit<TruthHome, 'name'>;
  /** The finding that names the cause, and words that its remedy has to have. */
  readonly finds: string;
  readonly remedy: RegExp;
  readonly after: Omit<TruthHome, 'name'>;
  /** What then goes out as x-api-key and as Authorization. */
  readonly carries: readonly [xApiKey: string, authorization: string];
}

const BOTH = ['helper', 'helper'] as const;
const user = { [USER]: helper('user') };
const BEDROCK = { CLAUDE_CODE_USE_BEDROCK: '1', ANTHROPIC_BEDROCK_BASE_URL: '{API}', AWS_REGION: 'us-east-1' };

export const SITUATIONS: readonly Situation[] = [
  {
    name: 'a token and an API key in the shell, beside a helper',
    source: 'musistudio/claude-code-router#214',
    before: { env: { ANTHROPIC_AUTH_TOKEN: TOKEN, ANTHROPIC_API_KEY: API }, files: user },
    finds: 'variable-overrides-helper',
    remedy: /unset ANTHROPIC_(AUTH_TOKEN|API_KEY)/,
    after: { files: user },
    carries: BOTH,
  },
  {
    name: 'a token in the settings of a tool that was removed',
    source: 'UfoMiao/zcf#254',
    before: { files: { [USER]: helper('user', { env: { ANTHROPIC_AUTH_TOKEN: TOKEN } }) } },
    finds: 'variable-overrides-helper',
    remedy: /remove env\.ANTHROPIC_AUTH_TOKEN from .*settings\.json:\d/,
    after: { files: user },
    carries: BOTH,
  },
  {
    name: 'a gateway token and a Console key of an old login',
    source: 'Alishahryar1/free-claude-code#350',
    before: { env: { ANTHROPIC_AUTH_TOKEN: TOKEN }, files: { '.claude.json': { primaryApiKey: CONSOLE } } },
    finds: 'two-methods',
    remedy: /to use ANTHROPIC_AUTH_TOKEN: claude auth logout; to use .*: unset ANTHROPIC_AUTH_TOKEN/,
    after: { env: { ANTHROPIC_AUTH_TOKEN: TOKEN } },
    carries: ['nothing', 'auth-token'],
  },
  {
    name: 'a subscription and an API key: the subscription is wanted',
    source: 'anthropics/claude-code#9515',
    before: { env: { ANTHROPIC_API_KEY: API }, files: { '.claude/.credentials.json': CREDENTIALS } },
    finds: 'two-methods',
    remedy: /to use login kept by the client: unset ANTHROPIC_API_KEY/,
    after: { files: { '.claude/.credentials.json': CREDENTIALS } },
    carries: ['nothing', 'login'],
  },
  {
    name: 'a subscription and an API key: the key is wanted',
    source: 'anthropics/claude-code#50537',
    before: { env: { ANTHROPIC_API_KEY: API }, files: { '.claude/.credentials.json': CREDENTIALS } },
    finds: 'two-methods',
    remedy: /to use ANTHROPIC_API_KEY: claude auth logout/,
    after: { env: { ANTHROPIC_API_KEY: API } },
    carries: ['api-key', 'nothing'],
  },
  {
    name: 'a managed helper and an OAuth token: the helper is wanted',
    source: 'anthropics/claude-code#11587',
    before: { env: { CLAUDE_CODE_OAUTH_TOKEN: OAUTH }, files: { [MANAGED]: helper('managed') } },
    finds: 'two-methods',
    remedy: /to use apiKeyHelper: unset CLAUDE_CODE_OAUTH_TOKEN/,
    after: { files: { [MANAGED]: helper('managed') } },
    carries: BOTH,
  },
  {
    name: 'forceLoginMethod and apiKeyHelper in the same managed settings',
    source: 'anthropics/claude-code#61180',
    before: { files: { [MANAGED]: helper('managed', { forceLoginMethod: 'console' }) } },
    finds: 'client-ends',
    remedy:
      /remove forceLoginMethod from .*managed-settings\.json:\d+; it and a managed apiKeyHelper exclude each other/,
    after: { files: { [MANAGED]: helper('managed') } },
    carries: BOTH,
  },
  {
    name: 'a claude.ai login is demanded, and a key is in the shell',
    source: 'anthropics/claude-code#61036',
    before: { files: { [MANAGED]: { forceLoginMethod: 'claudeai' }, ...user } },
    finds: 'client-ends',
    remedy: /to log in as demanded: broker claude uninstall, then claude auth login/,
    after: { files: { [MANAGED]: { forceLoginMethod: 'claudeai' }, '.claude/.credentials.json': CREDENTIALS } },
    carries: ['nothing', 'login'],
  },
  {
    name: 'a gateway before Bedrock is to get the key',
    source: 'cloudflare/cloudflare-docs#31681',
    before: { env: BEDROCK, files: user },
    finds: 'cloud-variable',
    remedy: /set CLAUDE_CODE_SKIP_BEDROCK_AUTH=1/,
    after: { env: { ...BEDROCK, CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1' }, files: user },
    carries: ['nothing', 'helper'],
  },
  {
    name: 'settings.local.json with an entry of a wrong type',
    source: 'anthropics/claude-code#7988',
    before: { files: { [LOCAL]: helper('local', { permissions: { allow: 'Bash' } }), ...user } },
    finds: 'settings-refused',
    remedy: /change line \d+ by hand/,
    after: { files: { [LOCAL]: helper('local', { permissions: { allow: ['Bash'] } }), ...user } },
    carries: BOTH,
  },
  {
    name: 'a defaultMode that this version does not know',
    source: 'h0x91b/dev-3.0#405',
    before: { files: { [USER]: helper('user', { permissions: { defaultMode: 'automatic' } }) } },
    finds: 'settings-refused',
    remedy: /change line \d+ by hand/,
    after: { files: { [USER]: helper('user', { permissions: { defaultMode: 'plan' } }) } },
    carries: BOTH,
  },
  {
    name: 'a comment in the settings',
    before: { files: { [USER]: '// mine\n{"apiKeyHelper":"{HELPER:user}"}' } },
    finds: 'settings-refused',
    remedy: /change line 1 by hand: the client takes strict JSON/,
    after: { files: user },
    carries: BOTH,
  },
  {
    name: 'the helper in .claude.json',
    before: { files: { '.claude.json': helper('user') } },
    finds: 'helper-misplaced',
    remedy: /put the line into .*\/\.claude\/settings\.json/,
    after: { files: user },
    carries: BOTH,
  },
  {
    name: 'settings.jsonc',
    before: { files: { '.claude/settings.jsonc': helper('user') } },
    finds: 'helper-misplaced',
    remedy: /put the line into .*\/\.claude\/settings\.json/,
    after: { files: user },
    carries: BOTH,
  },
  {
    name: 'settings that are a link to a file that moved',
    before: { files: { [USER]: '-> {HOME}/dotfiles/settings.json' } },
    finds: 'settings-dangling',
    remedy: /put the file back at .*\/dotfiles\/settings\.json/,
    after: { files: { 'dotfiles/settings.json': helper('user'), [USER]: '-> {HOME}/dotfiles/settings.json' } },
    carries: BOTH,
  },
  {
    name: 'CLAUDE_CONFIG_DIR with a ~ from a file that no shell expands',
    before: { env: { CLAUDE_CONFIG_DIR: '~/conf' }, files: { 'conf/settings.json': helper('user') } },
    finds: 'config-dir-odd',
    remedy: /export CLAUDE_CONFIG_DIR="\$HOME\/conf"/,
    after: { env: { CLAUDE_CONFIG_DIR: '{HOME}/conf' }, files: { 'conf/settings.json': helper('user') } },
    carries: BOTH,
  },
  {
    name: 'CLAUDE_CONFIG_DIR set to nothing',
    before: { env: { CLAUDE_CONFIG_DIR: '' }, files: user },
    finds: 'config-dir-odd',
    remedy: /unset CLAUDE_CONFIG_DIR/,
    after: { files: user },
    carries: BOTH,
  },
  {
    name: 'a gateway where only Anthropic is allowed',
    before: { files: { [MANAGED]: { allowedProviders: ['anthropic'] }, ...user } },
    finds: 'client-ends',
    remedy: /for a gateway "customEndpoint" and its address in "env" of the same file/,
    after: {
      files: { [MANAGED]: { allowedProviders: ['customEndpoint'], env: { ANTHROPIC_BASE_URL: '{API}' } }, ...user },
    },
    carries: BOTH,
  },
  {
    name: 'a header by hand beside the helper',
    before: { env: { ANTHROPIC_CUSTOM_HEADERS: `x-api-key: ${CUSTOM}` }, files: user },
    finds: 'custom-headers',
    remedy: /remove x-api-key from ANTHROPIC_CUSTOM_HEADERS/,
    after: { files: user },
    carries: BOTH,
  },
  {
    name: 'CLAUDE_CODE_SIMPLE left in the shell',
    before: { env: { CLAUDE_CODE_SIMPLE: '1' }, files: user },
    finds: 'simple-mode',
    remedy: /unset CLAUDE_CODE_SIMPLE/,
    after: { files: user },
    carries: BOTH,
  },
  {
    name: 'a shell that the desktop app started',
    before: { env: { CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1' }, files: user },
    finds: 'provider-managed',
    remedy: /unset CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST/,
    after: { files: user },
    carries: BOTH,
  },
  {
    name: 'an empty helper in the project hides the own one',
    before: { files: { [PROJECT]: { apiKeyHelper: '' }, ...user } },
    finds: 'helper-shadowed',
    remedy: /remove the apiKeyHelper that you do not want from .*project\/\.claude\/settings\.json/,
    after: { files: { [PROJECT]: {}, ...user } },
    carries: BOTH,
  },
];
