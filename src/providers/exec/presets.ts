import type { FailureKind } from '../../errors.ts';

/** What a preset asks of the credential or of the provider. Each fits its pattern, so that none is taken for a flag. */
export type PresetWord = 'reference' | 'resource' | 'account' | 'tenant';

export interface Preset {
  /** The program, found in PATH. */
  readonly tool: string;
  /** Where the tool's own documentation has this command. */
  readonly documentation: string;
  /** `{word}` stands for what the credential says; an argument whose word is not given is left out. */
  readonly args: readonly string[];
  readonly needs: readonly PresetWord[];
  readonly takes: readonly PresetWord[];
  /** What each word looks like, in words and as a pattern. */
  readonly form: Readonly<Partial<Record<PresetWord, readonly [RegExp, string]>>>;
  /** Where the key and its end are in the JSON that is printed; absent: what is printed is the key, of unknown expiry. */
  readonly json?: { readonly key: string; readonly expiry: string };
  /** Variables of the daemon that the tool takes its login or its configuration from. */
  readonly passEnv: readonly string[];
  readonly setEnv: Readonly<Record<string, string>>;
  /** Files that a new login writes, and no ordinary run. */
  readonly loginFiles: readonly string[];
  /** It may put a dialogue before a person, so that its time limit means that nobody answered. */
  readonly mayPrompt: boolean;
  /** What its own words mean, before what such words mean of any program. */
  readonly failures: readonly ToolFailure[];
}

export interface ToolFailure {
  readonly says: RegExp;
  readonly kind: FailureKind;
  readonly remedy: string;
}

/** Python's urllib3, in gcloud and az, which say of an outage, too, that one should log in again. Recorded from both. */
const PYTHON_NETWORK: ToolFailure = {
  says: /max retries exceeded|failed to (?:establish a new connection|resolve)|name or service not known|nodename nor servname|temporary failure in name resolution|read timed out|connection (?:reset|aborted|refused)|unable to connect to proxy/i,
  kind: 'transient',
  remedy: 'check the network, the VPN, and HTTPS_PROXY as the daemon has it',
};

const PROXIES = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'NO_PROXY', 'no_proxy'] as const;
const PYTHON_CA = ['REQUESTS_CA_BUNDLE', 'SSL_CERT_FILE'] as const;

/**
 * How the command line of each of these is asked for a key. docs/providers/exec.md says which of their words were recorded from the
 * tool itself and which are quoted.
 */
