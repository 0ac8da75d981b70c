import { afterEach, beforeEach, expect, it } from 'vitest';
import { BrokerHome } from '../fakes/daemon-process.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';

let vault: DevVault;
let home: BrokerHome;

beforeEach(async () => {
  vault = await DevVault.start({ nowMs: () => Date.now() });
  vault.kv.writeV2('secret/claude', { api_key: 'sk-"quoted"\\key', tenant: 'acme' });
  vault.kv.writeV2('secret/proxy', { user: 'ada', password: 'open:sesame' });
  vault.engines.awsRole('claude', 3_600_000);
  home = new BrokerHome(`
[providers.vault]
type = "vault"
address = "${vault.address}"
[providers.vault.auth]
method = "token"
token = "${vault.rootToken}"
[credentials.plain]
provider = "vault"
path = "secret/data/claude"
field = "api_key"
[credentials.otel]
provider = "vault"
path = "secret/data/claude"
field = "api_key"
header = "Authorization"
header_prefix = "Bearer "
[credentials.several]
provider = "vault"
path = "secret/data/claude"
fields = { x-api-key = "api_key", x-tenant = "tenant" }
[credentials.proxy]
provider = "vault"
path = "secret/data/proxy"
fields = { username = "user", password = "password" }
[credentials.bedrock]
provider = "vault"
path = "aws/sts/claude"
fields = { access_key = "access_key", secret_key = "secret_key", session_token = "security_token" }
`);
  await home.start();
});

afterEach(async () => {
  await home.close();
  await vault.stop();
});

async function printed(args: string): Promise<unknown> {
  const { code, stdout, stderr } = await home.key(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^[ -~]+\n$/);
  return JSON.parse(stdout);
}

it.each([
  ['plain', { key: 'sk-"quoted"\\key', credential: 'plain', state: 'fresh' }],
  ['several', { fields: { 'x-api-key': 'sk-"quoted"\\key', 'x-tenant': 'acme' } }],
])('json was refused by the helper for its line end: %s', async (name, expected) => {
  const fromHelper = await home.key(`--format json ${name}`);
  expect(fromHelper).toMatchObject({ code: 0, stderr: '' });
  expect(fromHelper.stdout.match(/\n/g)).toEqual(['\n']);
  expect(JSON.parse(fromHelper.stdout)).toMatchObject(expected);
  expect(JSON.parse((await home.broker('get', '--format', 'json', name)).stdout)).toMatchObject(expected);
});

it('headers: x-api-key unless the credential names another, with its prefix', async () => {
  const key = 'sk-"quoted"\\key';
  expect(await printed('--format headers plain')).toEqual({ 'x-api-key': key });
  expect(await printed('--format headers otel')).toEqual({ Authorization: `Bearer ${key}` });
  expect((await home.key('otel')).stdout).toBe(`${key}\n`);
  expect(vault.count(/secret\/data\/claude/)).toBeLessThanOrEqual(2);
});

it('headers: several values are several headers', async () => {
  expect(await printed('--format headers several')).toEqual({ 'x-api-key': 'sk-"quoted"\\key', 'x-tenant': 'acme' });
});

it('aws: what assume-role prints, with the end of the lease', async () => {
  const { Credentials } = (await printed('--format aws bedrock')) as { Credentials: Record<string, string> };
  expect(Credentials).toEqual({
    AccessKeyId: expect.stringMatching(/^ASIA/) as string,
    SecretAccessKey: expect.stringMatching(/^\S{40}$/) as string,
    SessionToken: expect.stringMatching(/^\S{360}$/) as string,
    Expiration: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
  });
  const left = Date.parse(Credentials['Expiration'] ?? '') - Date.now();
  expect(left).toBeGreaterThan(3_500_000);
  expect(left).toBeLessThanOrEqual(3_600_000);
  expect(await printed('--format aws bedrock')).toMatchObject({
    Credentials: { AccessKeyId: Credentials['AccessKeyId'] },
  });
  expect(vault.count(/aws\/sts\/claude/)).toBe(1);
});

it('aws: says what is missing', async () => {
  const run = await home.key('--format aws plain');
  expect(run).toMatchObject({ code: 64, stdout: '' });
  expect(run.stderr).toMatch(/"plain" has no AccessKeyId.*fields = /);
});

it('proxy: Bearer for one value unless the credential names another scheme, Basic for user and password', async () => {
  const key = 'sk-"quoted"\\key';
  expect(await home.key('--format proxy plain')).toEqual({ code: 0, stdout: `Bearer ${key}\n`, stderr: '' });
  expect((await home.key('--format proxy otel')).stdout).toBe(`Bearer ${key}\n`);
  const basic = Buffer.from('ada:open:sesame').toString('base64');
  expect((await home.key('--format proxy proxy')).stdout).toBe(`Basic ${basic}\n`);
  expect((await home.broker('get', '--format', 'proxy', 'proxy')).stdout).toBe(`Basic ${basic}\n`);
  const run = await home.key('--format proxy several');
  expect(run).toMatchObject({ code: 64, stdout: '' });
  expect(run.stderr).toMatch(/"several" has no username.*fields = \{ username/);
});

it('the CLI prints the same', async () => {
  const { stdout } = await home.broker('get', '--format', 'headers', 'otel');
  expect(JSON.parse(stdout)).toEqual({ Authorization: 'Bearer sk-"quoted"\\key' });
});
