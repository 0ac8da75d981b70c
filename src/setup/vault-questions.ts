import { CA_FILE, noSuchProfile, PROXY, type Question, type Ways, type Wrong } from './questions.ts';

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
