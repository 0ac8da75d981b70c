import { expect, test } from 'vitest';
import { checkConfig } from '../../../src/config/load.ts';
import { providerDefinitions } from '../../../src/providers/registry.ts';

function check(toml: string, env: Record<string, string> = {}) {
  const surroundings = { file: '/c.toml', types: providerDefinitions, env, homeDir: '/home/me' };
  return checkConfig(Buffer.from(toml), surroundings);
}

test('keys, defaults and what the environment contributes reach the providers', async () => {
  const { config, faults } = await check(
    `default = "tool"
    [providers.tools]
    type = "exec"
    command = ["op", "read"]
    timeout = "5s"
    login_files = ["~/.config/op/config"]
    [providers.secrets]
    type = "aws-secrets-manager"
    profile = "dev"
    [providers.parameters]
    type = "aws-ssm"
    region = "eu-west-1"
    [credentials.tool]
    provider = "tools"
    args = ["op://dev/claude/key"]
    [credentials.secret]
    provider = "secrets"
    secret_id = "prod/litellm"
    field = "key"
    [credentials.parameter]
    provider = "parameters"
    parameter = "/team/key"`,
    { AWS_DEFAULT_REGION: 'eu-west-3', AWS_PROFILE: 'other', AWS_ENDPOINT_URL_SSM: 'http://127.0.0.1:5000' },
  );
  expect(faults).toBeUndefined();
  const options = Object.fromEntries([...(config?.providers ?? [])].map(([name, each]) => [name, each.options]));
  expect(options).toMatchObject({
    tools: { command: ['op', 'read'], timeout: 5_000, login_files: ['/home/me/.config/op/config'], pass_env: [] },
    secrets: { region: 'eu-west-3', profile: 'dev' },
    parameters: { region: 'eu-west-1', profile: 'other', endpoint: 'http://127.0.0.1:5000' },
  });
  expect(config?.credentials.get('tool')?.source).toEqual({ args: ['op://dev/claude/key'], output: 'auto' });
  expect(config?.credentials.get('secret')?.source).toEqual({ secret_id: 'prod/litellm', watch_rotation: false });
});

test.each([
  ['type = "exec"\ncommand = "op read x"', 'command'],
  ['type = "exec"\ncommand = []', 'command'],
  ['type = "exec"\ntimeout = "20m"', 'timeout'],
  ['type = "exec"\npass_env = ["A B"]', 'pass_env[0]'],
  ['type = "exec"\ndenied_status = [0]', 'denied_status[0]'],
  ['type = "aws-secrets-manager"\nregoin = "eu-west-1"', 'regoin'],
  ['type = "aws-secrets-manager"\nregion = "Ireland"', 'region'],
  ['type = "aws-secrets-manager"\nendpoint = "localhost:5000"', 'endpoint'],
  ['type = "aws-secrets-manager"\nrole_arn = "keys"', 'role_arn'],
  ['type = "aws-ssm"\nexternal_id = "a"', 'external_id'],
  ['type = "aws-ssm"\nca_file = "corp.pem"', 'ca_file'],
])('%s is a fault of that key, with what to write instead', async (table, key) => {
  const { faults } = await check(`[providers.p]\n${table}`);
  expect(faults).toContainEqual(
    expect.objectContaining({ key: `providers.p.${key}`, line: 3, remedy: expect.stringMatching(/\S/) }),
  );
});
