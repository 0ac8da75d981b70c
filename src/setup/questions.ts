import type { PresetName } from '../providers/exec/presets.ts';
import type { Machine } from './machine.ts';

/** One value of the configuration: a flag for scripts, a question for people. */
export interface Question {
  /** As commander calls it: `role-id-file`. */
  readonly flag: string;
  /** The table and key that the answer goes to; dots in the key go deeper. */
  readonly into: 'options' | 'auth' | 'source';
  readonly key: string;
  readonly ask: string;
  /** Without it nothing works; else it is asked for only if `asked`. */
  readonly needed?: true;
  /** `again`: not the first time, because few need it, but a refused login may lack it. */
  readonly asked?: true | 'again';
  readonly example?: string;
  /** A path: made absolute, and there has to be something. */
  readonly isFile?: true;
  readonly isNumber?: true;
  /** Another question of which one answer is enough. */
  readonly instead?: string;
  /** What a variable of this shell says. Also taken where there is no terminal to ask at. */
  readonly found?: (machine: Machine) => string | undefined;
  /** What would be likely: only ever suggested. */
  readonly guess?: (machine: Machine) => string | undefined;
  /** What this machine knows to be wrong with an answer that is well written. */
  readonly wrong?: (answer: string, machine: Machine) => Wrong | undefined;
}

export interface Wrong {
  readonly message: string;
  readonly remedy: string;
}

/** What setup knows to ask for; `exec` with a command of one's own is written by hand. */
export type ProviderKind = 'vault' | 'aws-secrets-manager' | 'aws-ssm' | 'oauth2' | 'keychain' | PresetName;

export interface SetupKind {
  readonly kind: ProviderKind;
  readonly label: string;
  /** What the provider is called unless a person says otherwise. */
  readonly name: string;
  /** As the configuration has it. */
  readonly type: string;
  /** For the person who opens the file. */
  readonly comment: string;
  /** Keys of the provider that the choice itself says. */
  readonly fixed: Readonly<Record<string, string>>;
  readonly connection: readonly Question[];
  readonly ways?: Ways;
  readonly source: readonly Question[];
  /** Every read may issue another key. */
  readonly issues?: true;
}

/** Ways to log in, of which one is chosen and has questions of its own. */
export interface Ways {
  readonly flag: 'auth' | 'grant';
  readonly into: 'auth' | 'options';
  readonly key: string;
  readonly ask: string;
  readonly choices: Readonly<Record<string, { readonly label: string; readonly questions: readonly Question[] }>>;
}

/** Not asked: what HTTPS_PROXY and its like say of the address is taken (withEnvironment). */
const PROXY: Question = {
  flag: 'proxy',
  into: 'options',
  key: 'proxy',
  ask: 'Proxy to reach it through, or "direct"',
  example: 'http://proxy.example.com:3128',
};

/** Asked for where a certificate is not trusted. */
const CA_FILE: Question = { flag: 'ca-file', into: 'options', key: 'ca_file', ask: 'CA file', isFile: true };

/** How to reach Vault. */
export const VAULT: readonly Question[] = [
  {
    flag: 'address',
    into: 'options',
    key: 'address',
    ask: 'Address of Vault',
    needed: true,
    example: 'https://vault.example.com:8200',
    found: ({ vault }) => vault.address,
    wrong: (answer) => (URL.parse(answer)?.host ? undefined : addressWithoutScheme(answer)),
  },
  { flag: 'namespace', into: 'options', key: 'namespace', ask: 'Namespace' },
  CA_FILE,
  PROXY,
];

