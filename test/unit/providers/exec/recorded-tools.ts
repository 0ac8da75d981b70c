import type { FailureKind } from '../../../../src/errors.ts';
import type { PresetName } from '../../../../src/providers/exec/presets.ts';

/** What a tool printed, or is said to print. */
export interface Recorded {
  readonly preset: PresetName;
  /**
   * recorded: by the tool itself, with a token endpoint on this machine behind it · program: the text is in the program, the
   * state that it belongs to was not brought about · quoted: from documentation or an issue.
   */
  readonly source: 'recorded' | 'program' | 'quoted';
  readonly status: number;
  readonly stdout?: string;
  readonly stderr?: string;
  readonly key?: string;
  readonly expiresAtMs?: number;
  readonly kind?: FailureKind;
  readonly remedy?: string;
  readonly retryAfterMs?: number;
}

const GCLOUD_LOGIN = `Please run:

  $ gcloud auth login

to obtain new credentials.

If you have already logged in with a different account, run:

  $ gcloud config set account ACCOUNT

to select an already authenticated account to use.
`;

/** Google Cloud SDK 528.0.0, azure-cli 2.91.0, @bitwarden/cli 2026.6.0. */
export const RECORDED: readonly Recorded[] = [
  {
    preset: 'gcloud',
    source: 'recorded',
    status: 0,
    stdout:
      '{\n  "credential": {\n    "access_token": "ya29.c.example-token",\n    "id_token": null,\n    "token_expiry": "2026-11-29T20:10:54Z"\n  }\n}\n',
    key: 'ya29.c.example-token',
    expiresAtMs: Date.UTC(2026, 10, 29, 20, 10, 54),
  },
  {
    preset: 'gcloud',
    source: 'recorded',
    status: 1,
    stderr: `ERROR: (gcloud.config.config-helper) You do not currently have an active account selected.\n${GCLOUD_LOGIN}`,
    kind: 'login-expired',
    remedy: 'run: gcloud auth login',
  },
  {
    preset: 'gcloud',
    source: 'recorded',
    status: 1,
    stderr: `ERROR: (gcloud.config.config-helper) Your current active account [me@example.com] does not have any valid credentials\nPlease run:\n\n  $ gcloud auth login\n\nto obtain new credentials.\n\nFor service account, please activate it first:\n\n  $ gcloud auth activate-service-account ACCOUNT\n`,
    kind: 'login-expired',
    remedy: 'run: gcloud auth login',
  },
  {
    preset: 'gcloud',
    source: 'recorded',
    status: 1,
    stderr: `ERROR: (gcloud.config.config-helper) There was a problem refreshing auth tokens for account me@p.iam.gserviceaccount.com: ('invalid_grant: reauth related error (rapt_required)', {'error': 'invalid_grant', 'error_description': 'reauth related error (rapt_required)', 'error_subtype': 'rapt_required'})\nPlease run:\n\n  $ gcloud auth activate-service-account --key-file=SERVICE_ACCOUNT_FILE_PATH\n\nOr:\n\n  $ gcloud auth login --cred-file=SERVICE_ACCOUNT_FILE_PATH\n\nto obtain new credentials.\n`,
    kind: 'login-expired',
    remedy: 'gcloud auth login',
  },
  {
    preset: 'gcloud',
    source: 'recorded',
    status: 1,
    stderr: `ERROR: (gcloud.config.config-helper) There was a problem refreshing your current auth tokens: HTTPConnectionPool(host='127.0.0.1', port=9): Max retries exceeded with url: /token (Caused by NewConnectionError('<urllib3.connection.HTTPConnection object at 0x7fd2f288c080>: Failed to establish a new connection: [Errno 111] Connection refused'))\n${GCLOUD_LOGIN}`,
    kind: 'transient',
    remedy: 'check the network',
  },
  {
    preset: 'azure',
    source: 'recorded',
    status: 0,
    stdout:
      '{\n  "accessToken": "eyJ0eXAi.example.token",\n  "expiresOn": "2026-11-29 20:12:56.000000",\n  "expires_on": 1795983176,\n  "subscription": "00000000-0000-0000-0000-000000000000",\n  "tenant": "11111111-1111-1111-1111-111111111111",\n  "tokenType": "Bearer"\n}\n',
    key: 'eyJ0eXAi.example.token',
    expiresAtMs: 1_795_983_176_000,
  },
  {
    preset: 'azure',
    source: 'recorded',
    status: 1,
    stderr: "ERROR: Please run 'az login' to setup account.\n",
    kind: 'login-expired',
    remedy: 'run: az login',
  },
  {
    preset: 'azure',
    source: 'recorded',
    status: 1,
    stderr:
      'ERROR: 400, no managed identity\nRun the command below to authenticate interactively; additional arguments may be added as needed:\naz logout\naz login\n',
    kind: 'login-expired',
    remedy: 'run: az login',
  },
  {
    preset: 'azure',
    source: 'recorded',
    status: 1,
    stderr: `ERROR: The command failed with an unexpected error. Here is the traceback:\nERROR: HTTPSConnectionPool(host='login.microsoftonline.com', port=443): Max retries exceeded with url: /1/v2.0/.well-known/openid-configuration (Caused by NameResolutionError("HTTPSConnection(host='login.microsoftonline.com', port=443): Failed to resolve 'login.microsoftonline.com' ([Errno -2] Name or service not known)"))\nTraceback (most recent call last):\n`,
    kind: 'transient',
    remedy: 'check the network',
  },
  {
    preset: 'azure',
    source: 'quoted',
    status: 1,
    stderr:
      'ERROR: AADSTS500011: The resource principal named api://claude was not found in the tenant named Example. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant.\n',
    kind: 'misconfigured',
    remedy: 'correct resource or tenant',
  },
  {
    preset: 'azure',
    source: 'quoted',
    status: 1,
    stderr:
      'ERROR: AADSTS700082: The refresh token has expired due to inactivity.\nInteractive authentication is needed. Please run:\naz login\n',
    kind: 'login-expired',
    remedy: 'run: az login',
  },
  {
    preset: '1password',
    source: 'quoted',
    status: 0,
    stdout: 'sk-ant-api03-example',
    key: 'sk-ant-api03-example',
  },
  {
    preset: '1password',
    source: 'quoted',
    status: 1,
    stderr: '[ERROR] 2026/01/02 03:04:05 error initializing client: authorization prompt dismissed, please try again\n',
    kind: 'login-expired',
    remedy: 'run: op signin',
  },
  {
    preset: '1password',
    source: 'quoted',
    status: 1,
    stderr:
      '[ERROR] 2026/01/02 03:04:05 You are not currently signed in. Please run `op signin --help` for instructions\n',
    kind: 'login-expired',
    remedy: 'run: op signin',
  },
  {
    preset: '1password',
    source: 'quoted',
    status: 1,
    stderr:
      '[ERROR] 2026/01/02 03:04:05 could not read secret op://dev/claude/key: "claude" isn\'t an item in the "dev" vault.\n',
    kind: 'misconfigured',
    remedy: 'correct reference',
  },
  {
    preset: '1password',
    source: 'quoted',
    status: 1,
    stderr:
      "[ERROR] 2023/06/26 11:55:32 (429) Too Many Requests: You've reached the maximum number of this type of requests this service account is allowed to make. Please retry in 58 minutes or try other requests.\n",
    kind: 'transient',
    remedy: 'op service-account ratelimit',
    retryAfterMs: 58 * 60_000,
  },
  { preset: 'bitwarden', source: 'program', status: 0, stdout: 'sk-ant-api03-example', key: 'sk-ant-api03-example' },
  {
    preset: 'bitwarden',
    source: 'recorded',
    status: 1,
    stderr: 'You are not logged in.',
    kind: 'login-expired',
    remedy: 'run: bw login',
  },
  {
    preset: 'bitwarden',
    source: 'program',
    status: 1,
    stderr: 'Vault is locked.',
    kind: 'login-expired',
    remedy: 'run: bw unlock --raw',
  },
  {
    preset: 'bitwarden',
    source: 'program',
    status: 1,
    stderr: 'Not found.',
    kind: 'misconfigured',
    remedy: 'write the id',
  },
  {
    preset: 'bitwarden',
    source: 'program',
    status: 1,
    stderr:
      'More than one result was found. Try getting a specific object by `id` instead. The following objects were found:\n99ee88d2-6046-4ea7-92c2-acac464b1412\n',
    kind: 'misconfigured',
    remedy: 'write the id',
  },
];
