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
export const PROXY: Question = {
  flag: 'proxy',
  into: 'options',
  key: 'proxy',
  ask: 'Proxy to reach it through, or "direct"',
  example: 'http://proxy.example.com:3128',
};

/** Asked for where a certificate is not trusted. */
export const CA_FILE: Question = { flag: 'ca-file', into: 'options', key: 'ca_file', ask: 'CA file', isFile: true };

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

export function noSuchProfile(answer: string, { aws }: Machine): Wrong | undefined {
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