function addressWithoutScheme(answer: string): Wrong | undefined {
  if (/^unix:\/\/./.test(answer)) return undefined;
  const rest = answer.replace(/^\w*:?\/\//, '');
  return { message: 'an address begins with https:// (or http://, unix://)', remedy: `write https://${rest}` };
}

export const VAULT_SOURCE: readonly Question[] = [
  {
    flag: 'path',
    into: 'source',
    key: 'path',
    ask: 'Path of the secret',
    needed: true,
    example: 'secret/data/claude',
  },
];

const MOUNT: Question = {
  flag: 'mount',
  into: 'auth',
  key: 'mount',
  ask: 'Mount of the auth method (empty: named like the method)',
  asked: 'again',
};
const role = (more: Partial<Question> = {}): Question => ({
  flag: 'role',
  into: 'auth',
  key: 'role',
  ask: 'Role',
  ...more,
});

const USER: readonly Question[] = [
  {
    flag: 'username',
    into: 'auth',
    key: 'username',
    ask: 'Name to log in with',
    needed: true,
    guess: ({ user }) => user,
  },
  { flag: 'password-file', into: 'auth', key: 'password_file', ask: 'File with the password', isFile: true },
  MOUNT,
];

/** The ways to log in to Vault, the most usual first. */
export const VAULT_LOGINS: Ways['choices'] = {
  token: {
    label: 'a token in a file (vault login writes ~/.vault-token)',
    questions: [{ flag: 'token-file', into: 'auth', key: 'token_file', ask: 'File with the token', isFile: true }],
  },
  oidc: {
    label: 'single sign-on in a browser (oidc)',
    questions: [
      role({ asked: true, ask: "Role (empty: the mount's default role)" }),
      { flag: 'callback-port', into: 'auth', key: 'callback_port', ask: 'Callback port', isNumber: true },
      MOUNT,
    ],
  },
  approle: {
    label: 'AppRole: a role-id and a secret-id in files',
    questions: [
      { flag: 'role-id', into: 'auth', key: 'role_id', ask: 'Role-id' },
      {
        flag: 'role-id-file',
        into: 'auth',
        key: 'role_id_file',
        ask: 'File with the role-id',
        needed: true,
        isFile: true,
        example: '~/.config/broker/role-id',
        instead: 'role-id',
      },
      {
        flag: 'secret-id-file',
        into: 'auth',
        key: 'secret_id_file',
        ask: 'File with the secret-id (empty: the role needs none)',
        asked: true,
        isFile: true,
      },
      MOUNT,
    ],
  },
  userpass: { label: 'user name and password', questions: USER },
  ldap: { label: 'user name and password of LDAP', questions: USER },
  aws: {
    label: 'the IAM identity of this machine or AWS profile',
    questions: [
      role({ asked: true, ask: 'Role (empty: the one named like the IAM role)' }),
      {
        flag: 'auth-profile',
        into: 'auth',
        key: 'profile',
        ask: 'AWS profile to sign with',
        wrong: noSuchProfile,
      },
      { flag: 'server-id', into: 'auth', key: 'server_id', ask: 'X-Vault-AWS-IAM-Server-ID' },
      MOUNT,
    ],
  },
  kubernetes: {
    label: 'the service account of this pod',
    questions: [
      role({ needed: true }),
      { flag: 'jwt-file', into: 'auth', key: 'jwt_file', ask: 'File with the token', isFile: true },
      MOUNT,
    ],
  },
  jwt: {
    label: 'a JWT in a file, as CI systems write it',
    questions: [
      { flag: 'jwt-file', into: 'auth', key: 'jwt_file', ask: 'File with the JWT', needed: true, isFile: true },
      role({ asked: true, ask: "Role (empty: the mount's default role)" }),
      MOUNT,
    ],
  },
  cert: {
    label: 'a client certificate',
    questions: [
      {
        flag: 'client-cert-file',
        into: 'options',
        key: 'client_cert_file',
        ask: 'PEM file with the certificate',
        needed: true,
        isFile: true,
      },
      {
        flag: 'client-key-file',
        into: 'options',
        key: 'client_key_file',
        ask: 'PEM file with its key',
        needed: true,
        isFile: true,
      },
      { flag: 'cert-name', into: 'auth', key: 'name', ask: 'Name of the certificate role' },
      MOUNT,
    ],
  },
};

/** How to reach AWS. */
export const AWS: readonly Question[] = [
  {
    flag: 'profile',
    into: 'options',
    key: 'profile',
    ask: 'AWS profile (empty: whatever the SDK finds on this machine)',
    asked: true,
    found: ({ aws }) => aws.profile,
    guess: ({ aws }) => (aws.sso.length === 1 ? aws.sso[0] : undefined),
    wrong: noSuchProfile,
  },
  {
    flag: 'region',
    into: 'options',
    key: 'region',
    ask: "Region of the secret, like eu-west-1 (empty: the profile's)",
    asked: true,
    example: 'eu-west-1',
    found: ({ aws }) => aws.region,
  },
  { flag: 'role-arn', into: 'options', key: 'role_arn', ask: 'Role to assume' },
  { flag: 'endpoint', into: 'options', key: 'endpoint', ask: 'Endpoint' },
  CA_FILE,
  PROXY,
];

function noSuchProfile(answer: string, { aws }: Machine): Wrong | undefined {
  if (aws.profiles.includes(answer)) return undefined;
  const known = aws.profiles.length === 0 ? 'there is none: aws configure' : `write one of: ${aws.profiles.join(', ')}`;
  return { message: `profile "${answer}" does not exist in ~/.aws/config`, remedy: known };
}

/** Which way is chosen is a key of the provider itself; each has what it needs. */
const CLIENT_ID: Question = {
  flag: 'client-id',
  into: 'options',
  key: 'client_id',
  ask: 'Client id: the name under which the broker is registered there',
  needed: true,
};
const SCOPES: Question = {
  flag: 'scopes',
  into: 'options',
  key: 'scope',
  ask: 'Scopes, with spaces between them (empty: none of your own)',
  asked: true,
};

export const OAUTH2: readonly Question[] = [
  {
    flag: 'issuer',
    into: 'options',
    key: 'issuer',
    ask: 'Issuer: the URL of the identity provider',
    needed: true,
    example: 'https://login.example.com/realms/corp',
    instead: 'token-endpoint',
  },
  { flag: 'token-endpoint', into: 'options', key: 'token_endpoint', ask: 'URL that tokens are asked for at' },
  CA_FILE,
  PROXY,
];

/** Each way to get a token that needs no other token. */
export const OAUTH2_GRANTS: Ways['choices'] = {
  client_credentials: {
    label: 'this machine, with a client secret in a file',
    questions: [
      CLIENT_ID,
      {
        flag: 'client-secret-file',
        into: 'options',
        key: 'client_secret_file',
        ask: 'File with the client secret',
        needed: true,
        isFile: true,
      },
      SCOPES,
    ],
  },
  device_code: { label: 'a person, on any device, with a code', questions: [CLIENT_ID, SCOPES] },
  authorization_code: { label: "a person, in this machine's browser", questions: [CLIENT_ID, SCOPES] },
};

export const ACCOUNT: Question = {
  flag: 'account',
  into: 'source',
  key: 'account',
  ask: "Account (empty: the tool's own choice)",
  asked: true,
};

/** A file whose content the tool gets in a variable. */
export const fileFor = (flag: string, variable: string, ask: string): Question => ({
  flag,
  into: 'options',
  key: `env_files.${variable}`,
  ask,
  asked: true,
  isFile: true,
});