export const PRESETS = {
  '1password': {
    tool: 'op',
    documentation: 'https://developer.1password.com/docs/cli/reference/commands/read/',
    args: ['read', '--no-newline', '--account={account}', '{reference}'],
    needs: ['reference'],
    takes: ['account'],
    form: {
      reference: [/^op:\/\/[^/]+(?:\/[^/]+){2,3}$/, 'write it like op://dev/claude/key: vault, item and field'],
    },
    passEnv: [
      'OP_SERVICE_ACCOUNT_TOKEN',
      'OP_CONNECT_HOST',
      'OP_CONNECT_TOKEN',
      'OP_ACCOUNT',
      'DBUS_SESSION_BUS_ADDRESS',
      ...PROXIES,
    ],
    setEnv: {},
    loginFiles: [],
    mayPrompt: true,
    failures: [
      // zcutlip/pyonepassword#137.
      {
        says: /\(429\)|too many requests|rate.?limit/i,
        kind: 'transient',
        remedy: 'wait: op service-account ratelimit shows the limits',
      },
      {
        says: /isn't an? (?:item|vault|field|section)\b|could not find (?:item|field|vault)|more than one (?:item|vault) matches|invalid secret reference|secret references should match/i,
        kind: 'misconfigured',
        remedy: 'correct reference in the credential: in the app, "Copy Secret Reference" has it',
      },
      {
        says: /signin credentials are not compatible|failed to (?:session\.)?DecodeSACredentials|service account (?:token|is|was)\b.*(?:invalid|deleted|revoked|expired|suspended)/i,
        kind: 'login-expired',
        remedy: 'give the daemon a new service account token (OP_SERVICE_ACCOUNT_TOKEN)',
      },
    ],
  },
  gcloud: {
    tool: 'gcloud',
    documentation: 'https://cloud.google.com/sdk/gcloud/reference/config/config-helper',
    // `gcloud auth print-access-token` does not tell when the token expires.
    args: ['config', 'config-helper', '--format=json(credential)', '--min-expiry=10m', '--account={account}'],
    needs: [],
    takes: ['account'],
    form: { account: [/^[^\s-]\S*@\S+$/, 'write the address of the account, like me@example.com'] },
    json: { key: 'credential.access_token', expiry: 'credential.token_expiry' },
    passEnv: ['CLOUDSDK_CONFIG', 'CLOUDSDK_ACTIVE_CONFIG_NAME', 'CLOUDSDK_PYTHON', ...PYTHON_CA, ...PROXIES],
    setEnv: { CLOUDSDK_CORE_DISABLE_PROMPTS: '1' },
    loginFiles: ['~/.config/gcloud/credentials.db', '~/.config/gcloud/configurations/config_default'],
    mayPrompt: false,
    failures: [PYTHON_NETWORK],
  },
  azure: {
    tool: 'az',
    documentation: 'https://learn.microsoft.com/cli/azure/account#az-account-get-access-token',
    args: [
      'account',
      'get-access-token',
      '--output=json',
      '--only-show-errors',
      '--resource={resource}',
      '--tenant={tenant}',
    ],
    needs: ['resource'],
    takes: ['tenant'],
    form: {
      resource: [/^(?:https|api):\/\/\S+$/, 'write it like https://cognitiveservices.azure.com or api://CLIENT-ID'],
      tenant: [/^[A-Za-z0-9][\w.-]+$/, 'write the id or the domain of the tenant'],
    },
    // `expiresOn` is in the local time of the machine, without saying so.
    json: { key: 'accessToken', expiry: 'expires_on' },
    passEnv: ['AZURE_CONFIG_DIR', 'IDENTITY_ENDPOINT', 'IDENTITY_HEADER', 'MSI_ENDPOINT', ...PYTHON_CA, ...PROXIES],
    setEnv: { AZURE_CORE_COLLECT_TELEMETRY: 'false', AZURE_CORE_NO_COLOR: 'true' },
    loginFiles: ['~/.azure/azureProfile.json'],
    mayPrompt: false,
    failures: [
      PYTHON_NETWORK,
      // https://learn.microsoft.com/entra/identity-platform/reference-error-codes
      {
        says: /AADSTS(?:500011|50001|65001|65002|650057|700016|90002|90014)\b/,
        kind: 'misconfigured',
        remedy: 'correct resource or tenant in the credential, or have the tenant give you access to that resource',
      },
    ],
  },
  bitwarden: {
    tool: 'bw',
    documentation: 'https://bitwarden.com/help/cli/#get',
    args: ['--nointeraction', 'get', 'password', '{reference}'],
    needs: ['reference'],
    takes: [],
    form: { reference: [/^[^-]/, 'write the id of the item (`bw list items --search claude`), or its name'] },
    passEnv: ['BW_SESSION', 'BITWARDENCLI_APPDATA_DIR', 'NODE_EXTRA_CA_CERTS', ...PROXIES],
    setEnv: {},
    loginFiles: ['~/.config/Bitwarden CLI/data.json', '~/Library/Application Support/Bitwarden CLI/data.json'],
    mayPrompt: false,
    failures: [
      {
        says: /vault is locked|session key is invalid|master password/i,
        kind: 'login-expired',
        remedy: 'run: bw unlock --raw, and write what it prints to the file that env_files names for BW_SESSION',
      },
      {
        says: /more than one result was found|^(?:not found|not a login|no password available for this login)\.?$/im,
        kind: 'misconfigured',
        remedy: 'write the id of the item as reference: bw list items --search NAME',
      },
    ],
  },
} as const satisfies Readonly<Record<string, Preset>>;

export type PresetName = keyof typeof PRESETS;
export const PRESET_NAMES = Object.keys(PRESETS) as [PresetName, ...PresetName[]];

/** What people write as `type` for it, and the preset that they mean; empty: a command of their own. */
export const NICKNAMES: Readonly<Record<string, string>> = {
  command: '',
  cmd: '',
  script: '',
  shell: '',
  ...Object.fromEntries(
    PRESET_NAMES.flatMap((name) => [name, PRESETS[name].tool].map((word) => [word, `preset = "${name}"`])),
  ),
  onepassword: 'preset = "1password"',
  google: 'preset = "gcloud"',
  gcp: 'preset = "gcloud"',
};

export const PRESET_WORDS = ['reference', 'resource', 'account', 'tenant'] as const satisfies readonly PresetWord[];

/** The arguments with their words in place. */
export function presetArgs(
  { args }: Preset,
  words: Readonly<Partial<Record<PresetWord, string | undefined>>>,
): string[] {
  return args.flatMap((argument) => {
    const word = /\{(\w+)\}/.exec(argument)?.[1] as PresetWord | undefined;
    if (word === undefined) return argument;
    const given = words[word];
    return given === undefined ? [] : argument.replace(`{${word}}`, () => given);
  });
}
