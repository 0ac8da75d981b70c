import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { differences } from '../../../src/config/effective.ts';
import { expandFilePaths } from '../../../src/config/environment.ts';
import { checkConfig, type LoadedConfig } from '../../../src/config/load.ts';
import { filePath } from '../../../src/config/schema.ts';
import { providerTypes } from '../../fakes/provider-schemas.ts';

const CONTRACT = `default = "anthropic"

[providers.vault-prod]
type = "vault"
address = "https://vault.example.com:8200"
namespace = "team-a"
ca_file = "~/certs/corp.pem"
[providers.vault-prod.auth]
method = "approle"
role_id_file = "~/.config/broker/role-id"
secret_id_file = "~/.config/broker/secret-id"

[providers.aws-dev]
type = "aws-secrets-manager"
profile = "dev"
endpoint = "http://127.0.0.1:5000"

[credentials.anthropic]
provider = "vault-prod"
path = "secret/data/claude"
field = "api_key"
expires_field = "expires_at"
max_stale = "7d"

[credentials.gateway]
provider = "aws-dev"
secret_id = "prod/litellm"
fields = { access_key = "id", secret_key = "secret.key" }
ttl = "1h30m"

[daemon]
idle_after = "90s"
log_level = "warn"
`;

async function load(text: string, env: Record<string, string> = {}): Promise<LoadedConfig> {
  const result = await checkConfig(Buffer.from(text), {
    file: '/c/config.toml',
    types: providerTypes,
    env,
    homeDir: '/home/u',
  });
  if (result.faults !== undefined) throw new Error(JSON.stringify(result.faults));
  return result;
}

const shown = async (loaded: LoadedConfig) =>
  Object.fromEntries(
    (await loaded.effective()).map(({ key, value, origin }) => {
      const place = origin.kind === 'file' ? origin.line : origin.kind === 'env' ? origin.variable : 'default';
      return [key, [value, place]];
    }),
  );

it('warns of a credential without allow that has the key of one with it', async () => {
  const twin = (text: string) => `[credentials.${text}\nprovider = "vault-prod"\npath = "secret/data/claude"\n`;
  const guarded = CONTRACT.replace('max_stale', 'allow = ["claude-code"]\nmax_stale');
  const others = `${twin('a]\nfield = "api_key"')}${twin('b]\nfield = "other"')}${twin('c]\nfields = { x = "api_key" }')}`;
  const { warnings } = await load(guarded + others, { AWS_REGION: 'eu-west-1' });
  expect(warnings.map(({ key, message }) => [key, message])).toEqual(
    ['credentials.a', 'credentials.c'].map((key) => [key, expect.stringContaining('[credentials.anthropic]')]),
  );
  expect((await load(CONTRACT + others, { AWS_REGION: 'eu-west-1' })).warnings).toEqual([]);
});

it('takes a check as it is written, loopback without TLS included', async () => {
  const text = `${CONTRACT}
[credentials.anthropic.check]
url = "http://127.0.0.1:8080/v1/models?limit=1"
headers = { anthropic-version = "2023-06-01" }
rejected = { status = 403, field = "error.code", value = "invalid" }
`;
  const loaded = await load(text, { AWS_REGION: 'eu-west-1' });
  expect(loaded.config.credentials.get('anthropic')?.check).toEqual({
    url: 'http://127.0.0.1:8080/v1/models?limit=1',
    headers: { 'anthropic-version': '2023-06-01' },
    rejected: { status: 403, field: 'error.code', value: 'invalid' },
  });
  expect(await shown(loaded)).toMatchObject({
    'credentials.anthropic.check.url': ['http://127.0.0.1:8080/v1/models?limit=1', expect.any(Number)],
  });
});

