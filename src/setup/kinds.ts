import type { PresetName } from '../providers/exec/presets.ts';
import {
  ACCOUNT,
  AWS,
  fileFor,
  OAUTH2,
  OAUTH2_GRANTS,
  type ProviderKind,
  type Question,
  type SetupKind,
} from './questions.ts';
import { VAULT, VAULT_LOGINS, VAULT_SOURCE } from './vault-questions.ts';

const tool = (kind: PresetName, label: string, name: string) => ({
  kind,
  label,
  name,
  type: 'exec',
  comment: `${label} (broker help exec).`,
  fixed: { preset: kind },
});

export const PROVIDER_KINDS: readonly SetupKind[] = [
  {
    kind: 'vault',
    label: 'HashiCorp Vault or OpenBao',
    name: 'vault',
    type: 'vault',
    comment: 'HashiCorp Vault or OpenBao (broker help vault).',
    fixed: {},
    connection: VAULT,
    ways: { flag: 'auth', into: 'auth', key: 'method', ask: 'How do you log in to it?', choices: VAULT_LOGINS },
    source: VAULT_SOURCE,
  },
  {
    kind: 'aws-secrets-manager',
    label: 'AWS Secrets Manager',
    name: 'aws',
    type: 'aws-secrets-manager',
    comment: 'AWS Secrets Manager (broker help aws-secrets-manager).',
    fixed: {},
    connection: AWS,
    source: [
      {
        flag: 'secret-id',
        into: 'source',
        key: 'secret_id',
        ask: 'Name or ARN of the secret',
        needed: true,
        example: 'prod/claude',
      },
    ],
  },
  {
    kind: 'aws-ssm',
    label: 'AWS Systems Manager Parameter Store',
    name: 'aws-ssm',
    type: 'aws-ssm',
    comment: 'AWS Systems Manager Parameter Store (broker help aws-ssm).',
    fixed: {},
    connection: AWS,
    source: [
      {
        flag: 'parameter',
        into: 'source',
        key: 'parameter',
        ask: 'Name or ARN of the parameter',
        needed: true,
        example: '/prod/claude',
      },
    ],
  },
  {
    ...tool('1password', '1Password, by its command line', 'onepassword'),
    connection: [
      fileFor(
        'service-account-token-file',
        'OP_SERVICE_ACCOUNT_TOKEN',
        'File with the token of a service account (empty: the app or op signin)',
      ),
    ],
    source: [
      {
        flag: 'reference',
        into: 'source',
        key: 'reference',
        ask: 'Secret reference ("Copy Secret Reference" in the app), or item of Bitwarden',
        needed: true,
        example: 'op://dev/claude/key',
      },
      ACCOUNT,
    ],
  },
  { ...tool('gcloud', 'Google Cloud, by gcloud', 'gcloud'), connection: [], source: [ACCOUNT], issues: true },
  {
    ...tool('azure', 'Microsoft Azure and Entra, by az', 'azure'),
    issues: true,
    connection: [],
    source: [
      {
        flag: 'resource',
        into: 'source',
        key: 'resource',
        ask: 'Resource that the token is for',
        needed: true,
        example: 'https://cognitiveservices.azure.com',
      },
      { flag: 'tenant', into: 'source', key: 'tenant', ask: "Tenant (empty: that of az's account)", asked: true },
    ],
  },
  {
    ...tool('bitwarden', 'Bitwarden, by its command line', 'bitwarden'),
    connection: [fileFor('session-file', 'BW_SESSION', 'File with what bw unlock --raw printed (empty: none)')],
    source: [
      {
        flag: 'reference',
        into: 'source',
        key: 'reference',
        ask: 'Id of the item (bw list items --search claude)',
        needed: true,
      },
    ],
  },
  {
    kind: 'keychain',
    label: 'the keyring of this desktop: macOS Keychain, Secret Service',
    name: 'desk',
    type: 'keychain',
    comment: 'The keyring of the operating system (broker help keychain).',
    fixed: {},
    connection: [],
    source: [
      {
        flag: 'item',
        into: 'source',
        key: 'item',
        ask: 'Name of the item in the keyring',
        needed: true,
        example: 'anthropic',
        found: () => 'anthropic',
      },
    ],
  },
  {
    kind: 'oauth2',
    label: 'an identity provider: OAuth 2.0 and OpenID Connect',
    name: 'login',
    type: 'oauth2',
    issues: true,
    comment: 'An identity provider (broker help oauth2).',
    fixed: {},
    connection: OAUTH2,
    ways: { flag: 'grant', into: 'options', key: 'grant', ask: 'Who gets the tokens?', choices: OAUTH2_GRANTS },
    source: [
      { flag: 'audience', into: 'source', key: 'audience', ask: 'Audience of the token (empty: none)', asked: true },
    ],
  },
];

export function kindOf(kind: ProviderKind): SetupKind {
  const found = PROVIDER_KINDS.find((each) => each.kind === kind);
  if (found === undefined) throw new TypeError(`no provider ${kind}`);
  return found;
}

/** The kind that a table of the configuration is of; undefined: one that is written by hand. */
export function kindOfTable(table: Readonly<Record<string, unknown>>): ProviderKind | undefined {
  return PROVIDER_KINDS.find(
    ({ type, fixed }) => type === table['type'] && Object.entries(fixed).every(([key, value]) => table[key] === value),
  )?.kind;
}

/** How to reach it and log in; the questions of the way that was chosen are among them. */
export function connectionQuestions(kind: ProviderKind, way: string | undefined): readonly Question[] {
  const { connection, ways } = kindOf(kind);
  return [...connection, ...(way === undefined ? [] : (ways?.choices[way]?.questions ?? []))];
}

/** Every flag there is, each once. */
export function everyQuestion(): readonly Question[] {
  const all = PROVIDER_KINDS.flatMap(({ connection, ways, source }) => [
    ...connection,
    ...Object.values(ways?.choices ?? {}).flatMap(({ questions }) => questions),
    ...source,
  ]);
  return [...new Map(all.map((question) => [question.flag, question])).values()];
}
