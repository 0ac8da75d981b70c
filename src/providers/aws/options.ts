import { z } from 'zod';
import {
  type EnvironmentRule,
  once,
  optionalFile,
  optionalText,
  riskOfAddress,
  type SourceConflict,
  text,
} from '../../config/schema.ts';
import type { ProviderDefinition } from '../provider.ts';
import { proxyOption, proxyRule } from '../proxies.ts';

/** The name of a region. */
export const awsRegion = () => text().regex(/^[a-z]{2}(-[a-z]+)+-\d+$/, 'not the name of a region, like eu-west-1');

const url = () => z.url({ protocol: /^https?$/ });

/** The keys of `[providers.NAME]` that all AWS services share. */
const awsProviderSchema = once(() =>
  z
    .strictObject({
      region: awsRegion()
        .optional()
        .describe("AWS region. Default: AWS_REGION, AWS_DEFAULT_REGION, else the profile's."),
      profile: optionalText().describe(
        "Profile in ~/.aws/config. Default: AWS_PROFILE, else the SDK's chain (variables, SSO, web identity, container, instance).",
      ),
      endpoint: url().optional().describe('Address of the service, for VPC endpoints and emulators.'),
      role_arn: text()
        .regex(/^arn:[\w-]+:iam::\d{12}:role\/\S+$/, 'not the ARN of a role, like arn:aws:iam::123456789012:role/keys')
        .optional()
        .describe('Role to assume with the login above, before anything is read.'),
      external_id: optionalText().describe('External id that the trust policy of role_arn asks for.'),
      role_session_name: text()
        .regex(/^[\w+=,.@-]{2,64}$/, '2 to 64 letters, digits or + = , . @ - _')
        .optional()
        .describe('Name of the session in CloudTrail. Default: apikey-broker.'),
      sts_endpoint: url()
        .optional()
        .describe('Address of STS for role_arn. Default: AWS_ENDPOINT_URL_STS, else the regional one.'),
      proxy: proxyOption(),
      ca_file: optionalFile().describe('PEM file with further certificate authorities. Default: AWS_CA_BUNDLE.'),
    })
    .superRefine((options, context) => {
      for (const key of ['external_id', 'role_session_name', 'sts_endpoint'] as const) {
        if (options[key] !== undefined && options.role_arn === undefined) {
          const params = { remedy: `add role_arn, or remove ${key}` };
          context.addIssue({ code: 'custom', path: [key], message: `${key} requires role_arn`, params });
        }
      }
    }),
);

/** The region that an ARN names; undefined for a plain name. */
export function regionOfArn(id: string): string | undefined {
  return /^arn:[\w-]+:(?:secretsmanager|ssm):([a-z0-9-]+):/.exec(id)?.[1];
}

/** What to say if the ARN is of another region than the provider's; undefined if it is not, or is no ARN. */
export function regionClash(
  id: string,
  region: string | undefined,
  provider: string,
): Omit<SourceConflict, 'key'> | undefined {
  const named = regionOfArn(id);
  if (named === undefined || region === undefined || named === region) return undefined;
  return {
    message: `the ARN is of region ${named}, but provider "${provider}" asks ${region}`,
    remedy: `write region = "${named}" in [providers.${provider}], or name the secret of ${region}`,
  };
}

function conflictAt(key: string, clash: Omit<SourceConflict, 'key'> | undefined): SourceConflict | undefined {
  return clash && { key, ...clash };
}

export type AwsOptions = z.output<ReturnType<typeof awsProviderSchema>>;

function risksOf({ endpoint, sts_endpoint }: AwsOptions, source: unknown): SourceConflict[] {
  if (source !== undefined) return [];
  return [...riskOfAddress('endpoint', endpoint), ...riskOfAddress('sts_endpoint', sts_endpoint)];
}

/** What environment variables contribute; `service` as in AWS_ENDPOINT_URL_SERVICE. */
function awsEnvironmentDefaults(service: string): Readonly<Record<string, readonly string[] | EnvironmentRule>> {
  return {
    region: ['AWS_REGION', 'AWS_DEFAULT_REGION'],
    profile: ['AWS_PROFILE'],
    endpoint: [`AWS_ENDPOINT_URL_${service}`, 'AWS_ENDPOINT_URL'],
    ca_file: ['AWS_CA_BUNDLE'],
    proxy: proxyRule(({ endpoint, region }) => {
      if (typeof endpoint === 'string') return endpoint;
      const host = service.toLowerCase().replaceAll('_', '');
      return `https://${host}.${typeof region === 'string' ? region : 'us-east-1'}.amazonaws.com`;
    }),
  };
}

const secretsManagerCredentialSchema = once(() =>
  z.strictObject({
    secret_id: text().describe('Name or ARN of the secret; across accounts the ARN.'),
    version_stage: optionalText().describe('Staging label. Default: AWSCURRENT.'),
    version_id: optionalText().describe('Pins this version: later rotations are ignored.'),
    watch_rotation: z
      .boolean()
      .default(false)
      .describe(
        'Ask for the date of the next rotation too (secretsmanager:DescribeSecret), and read again by then. Default: false.',
      ),
  }),
);

export type SecretsManagerSource = z.output<ReturnType<typeof secretsManagerCredentialSchema>>;

const ssmCredentialSchema = once(() =>
  z.strictObject({
    parameter: text().describe('Name or ARN of the parameter; with :VERSION or :LABEL after it, pinned to that one.'),
  }),
);

export type SsmSource = z.output<ReturnType<typeof ssmCredentialSchema>>;

export const awsSecretsManagerDefinition: ProviderDefinition<AwsOptions, SecretsManagerSource> = {
  type: 'aws-secrets-manager',
  nicknames: { aws: '', secretsmanager: '', awssecrets: '', awssecretmanager: '', awssm: '', asm: '' },
  summary: 'AWS Secrets Manager, with any login of the AWS SDK',
  get providerSchema() {
    return awsProviderSchema();
  },
  get credentialSchema() {
    return secretsManagerCredentialSchema();
  },
  environmentDefaults: awsEnvironmentDefaults('SECRETS_MANAGER'),
  identify: ({ secret_id, version_stage, version_id, watch_rotation }) =>
    JSON.stringify([secret_id, version_stage ?? null, version_id ?? null, watch_rotation]),
  describe: ({ secret_id }) => secret_id,
  conflictOf: ({ secret_id }, { region }, provider) =>
    conflictAt('secret_id', regionClash(secret_id, region, provider)),
  risksOf,
  async load() {
    const { secretsManagerProvider } = await import('./secrets-manager.ts');
    return secretsManagerProvider;
  },
};

export const awsSsmDefinition: ProviderDefinition<AwsOptions, SsmSource> = {
  type: 'aws-ssm',
  nicknames: { aws: '', ssm: '', parameterstore: '', awsparameterstore: '', awsparameters: '' },
  summary: 'AWS Systems Manager Parameter Store (SecureString), with any login of the AWS SDK',
  get providerSchema() {
    return awsProviderSchema();
  },
  get credentialSchema() {
    return ssmCredentialSchema();
  },
  environmentDefaults: awsEnvironmentDefaults('SSM'),
  identify: ({ parameter }) => parameter,
  describe: ({ parameter }) => parameter,
  conflictOf: ({ parameter }, { region }, provider) =>
    conflictAt('parameter', regionClash(parameter, region, provider)),
  risksOf,
  async load() {
    const { ssmProvider } = await import('./ssm.ts');
    return ssmProvider;
  },
};
