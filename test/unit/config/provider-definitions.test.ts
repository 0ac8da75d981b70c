import { describe, expect, it } from 'vitest';
import { configJsonSchema } from '../../../src/config/json-schema.ts';
import { checkConfig } from '../../../src/config/load.ts';
import { keysOf, schemaAt, unwrap } from '../../../src/config/walk.ts';
import { providerDefinitions } from '../../../src/providers/registry.ts';

describe.each(providerDefinitions)(
  'the provider type $type',
  ({ type, providerSchema, credentialSchema, environmentDefaults }) => {
    it.each([
      ['provider', providerSchema],
      ['credential', credentialSchema],
    ])('describes every key of its %s tables', (_, schema) => {
      const keys = keysOf(schema, {});
      // The keyring of the operating system is wherever the daemon runs: nothing of it is configured.
      if (type !== 'keychain' || schema === credentialSchema) expect(keys).not.toHaveLength(0);
      const bare = keys.filter((key) => {
        const child = schemaAt(schema, [key], {});
        return child === undefined || unwrap(child).meta.description === undefined;
      });
      expect(bare).toEqual([]);
    });

    it('takes from the environment only for keys that it has', () => {
      const unknown = Object.keys(environmentDefaults).filter((key) => {
        const [first = ''] = key.split('.');
        return schemaAt(providerSchema, [first], {}) === undefined;
      });
      expect(unknown).toEqual([]);
    });

    it('leaves the keys that every table has to the configuration', () => {
      expect(keysOf(providerSchema, {})).not.toContain('type');
      const common = [
        'provider',
        'field',
        'fields',
        'expires_field',
        'header',
        'header_prefix',
        'ttl',
        'max_stale',
        'check',
      ];
      expect(keysOf(credentialSchema, {}).filter((key) => common.includes(key))).toEqual([]);
    });
  },
);

it('are all in the JSON Schema for editors', () => {
  const schema = JSON.stringify(configJsonSchema(providerDefinitions));
  for (const { type } of providerDefinitions) expect(schema).toContain(`"const":"${type}"`);
});

describe('an ARN of another region than its provider', () => {
  const file = (type: string, credential: string, region: string) =>
    `[providers.dev]\ntype = "${type}"\n${region}\n[credentials.c]\nprovider = "dev"\n${credential}\n`;
  const SECRET = 'secret_id = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/key-AbCdEf"';
  const PARAMETER = 'parameter = "arn:aws:ssm:eu-west-1:123456789012:parameter/prod/key"';

  it.each([
    ['aws-secrets-manager', SECRET, 'secret_id'],
    ['aws-ssm', PARAMETER, 'parameter'],
  ])('is told with both regions (%s)', async (type, credential, key) => {
    const check = (region: string, env = {}) =>
      checkConfig(Buffer.from(file(type, credential, region)), {
        file: '/c.toml',
        types: providerDefinitions,
        env,
        homeDir: '/h',
      });
    const expected = {
      line: 6,
      key: `credentials.c.${key}`,
      message: 'the ARN is of region eu-west-1, but provider "dev" asks us-east-1',
      remedy: 'write region = "eu-west-1" in [providers.dev], or name the secret of us-east-1',
    };
    expect((await check('region = "us-east-1"')).faults).toMatchObject([expected]);
    expect((await check('', { AWS_REGION: 'us-east-1' })).faults).toMatchObject([expected]);
    expect((await check('region = "eu-west-1"')).faults).toBeUndefined();
    expect((await check('profile = "dev"')).faults).toBeUndefined();
  });
});
