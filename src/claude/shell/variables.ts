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

export const CLOUD_VARIABLES = [
  'CLAUDE_CODE_USE_BEDROCK',
  'CLAUDE_CODE_USE_VERTEX',
  'CLAUDE_CODE_USE_FOUNDRY',
  'CLAUDE_CODE_USE_MANTLE',
  'CLAUDE_CODE_USE_ANTHROPIC_AWS',
  'CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD',
] as const;

export const TTL_VARIABLE = 'CLAUDE_CODE_API_KEY_HELPER_TTL_MS';

/** What turns methods on and off, and says where requests go: a shell that has one works differently. */
export const SWITCH_VARIABLES = [
  ...CLOUD_VARIABLES,
  'CLAUDE_CODE_USE_GATEWAY',
  'CLAUDE_CODE_SIMPLE',
  'CLAUDE_CONFIG_DIR',
  'ANTHROPIC_BASE_URL',
  'ANTHROPIC_CUSTOM_HEADERS',
  'ANTHROPIC_BEDROCK_BASE_URL',
  'ANTHROPIC_VERTEX_BASE_URL',
  'ANTHROPIC_FOUNDRY_BASE_URL',
  'CLAUDE_CODE_SKIP_BEDROCK_AUTH',
  'CLAUDE_CODE_SKIP_VERTEX_AUTH',
  'CLAUDE_CODE_SKIP_FOUNDRY_AUTH',
] as const;

/** Of workload identity: none of them is secret, one names the file that is. */
const FEDERATION_VARIABLES = [
  'ANTHROPIC_FEDERATION_RULE_ID',
  'ANTHROPIC_ORGANIZATION_ID',
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
