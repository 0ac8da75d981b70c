import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { enrolLaptop } from '../fakes/laptop.ts';
import { type Outcome, run } from '../native/run-helper.ts';
import {
  broker,
  CONFIG,
  dropIn,
  emptyHome,
  enabledUnits,
  env,
  HOME,
  property,
  ROOT,
  SOCKET,
  UNITS,
} from './session.ts';

const KEY = 'sk-ant-api03-canary-0123456789';
const SETTINGS = path.join(HOME, '.claude', 'settings.json');

let vault: DevVault;

beforeAll(async () => {
  vault = await DevVault.start({ nowMs: () => Date.now() });
  vault.policies.write('claude', ['secret/data/claude']);
  vault.kv.writeV2('secret/claude', { api_key: KEY });
  enrolLaptop(vault, HOME);
  dropIn('');
});

afterAll(async () => {
  await broker('service', 'uninstall');
  await vault.stop();
  emptyHome();
});

/** As Claude Code runs it. */
function helper(): Promise<Outcome> {
  const { apiKeyHelper } = JSON.parse(readFileSync(SETTINGS, 'utf8')) as { apiKeyHelper: string };
  return run('/bin/sh', ['-c', apiKeyHelper], env);
}

const doctor = (more: Record<string, string> = {}): Promise<Outcome> =>
  run(process.execPath, [path.join(ROOT, 'bin', 'broker.mjs'), 'doctor', '--json'], { ...env, ...more });

const findings = ({ stdout }: Outcome): string[] =>
  (JSON.parse(stdout) as { findings: { id: string; severity: string }[] }).findings
    .filter(({ severity }) => severity !== 'info')
    .map(({ id }) => id);

test('setup with flags alone installs the service, and the helper works', async () => {
  const login = ['--auth', 'approle', '--role-id-file', '~/role-id', '--secret-id-file', '~/secret-id'];
  const where = ['--provider', 'vault', '--address', vault.address, '--path', 'secret/data/claude'];
  const outcome = await broker('setup', ...where, ...login, '--json');
  expect(outcome, outcome.stderr).toMatchObject({ code: 0 });
  expect(outcome.stderr).toMatch(/daemon: installed as a systemd service; running, pid \d+/);
  expect(JSON.parse(outcome.stdout)).toMatchObject({ ok: true, service: 'systemd', settings: SETTINGS, findings: [] });
  expect(property('ActiveState')).toBe('active');
  expect(enabledUnits()).toContain('broker.socket');
  expect(await helper()).toMatchObject({ code: 0, stdout: `${KEY}\n`, stderr: '' });
});

test('the daemon that systemd started reads Vault with the configuration alone, also after kill -9', async () => {
  process.kill(Number(property('MainPID')), 'SIGKILL');
  expect(await broker('refresh')).toMatchObject({ code: 0 });
  expect(await helper()).toMatchObject({ code: 0, stdout: `${KEY}\n` });
});

test('doctor ends with 0; with 1 for what is to be looked at; with 2 for what will fail', async () => {
  const fine = await doctor();
  expect([fine.code, findings(fine)]).toEqual([0, []]);
  writeFileSync(path.join(HOME, '.bashrc'), `export ANTHROPIC_API_KEY=${KEY}\n`, { mode: 0o600 });
  const later = await doctor();
  expect([later.code, findings(later)]).toEqual([1, ['profile-overrides-helper']]);
  const now = await doctor({ ANTHROPIC_API_KEY: KEY });
  expect([now.code, findings(now)]).toEqual([2, ['variable-overrides-helper', 'profile-holds-key']]);
  for (const { stdout } of [later, now]) expect(stdout).not.toContain('canary');
});

test('uninstalled, nothing is left but the configuration and what the daemon stored', async () => {
  expect(await broker('claude', 'uninstall')).toMatchObject({ code: 0, stderr: '' });
  expect(await broker('service', 'uninstall')).toMatchObject({ code: 0, stderr: '' });
  expect(existsSync(path.dirname(SETTINGS))).toBe(false);
  // The folder of the drop-in is this test's own.
  expect(readdirSync(UNITS).filter((name) => name !== 'broker.service.d' && !name.endsWith('.wants'))).toEqual([]);
  expect(enabledUnits()).toEqual([]);
  expect(existsSync(SOCKET)).toBe(false);
  expect(property('LoadState')).toBe('not-found');
  expect(existsSync(CONFIG)).toBe(true);
});
