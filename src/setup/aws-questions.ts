import { PROXY, type Question } from './interview.ts';

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

export const AWS_SOURCE: Readonly<Record<'aws-secrets-manager' | 'aws-ssm', Question>> = {
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
