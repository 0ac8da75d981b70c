import { isSecretName } from '../../platform/text.ts';

/** The variables that decide how Claude Code authenticates, and what they are. */

/** Hold a secret: never shown, only fingerprinted. */
export const SECRET_VARIABLES = [
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_AUTH_TOKEN',
  'CLAUDE_CODE_OAUTH_TOKEN',
  'ANTHROPIC_CUSTOM_HEADERS',
  'ANTHROPIC_FOUNDRY_API_KEY',
  'ANTHROPIC_FOUNDRY_AUTH_TOKEN',
  'ANTHROPIC_AWS_API_KEY',
  'AWS_BEARER_TOKEN_BEDROCK',
  'ANTHROPIC_IDENTITY_TOKEN',
] as const;

/** In the order in which the client looks at them. `bearer` holds a token of the cloud's own that beats everything. */
export const CLOUDS = [
  cloud('bedrock', 'BEDROCK', 'ANTHROPIC_BEDROCK_BASE_URL', 'AWS_BEARER_TOKEN_BEDROCK'),
  cloud('foundry', 'FOUNDRY', 'ANTHROPIC_FOUNDRY_BASE_URL', 'ANTHROPIC_FOUNDRY_AUTH_TOKEN'),
  cloud('anthropicAws', 'ANTHROPIC_AWS', 'ANTHROPIC_AWS_BASE_URL'),
  cloud('anthropicGoogleCloud', 'ANTHROPIC_GOOGLE_CLOUD', 'ANTHROPIC_GOOGLE_CLOUD_BASE_URL'),
  cloud('mantle', 'MANTLE', 'ANTHROPIC_BEDROCK_MANTLE_BASE_URL', 'AWS_BEARER_TOKEN_BEDROCK'),
  cloud('vertex', 'VERTEX', 'ANTHROPIC_VERTEX_BASE_URL'),
];

function cloud(provider: string, name: string, baseUrl: string, bearer?: string) {
  const [use, skip] = [`CLAUDE_CODE_USE_${name}`, `CLAUDE_CODE_SKIP_${name}_AUTH`];
  return { provider, use, skip, baseUrl, bearer };
}

export const TTL_VARIABLE = 'CLAUDE_CODE_API_KEY_HELPER_TTL_MS';

/** What turns methods on and off, and says where requests go: a shell that has one works differently. */
export const SWITCH_VARIABLES = [
  ...CLOUDS.flatMap(({ use, skip, baseUrl }) => [use, skip, baseUrl]),
  'CLAUDE_CODE_USE_GATEWAY',
  'CLAUDE_CODE_SIMPLE',
  'CLAUDE_CONFIG_DIR',
  'ANTHROPIC_BASE_URL',
  'ANTHROPIC_CUSTOM_HEADERS',
  'CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST',
  'CLAUDE_CODE_REMOTE',
  'ANTHROPIC_PROFILE',
  'ANTHROPIC_FEDERATION_RULE_ID',
  'ANTHROPIC_ORGANIZATION_ID',
];

/** More of workload identity: none of them is secret, one names the file that is. */
const FEDERATION_VARIABLES = [
  'ANTHROPIC_SERVICE_ACCOUNT_ID',
  'ANTHROPIC_WORKSPACE_ID',
  'ANTHROPIC_IDENTITY_TOKEN_FILE',
] as const;

export const RELEVANT_VARIABLES: ReadonlySet<string> = new Set([
  ...SECRET_VARIABLES,
  ...SWITCH_VARIABLES,
  ...FEDERATION_VARIABLES,
  TTL_VARIABLE,
]);

const SECRETS: ReadonlySet<string> = new Set(SECRET_VARIABLES);

/** Also of variables that the client does not know: what looks like a secret by its name is not shown either. */
export function isSecretVariable(name: string): boolean {
  if (RELEVANT_VARIABLES.has(name) || name.endsWith('_MS')) return SECRETS.has(name);
  // Wider than what the broker's own names need: a value too many that is hidden costs nothing here.
  return isSecretName(name) || /KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH/i.test(name);
}

/**
 * Whether a variable of this name and value is worth keeping from others: not a number, a switch, a path or nothing, whatever
 * its name says.
 */
export function holdsSecret(name: string, value: string | undefined): boolean {
  const text = (value ?? '').trim();
  if (text === '' || /^(?:[\d.]+|true|false|null|yes|no|on|off|none)$/i.test(text) || /^[~/.]/.test(text)) return false;
  return SECRETS.has(name) || (isSecretName(name) && !RELEVANT_VARIABLES.has(name));
}

/** The client takes 1, true, yes and on, in any case; everything else is off (0 was seen to be). */
export function isOn(value: string | undefined): boolean {
  return value !== undefined && /^(1|true|yes|on)$/i.test(value.trim());
}
