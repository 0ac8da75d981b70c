import { expect, it } from 'vitest';
import { checkConfig } from '../../../src/config/load.ts';
import { providerDefinitions } from '../../../src/providers/registry.ts';

async function faultsOf(text: string): Promise<readonly (readonly [key: string | undefined, remedy: string])[]> {
  const options = { file: '/c/config.toml', types: providerDefinitions, env: {}, homeDir: '/home/ada' };
  const { faults = [] } = await checkConfig(Buffer.from(text), options);
  return faults.map(({ key, remedy }) => [key, remedy]);
}

it.each([
  ['aws', 'write type = "aws-secrets-manager" or type = "aws-ssm"'],
  ['AWS', 'write type = "aws-secrets-manager" or type = "aws-ssm"'],
  ['parameter-store', 'write type = "aws-ssm"'],
  ['1password', 'write type = "exec", and with it preset = "1password"'],
  ['op', 'write type = "exec", and with it preset = "1password"'],
  ['gcloud', 'write type = "exec", and with it preset = "gcloud"'],
  ['OpenBao', 'write type = "vault"'],
  ['oidc', 'write type = "oauth2"'],
  ['keyring', 'write type = "keychain"'],
  ['vualt', 'write type = "vault"'],
])('type = "%s" is answered with what was meant', async (type, remedy) => {
  const text = `[providers.x]\ntype = "${type}"\n[credentials.c]\nprovider = "x"\n`;
  expect(await faultsOf(text)).toEqual([['providers.x.type', remedy]]);
});

const VAULT = '[providers.v]\ntype = "vault"\naddress = "https://v.example.com"\n';

it('a whole address as path is answered with the path in it', async () => {
  const text = `${VAULT}[credentials.c]\nprovider = "v"\npath = "https://v.example.com/v1/secret/data/claude"\n`;
  const remedy = 'write what stands after /v1/: path = "secret/data/claude"';
  expect(await faultsOf(text)).toEqual([['credentials.c.path', remedy]]);
});

it('a key of the login is sent to where it belongs', async () => {
  const credential = '[credentials.c]\nprovider = "v"\npath = "secret/data/c"\n';
  expect(await faultsOf(`${VAULT}role_id = "x"\n${credential}`)).toEqual([
    ['providers.v.role_id', 'move it: role_id belongs in [providers.v.auth]'],
  ]);
  // A credential of Vault has a key of that name, too.
  expect(await faultsOf(`${VAULT}method = "approle"\n${credential}`)).toEqual([
    ['providers.v.method', 'move it: method belongs in [providers.v.auth]'],
  ]);
  expect(await faultsOf(`${VAULT}auth = { role_id = "x" }\n${credential}`)).toEqual(
    expect.arrayContaining([['providers.v.auth.method', expect.stringContaining('write method = ')]]),
  );
  expect(await faultsOf(`${VAULT}auth = { method = "token", role_id = "x" }\n${credential}`)).toEqual([
    ['providers.v.auth.role_id', 'move it: role_id belongs to logins with method = "approle"'],
  ]);
});

it.each(['provider.v', 'v'])(
  '[%s] is answered once, also where another table of that provider is right',
  async (table) => {
    const login = '[providers.v.auth]\nmethod = "kubernetes"\nrole = "x"\n';
    const credential = '[credentials.c]\nprovider = "v"\npath = "secret/data/c"\n';
    expect(await faultsOf(`${VAULT.replace('providers.v', table)}${login}${credential}`)).toEqual([
      [table, 'write [providers.v]'],
    ]);
  },
);

it('a command that was written as one text is taken apart, unless there may be a secret in it', async () => {
  const text = (command: string) =>
    `[providers.x]\ntype = "exec"\n[credentials.c]\nprovider = "x"\ncommand = "${command}"\n`;
  expect(await faultsOf(text('op read op://a/b/c'))).toEqual([
    ['credentials.c.command', 'write command = ["op", "read", "op://a/b/c"]'],
  ]);
  expect(JSON.stringify(await faultsOf(text('tool --token s3cr3t')))).not.toContain('s3cr3t');
});
