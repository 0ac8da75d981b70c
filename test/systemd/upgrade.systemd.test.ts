import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { expectKey, type Outcome, run } from '../native/run-helper.ts';
import type { TwoVersions } from './two-versions.ts';

const HOME = process.env['HOME'] ?? '';
const CONFIG = path.join(HOME, '.config', 'broker');
const HELPER = path.join(HOME, '.local', 'state', 'broker', 'bin', 'broker-key');
const named = process.env as NodeJS.ProcessEnv & Partial<TwoVersions>;
const prefix = named.BROKER_TEST_PREFIX ?? '';
const older = named.BROKER_TEST_OLDER ?? '';
const node = path.dirname(process.execPath);
const env = {
  HOME,
  XDG_RUNTIME_DIR: process.env['XDG_RUNTIME_DIR'] ?? '',
  PATH: `${prefix}/bin:${node}:/usr/local/bin:/usr/bin:/bin`,
};

const broker = (...args: string[]): Promise<Outcome> => run(path.join(prefix, 'bin', 'broker'), args, env);
const ask = (name: string): Promise<Outcome> => run(HELPER, [name], env);

const KEYS = { static: 'sk-static', other: 'sk-other', leased: /^\S+$/ };

/** What a provider is asked for that would be a new key, a new lease or a new login. */
const ISSUING = /secret\/data\/|apikeys\/creds\/|auth\/approle\/login/;

let vault: DevVault;

beforeAll(async () => {
  vault = await DevVault.start({ nowMs: () => Date.now() });
  vault.policies.write('claude', ['secret/data/*', 'apikeys/creds/dev', 'sys/leases/*']);
  vault.kv.writeV2('secret/claude', { api_key: KEYS.static, other: KEYS.other });
  vault.engines.role('dev', { ttlMs: 3_600_000, maxTtlMs: 7_200_000 });
  const roleId = vault.logins.appRole('laptop', { policies: ['claude'], ttlMs: 3_600_000 });
  mkdirSync(CONFIG, { recursive: true, mode: 0o700 });
  const files = {
    'role-id': roleId,
    'secret-id': vault.logins.secretId('laptop'),
    'config.toml': `default = "static"
[providers.vault]
type = "vault"
address = "${vault.address}"
[providers.vault.auth]
method = "approle"
role_id_file = "~/.config/broker/role-id"
secret_id_file = "~/.config/broker/secret-id"
[credentials.static]
provider = "vault"
path = "secret/data/claude"
field = "api_key"
[credentials.other]
provider = "vault"
path = "secret/data/claude"
field = "other"
[credentials.leased]
provider = "vault"
path = "apikeys/creds/dev"
field = "api_key"
`,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(CONFIG, name), text, { mode: 0o600 });
});

afterAll(async () => {
  await broker('service', 'uninstall');
  await vault.stop();
  for (const name of ['.config', '.local']) rmSync(path.join(HOME, name), { recursive: true, force: true });
});

test('npm install -g of a newer version with the service running: no failed call, no key fetched again', async () => {
  expect(await broker('--version')).toMatchObject({ stdout: `${older}\n` });
  expect(await broker('service', 'install')).toMatchObject({ code: 0 });
  const before: Record<string, string> = {};
  for (const name of Object.keys(KEYS)) {
    const { stdout } = await ask(name);
    expect(stdout.trim()).toMatch(KEYS[name as keyof typeof KEYS]);
    before[name] = stdout.trim();
  }
  expect(await run(HELPER, ['--version'], env)).toMatchObject({ stdout: `broker-key ${older}\n` });
  const issuedBefore = vault.count(ISSUING);
  expect(issuedBefore).toBeGreaterThan(2);

  let asked = 0;
  let over = false;
  const wrong: Outcome[] = [];
  const helpers = Object.keys(before).map(async (name) => {
    while (!over) {
      asked += 1;
      const outcome = await ask(name);
      if (outcome.stdout !== `${before[name]}\n`) wrong.push(outcome);
    }
  });
  const offline = [`--cache=${named.BROKER_TEST_NPM_CACHE}`, `--registry=${named.BROKER_TEST_REGISTRY}`, '--offline'];
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const upgrade = ['install', '--global', `--prefix=${prefix}`, ...offline, ...quiet, named.BROKER_TEST_UPGRADE ?? ''];
  await promisify(execFile)('npm', upgrade, { env, cwd: HOME });

  const newer = (await broker('--version')).stdout.trim();
  expect(newer).not.toBe(older);
  const between = await broker('status');
  expect(between.stdout).toContain(`broker ${older}, pid`);
  expect(between.stdout).toContain(`the daemon that runs is version ${older}, this is ${newer}`);
  expect(between.stdout).toContain('broker service install');
  expect((await broker('service', 'status')).stderr).toContain(`version ${older}`);

  expect(await broker('service', 'install')).toMatchObject({ code: 0, stderr: '' });
  const after = await broker('status');
  expect(after.stdout).toContain(`broker ${newer}, pid`);
  expect(after.stdout).not.toContain(older);
  const askedBefore = asked;
  await expect.poll(() => asked - askedBefore).toBeGreaterThan(30);
  over = true;
  await Promise.all(helpers);

  expect(wrong).toEqual([]);
  expect(asked).toBeGreaterThan(200);
  expect(vault.count(ISSUING)).toBe(issuedBefore);
  expect(await run(HELPER, ['--version'], env)).toMatchObject({ stdout: `broker-key ${newer}\n` });

  // And nothing of it depends on the Vault that was asked before.
  await vault.stop();
  expect(await broker('service', 'restart')).toMatchObject({ code: 0 });
  for (const [name, key] of Object.entries(before)) expectKey(await ask(name), key);
  await vault.comeUp();
});
