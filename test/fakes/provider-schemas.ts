import { z } from 'zod';
import { filePath, type ProviderSchemas, secretText, text } from '../../src/config/schema.ts';

/** A type with several ways to log in and with secrets, shaped like Vault's. */
export const vaultLike: ProviderSchemas = {
  type: 'vault',
  providerSchema: z.strictObject({
    address: z
      .url({ protocol: /^(?:https?|unix)$/, message: 'this is no http, https or unix URL' })
      .describe('URL of the server.')
      .meta({ examples: ['https://vault.example.com:8200'] }),
    namespace: text().optional().describe('Namespace. Default: none.'),
    ca_file: filePath().optional().describe('PEM file with the certificates to trust. Default: those of the system.'),
    tls_skip_verify: z.boolean().prefault(false).describe('Boolean. Trusts any certificate. Default false.'),
    auth: z
      .discriminatedUnion('method', [
        z.strictObject({
          method: z.literal('token'),
          token: secretText().optional().describe('The token itself.'),
          token_file: filePath().optional().describe('File that holds the token.'),
        }),
        z.strictObject({
          method: z.literal('approle'),
          mount: text().prefault('approle').describe('Where the method is mounted. Default approle.'),
          role_id: text().optional().describe('Role id.'),
          role_id_file: filePath().optional().describe('File that holds the role id.'),
          secret_id: secretText().optional().describe('Secret id.'),
          secret_id_file: filePath().optional().describe('File that holds the secret id.'),
        }),
      ])
      .prefault({ method: 'token' })
      .describe('How to log in. Default: with a token.'),
  }),
  credentialSchema: z.strictObject({
    path: text()
      .regex(/^[^/]/, 'the path begins with a slash')
      .describe('API path.')
      .meta({ examples: ['secret/data/claude'] }),
    params: z.record(z.string(), z.string()).optional().describe('Query parameters. Default: none.'),
  }),
  environmentDefaults: {
    address: ['VAULT_ADDR'],
    namespace: ['VAULT_NAMESPACE'],
    ca_file: ['VAULT_CACERT'],
    tls_skip_verify: ['VAULT_SKIP_VERIFY'],
    'auth.token': ['VAULT_TOKEN'],
  },
};

/** A flat type, shaped like AWS Secrets Manager's. */
export const awsLike: ProviderSchemas = {
  type: 'aws-secrets-manager',
  providerSchema: z.strictObject({
    region: text()
      .regex(/^[a-z]{2}(?:-[a-z]+)+-\d$/, 'this is no region')
      .describe('Region.')
      .meta({ examples: ['eu-west-1'] }),
    profile: text().optional().describe('Profile. Default: the default chain.'),
    endpoint: z.url().optional().describe('URL of an emulator. Default: that of the region.'),
    max_sockets: z.int().min(1).max(50).prefault(5).describe('Connections, 1 to 50. Default 5.'),
  }),
  credentialSchema: z.strictObject({
    secret_id: text()
      .describe('Name or ARN of the secret.')
      .meta({ secret: false, examples: ['prod/litellm'] }),
    version_stage: text().prefault('AWSCURRENT').describe('Stage. Default AWSCURRENT.'),
  }),
  environmentDefaults: { region: ['AWS_REGION', 'AWS_DEFAULT_REGION'], profile: ['AWS_PROFILE'] },
};

/** A type whose schema has unions, arrays and its own words, shaped like a command's. */
export const execLike: ProviderSchemas = {
  type: 'exec',
  providerSchema: z.strictObject({
    env: z.record(z.string(), secretText()).optional().describe('Variables of the command. Default: none.'),
  }),
  credentialSchema: z
    .strictObject({
      command: z
        .array(text())
        .min(1)
        .describe('Program and arguments.')
        .meta({ examples: [['pass', 'show', 'key']] }),
      shell: z
        .union([z.boolean(), z.enum(['sh', 'bash'])])
        .prefault(false)
        .describe('Shell. Default false.'),
    })
    .refine(({ command }) => command[0] !== 'sudo', { message: 'sudo would ask for a password', path: ['command'] }),
  environmentDefaults: {},
};

export const providerTypes = [vaultLike, awsLike, execLike];
