import { expect, test } from 'vitest';
import { checkConfig } from '../../../src/config/load.ts';
import { providerDefinitions } from '../../../src/providers/registry.ts';

async function faultsOf(provider: string, credential = ''): Promise<readonly string[]> {
  const toml = `[providers.corp]\ntype = "oauth2"\n${provider}\n[credentials.gateway]\nprovider = "corp"\n${credential}\n`;
  const options = { file: '/c', types: providerDefinitions, env: {}, homeDir: '/home/ada' };
  const { faults = [] } = await checkConfig(Buffer.from(toml), options);
  return faults.map(({ message, remedy }) => `${message}; ${remedy}`);
}

const MACHINE = 'issuer = "https://login.example.com"\nclient_id = "broker"';

test.each([
  ['a secret in a file', `${MACHINE}\nclient_secret_file = "~/secret"`],
  ['a secret in a variable', `${MACHINE}\nclient_secret = { env = "SECRET" }`],
  ['a secret that a command prints', `${MACHINE}\nclient_secret = { command = ["pass", "corp"] }`],
  ['a key', `${MACHINE}\nprivate_key_file = "~/key.pem"`],
  ['a client certificate', `${MACHINE}\nclient_cert_file = "~/cert.pem"\nclient_key_file = "~/key.pem"`],
  ['a JWT of another system', `${MACHINE}\nclient_assertion = { file = "/run/token" }`],
  ['a person', `${MACHINE}\ngrant = "device_code"`],
  [
    'an exchange without a client',
    'token_endpoint = "https://x.example/token"\ngrant = "token_exchange"\nassertion = { file = "/run/token" }',
  ],
  [
    'this machine in the clear',
    'token_endpoint = "http://127.0.0.1:8080/token"\nclient_id = "b"\nclient_secret_file = "~/s"',
  ],
])('%s is a configuration', async (_, provider) => {
  expect(await faultsOf(provider)).toEqual([]);
});

test.each([
  ['nowhere to ask', 'client_id = "b"\nclient_secret_file = "~/s"', /nothing says where tokens are asked for/],
  ['nothing to show', MACHINE, /grant client_credentials has no credentials; add client_secret_file/],
  ['no name', 'issuer = "https://login.example.com"\ngrant = "device_code"', /client_id is missing/],
  [
    'no place to begin',
    'token_endpoint = "https://x.example/t"\nclient_id = "b"\ngrant = "device_code"',
    /needs a place to begin/,
  ],
  [
    'nothing to hand in',
    `${MACHINE}\nclient_secret_file = "~/s"\ngrant = "jwt_bearer"`,
    /has nothing to hand in; add assertion/,
  ],
  [
    'something to hand in that is not',
    `${MACHINE}\nclient_secret_file = "~/s"\nassertion = { file = "/t" }`,
    /hands in no assertion/,
  ],
  [
    'two ways to show oneself',
    `${MACHINE}\nclient_secret_file = "~/s"\nprivate_key_file = "~/k"`,
    /each a way to show who the broker is/,
  ],
  [
    'a secret twice',
    `${MACHINE}\nclient_secret_file = "~/s"\nclient_secret = { env = "S" }`,
    /client_secret and client_secret_file exclude each other/,
  ],
  [
    'a secret from two places',
    `${MACHINE}\nclient_secret = { env = "S", file = "/s" }`,
    /file and env exclude each other/,
  ],
  [
    'a method without its means',
    `${MACHINE}\nclient_secret_file = "~/s"\nclient_auth = "private_key_jwt"`,
    /client_auth private_key_jwt needs private_key_file/,
  ],
  [
    'the network in the clear',
    'issuer = "http://login.example.com"\nclient_id = "b"\nclient_secret_file = "~/s"',
    /secrets would go over the network in the clear/,
  ],
  [
    'a password in the address',
    'issuer = "https://a:canary@login.example.com"\nclient_id = "b"\nclient_secret_file = "~/s"',
    /user name or a password in the address/,
  ],
  [
    'a parameter with a key of its own',
    `${MACHINE}\nclient_secret_file = "~/s"\nparams = { scope = "x" }`,
    /scope cannot be set here; use the key of its own/,
  ],
])('%s is a fault', async (_, provider, said) => {
  const faults = await faultsOf(provider);
  expect(faults).toEqual([expect.stringMatching(said)]);
  expect(faults.join()).not.toContain('canary');
});

test('scope of a credential is told where it belongs', async () => {
  const [fault] = await faultsOf(`${MACHINE}\nclient_secret_file = "~/s"`, 'scope = "openid"');
  expect(fault).toMatch(/scope/);
});

test('the secret itself in the file is masked and warned of', async () => {
  const toml = `[providers.corp]\ntype = "oauth2"\n${MACHINE}\nclient_secret = "canary"\n[credentials.gateway]\nprovider = "corp"\n`;
  const options = { file: '/c', types: providerDefinitions, env: {}, homeDir: '/home/ada' };
  const loaded = await checkConfig(Buffer.from(toml), options);
  if (loaded.faults !== undefined) expect.fail(JSON.stringify(loaded.faults));
  expect(JSON.stringify(await loaded.effective())).not.toContain('canary');
  expect(JSON.stringify(loaded.warnings)).toContain('client_secret_file');
});