describe('allow', () => {
  const text = (allow: string) => CONTRACT.replace('max_stale = "7d"', `max_stale = "7d"\nallow = ${allow}`);
  const check = (allow: string, platform: NodeJS.Platform) =>
    checkConfig(Buffer.from(text(allow)), {
      file: '/c/config.toml',
      types: providerTypes,
      env: { AWS_REGION: 'eu-west-1' },
      homeDir: '/home/u',
      platform,
    });

  it('is none unless it is written', async () => {
    const { config } = await load(CONTRACT, { AWS_REGION: 'eu-west-1' });
    expect(config.credentials.get('anthropic')?.allow).toBeUndefined();
  });

  it('takes its words on Linux', async () => {
    const { config, faults } = await check('["claude-code", "claude-code-background"]', 'linux');
    expect(faults).toBeUndefined();
    expect(config?.credentials.get('anthropic')?.allow).toEqual(['claude-code', 'claude-code-background']);
  });

  it('is a fault on macOS, where nothing would keep others out', async () => {
    const { faults } = await check('["claude-code"]', 'darwin');
    expect(faults).toMatchObject([{ key: 'credentials.anthropic.allow', message: 'allow does not work on darwin' }]);
  });

  it.each(['[]', '["claude"]', '"claude-code"', 'true'])('%s is a fault', async (allow) => {
    const { faults } = await check(allow, 'linux');
    expect(faults?.map(({ key }) => key?.replace(/\[.*/, ''))).toEqual(['credentials.anthropic.allow']);
  });
});

it('becomes what the rest of the program reads', async () => {
  const { config } = await load(CONTRACT, { AWS_REGION: 'eu-west-1' });
  expect(config).toEqual({
    file: '/c/config.toml',
    defaultCredential: 'anthropic',
    providers: new Map([
      [
        'vault-prod',
        {
          name: 'vault-prod',
          type: 'vault',
          options: {
            address: 'https://vault.example.com:8200',
            namespace: 'team-a',
            ca_file: '/home/u/certs/corp.pem',
            tls_skip_verify: false,
            auth: {
              method: 'approle',
              mount: 'approle',
              role_id_file: '/home/u/.config/broker/role-id',
              secret_id_file: '/home/u/.config/broker/secret-id',
            },
          },
        },
      ],
      [
        'aws-dev',
        {
          name: 'aws-dev',
          type: 'aws-secrets-manager',
          options: { region: 'eu-west-1', profile: 'dev', endpoint: 'http://127.0.0.1:5000', max_sockets: 5 },
        },
      ],
    ]),
    credentials: new Map([
      [
        'anthropic',
        {
          name: 'anthropic',
          provider: 'vault-prod',
          field: 'api_key',
          fields: undefined,
          header: undefined,
          expiresField: 'expires_at',
          ttlMs: 900_000,
          maxStaleMs: 604_800_000,
          source: { path: 'secret/data/claude' },
        },
      ],
      [
        'gateway',
        {
          name: 'gateway',
          provider: 'aws-dev',
          field: undefined,
          fields: { access_key: 'id', secret_key: 'secret.key' },
          expiresField: undefined,
          header: undefined,
          ttlMs: 5_400_000,
          maxStaleMs: 86_400_000,
          source: { secret_id: 'prod/litellm', version_stage: 'AWSCURRENT' },
        },
      ],
    ]),
    daemon: {
      turnMarginMs: 120_000,
      idleAfterMs: 90_000,
      idleExitMs: 0,
      revokeOnExit: false,
      logLevel: 'warn',
      cache: 'disk',
      keyHome: 'auto',
    },
  });
});

it('keeps where every effective value comes from', async () => {
  expect(await shown(await load(CONTRACT, { AWS_DEFAULT_REGION: 'eu-west-1', AWS_PROFILE: 'other' }))).toMatchObject({
    default: ['anthropic', 1],
    'providers.vault-prod.ca_file': ['/home/u/certs/corp.pem', 7],
    'providers.vault-prod.auth.method': ['approle', 9],
    'providers.vault-prod.auth.mount': ['approle', 'default'],
    'providers.aws-dev.region': ['eu-west-1', 'AWS_DEFAULT_REGION'],
    'providers.aws-dev.profile': ['dev', 15],
    'credentials.anthropic.ttl': ['15m', 'default'],
    'credentials.anthropic.max_stale': ['7d', 23],
    'credentials.gateway.secret_id': ['prod/litellm', 27],
    'credentials.gateway.fields.secret_key': ['secret.key', 28],
    'daemon.turn_margin': ['2m', 'default'],
    'daemon.log_level': ['warn', 33],
  });
});

it('paths from the home folder become absolute wherever they are written, and defaults stay with the schema', () => {
  const file = filePath();
  const inner = z.strictObject({ file, other: file.optional() });
  const schema = z.strictObject({ inner, list: z.array(file), text: z.string(), unset: file.prefault('~/default') });
  const table = { inner: { file: '~/a' }, list: ['~/b', '/c'], text: '~/d' };
  expandFilePaths(table, schema, '/home/u');
  expect(table).toEqual({ inner: { file: '/home/u/a' }, list: ['/home/u/b', '/c'], text: '~/d' });
});

describe('the environment', () => {
  const BARE = '[providers.v]\ntype = "vault"\n[credentials.c]\nprovider = "v"\npath = "p"\n';

  it('fills what the file leaves open, the first variable that is set', async () => {
    const env = { VAULT_ADDR: 'https://v:8200', VAULT_CACERT: '~/ca.pem', VAULT_SKIP_VERIFY: 'T', VAULT_NAMESPACE: '' };
    expect((await load(BARE, env)).config.providers.get('v')?.options).toEqual({
      address: 'https://v:8200',
      ca_file: '/home/u/ca.pem',
      tls_skip_verify: true,
      auth: { method: 'token' },
    });
  });

  it('reaches into tables, masked and without a warning: it is not in the file', async () => {
    const loaded = await load(BARE, { VAULT_ADDR: 'https://v', VAULT_TOKEN: 'hunter2' });
    expect(loaded.config.providers.get('v')?.options).toMatchObject({ auth: { method: 'token', token: 'hunter2' } });
    expect((await shown(loaded))['providers.v.auth.token']).toEqual(['********', 'VAULT_TOKEN']);
    expect(loaded.warnings).toEqual([]);
  });

  it('adds nothing that the table cannot have', async () => {
    const text = BARE.replace('[cred', 'auth = { method = "approle", role_id = "r" }\n[cred');
    const { config } = await load(text, { VAULT_ADDR: 'https://v', VAULT_TOKEN: 'hunter2' });
    expect(config.providers.get('v')?.options).toMatchObject({
      auth: { method: 'approle', mount: 'approle', role_id: 'r' },
    });
  });

  it('of the daemon and of a shell are told apart', async () => {
    const daemon = await (await load(BARE, { VAULT_ADDR: 'https://daemon', VAULT_NAMESPACE: 'a' })).effective();
    const here = await (await load(BARE, { VAULT_ADDR: 'https://shell' })).effective();
    expect(differences(daemon, here).map(({ key, daemon, here }) => [key, daemon?.value, here?.value])).toEqual([
      ['providers.v.address', 'https://daemon', 'https://shell'],
      ['providers.v.namespace', 'a', undefined],
    ]);
    expect(differences(daemon, daemon)).toEqual([]);
  });
});

describe('a secret in the file', () => {
  const INLINE = `[providers.v]
type = "vault"
address = "https://user:hunter2@v"
auth = { method = "token", token = "hunter2" }
[providers.x]
type = "exec"
env = { A = "hunter2" }
[credentials.c]
provider = "v"
path = "hvs.CAESIJhunter2"
`;

  it('is masked by its name, by its schema, by its shape, and as a password in a URL', async () => {
    const loaded = await load(INLINE);
    expect(await shown(loaded)).toMatchObject({
      'providers.v.address': ['https://user:********@v', 3],
      'providers.v.auth.token': ['********', 4],
      'providers.x.env.A': ['********', 7],
      'credentials.c.path': ['********', 10],
    });
    expect(JSON.stringify([await loaded.effective(), loaded.warnings])).not.toContain('hunter2');
    expect(loaded.config.providers.get('v')?.options).toMatchObject({ auth: { token: 'hunter2' } });
  });

  it('is warned of, with the key that keeps it elsewhere', async () => {
    expect((await load(INLINE)).warnings).toMatchObject([
      {
        line: 4,
        key: 'providers.v.auth.token',
        message: 'there is a secret in the configuration file',
        remedy: 'name a 0600 file with token_file instead',
      },
      { line: 7, key: 'providers.x.env.A' },
    ]);
  });

  it('that others can read is warned of as such', async () => {
    const options = { file: '/c/config.toml', types: providerTypes, env: {}, homeDir: '/home/u' };
    const { warnings } = (await checkConfig(Buffer.from(INLINE), options, true)) as LoadedConfig;
    expect(warnings[0]).toMatchObject({
      message: expect.stringContaining('other users can read'),
      remedy: expect.stringContaining('chmod 600'),
    });
  });
});
