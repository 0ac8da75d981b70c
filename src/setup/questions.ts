import type { Machine } from './machine.ts';

/** One value of the configuration: a flag for scripts, a question for people. */
export interface Question {
  /** As commander calls it: `role-id-file`. */
  readonly flag: string;
  /** The table and key that the answer goes to. */
  readonly into: 'options' | 'auth' | 'source';
  readonly key: string;
  readonly ask: string;
  /** Without it nothing works; else it is asked for only if `asked`. */
  readonly needed?: true;
  readonly asked?: true;
  readonly example?: string;
  /** A path: made absolute. */
  readonly isFile?: true;
  readonly isNumber?: true;
  /** Another question of which one answer is enough. */
  readonly instead?: string;
  /** What a variable of this shell says. Also taken where there is no terminal to ask at. */
  readonly found?: (machine: Machine) => string | undefined;
  /** What would be likely: only ever suggested. */
  readonly guess?: (machine: Machine) => string | undefined;
}

/** The provider types that setup knows to ask for; the others are written by hand. */
export type ProviderKind = 'vault' | 'aws-secrets-manager' | 'aws-ssm';

export const PROVIDER_KINDS: readonly { readonly kind: ProviderKind; readonly label: string; readonly name: string }[] =
  [
    { kind: 'vault', label: 'HashiCorp Vault or OpenBao', name: 'vault' },
    { kind: 'aws-secrets-manager', label: 'AWS Secrets Manager', name: 'aws' },
    { kind: 'aws-ssm', label: 'AWS Systems Manager Parameter Store', name: 'aws-ssm' },
  ];

/** How to reach it and log in; for Vault the questions of the login that was chosen are among them. */
export function connectionQuestions(kind: ProviderKind, method: string | undefined): readonly Question[] {
  if (kind !== 'vault') return AWS;
  return [...VAULT, ...(method === undefined ? [] : (VAULT_LOGINS[method]?.questions ?? []))];
}

export function sourceQuestions(kind: ProviderKind): readonly Question[] {
  return kind === 'vault' ? VAULT_SOURCE : [AWS_SOURCE[kind]];
}

/** Every flag there is, each once. */
export function everyQuestion(): readonly Question[] {
  const logins = Object.values(VAULT_LOGINS).flatMap(({ questions }) => questions);
  const all = [...VAULT, ...logins, ...AWS, ...VAULT_SOURCE, ...Object.values(AWS_SOURCE)];
  return [...new Map(all.map((question) => [question.flag, question])).values()];
}

/** Not asked: what HTTPS_PROXY and its like say of the address is taken (withEnvironment). */
const PROXY: Question = {
  flag: 'proxy',
  into: 'options',
  key: 'proxy',
  ask: 'Proxy to reach it through, or "direct"',
  example: 'http://proxy.example.com:3128',
};

/** How to reach Vault. */
const VAULT: readonly Question[] = [
  {
    flag: 'address',
    into: 'options',
    key: 'address',
    ask: 'Address of Vault',
    needed: true,
    example: 'https://vault.example.com:8200',
    found: ({ vault }) => vault.address,
  },
  { flag: 'namespace', into: 'options', key: 'namespace', ask: 'Namespace' },
  {
    flag: 'ca-file',
    into: 'options',
    key: 'ca_file',
    ask: 'CA file',
    isFile: true,
  },
  PROXY,
];

const VAULT_SOURCE: readonly Question[] = [
  {
    flag: 'path',
    into: 'source',
    key: 'path',
    ask: 'Path of the secret, as the HTTP API spells it (KV v2 has data/ after the mount)',
    needed: true,
    example: 'secret/data/claude',
  },
];

const MOUNT: Question = { flag: 'mount', into: 'auth', key: 'mount', ask: 'Mount of the auth method' };
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
export const VAULT_LOGINS: Readonly<
  Record<string, { readonly label: string; readonly questions: readonly Question[] }>
> = {
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
        example: '~/.config/broker/secret-id',
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
      { flag: 'auth-profile', into: 'auth', key: 'profile', ask: 'AWS profile to sign with' },
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
const AWS: readonly Question[] = [
  {
    flag: 'profile',
    into: 'options',
    key: 'profile',
    ask: 'AWS profile (empty: whatever the SDK finds on this machine)',
    asked: true,
    found: ({ aws }) => aws.profile,
    guess: ({ aws }) => (aws.sso.length === 1 ? aws.sso[0] : undefined),
  },
  {
    flag: 'region',
    into: 'options',
    key: 'region',
    ask: "Region of the secret (empty: the profile's)",
    asked: true,
    example: 'eu-west-1',
    found: ({ aws }) => aws.region,
  },
  { flag: 'role-arn', into: 'options', key: 'role_arn', ask: 'Role to assume' },
  { flag: 'endpoint', into: 'options', key: 'endpoint', ask: 'Endpoint' },
  { flag: 'ca-file', into: 'options', key: 'ca_file', ask: 'CA file', isFile: true },
  PROXY,
];

const AWS_SOURCE: Readonly<Record<'aws-secrets-manager' | 'aws-ssm', Question>> = {
  'aws-secrets-manager': {
    flag: 'secret-id',
    into: 'source',
    key: 'secret_id',
    ask: 'Name or ARN of the secret',
    needed: true,
    example: 'prod/claude',
  },
  'aws-ssm': {
    flag: 'parameter',
    into: 'source',
    key: 'parameter',
    ask: 'Name or ARN of the parameter',
    needed: true,
    example: '/prod/claude',
  },
};
