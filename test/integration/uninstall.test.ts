import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { BEGUN_BY_SETUP } from '../../src/setup/new-tables.ts';
import { PROGRAM } from '../fakes/daemon-process.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { until } from '../fakes/processes.ts';
import { KEY, TemporaryHome } from '../fakes/temporary-home.ts';
import { run } from '../native/run-helper.ts';

const CODEX = '# mine\n[tui]\ntheme = "dark"';
const SETTINGS = '{\n  // mine\n  "model": "opus"\n}\n';

let vault: DevVault | undefined;
afterEach(() => vault?.stop());

function broker(user: TemporaryHome, ...args: string[]) {
  return run(process.execPath, [PROGRAM, ...args], {
    ...user.env,
    PATH: '/usr/bin:/bin',
    NO_COLOR: '1',
  });
}

/** Every file below a folder with its content. */
function treeOf(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory());
  return Object.fromEntries(
    files.map(({ parentPath, name }) => {
      const file = path.join(parentPath, name);
      return [path.relative(folder, file), lstatSync(file).isFile() ? readFileSync(file, 'utf8') : ''];
    }),
  );
}

function settingsOf(user: TemporaryHome): string {
  const file = path.join(user.path, '.claude', 'settings.json');
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, SETTINGS);
  return file;
}

async function used(config?: string): Promise<TemporaryHome> {
  const user = new TemporaryHome(config);
  writeFileSync(user.config, `${BEGUN_BY_SETUP}\n${readFileSync(user.config, 'utf8')}`);
  settingsOf(user);
  mkdirSync(path.join(user.path, '.codex'));
  writeFileSync(path.join(user.path, '.codex', 'config.toml'), CODEX);
  const commands = [
    ['claude', 'install', '--deny-rules'],
    ['claude', 'install', '--for', 'otel'],
    ['codex', 'install'],
    ['claude', 'install', '--settings', path.join(user.path, 'ci', 'claude.json')],
    ['service', 'install'],
    ['rotate-key'],
    ['get'],
  ];
  for (const words of commands) expect(await broker(user, ...words)).toMatchObject({ code: 0 });
  return user;
}

describe('broker uninstall', () => {
  test('takes away what every command wrote, and leaves nothing but what it names', async () => {
    await using user = await used();
    writeFileSync(path.join(user.path, '.config', 'broker', 'role-id'), 'mine');
    writeFileSync(path.join(user.state, 'notes'), 'mine too');
    const pid = user.daemonPid;
    const { code, stdout } = await broker(user, 'uninstall', '--yes', '--json');
    expect(code).toBe(0);
    const { written, removed, left, stays } = JSON.parse(stdout);
    expect(written.map(({ kind }: { kind: string }) => kind)).toEqual([
      'daemon',
      'service',
      'settings',
      'settings',
      'settings',
      'runtime',
      'state',
      'configuration',
    ]);
    expect([stays, left]).toEqual([
      [],
      [
        { where: user.state, why: 'not ours: notes' },
        { where: path.dirname(user.config), why: 'not ours: role-id' },
      ],
    ]);
    expect(removed).toContain(`the daemon, pid ${pid}`);
    expect(user.daemonPid).toBeUndefined();
    expect(treeOf(user.path)).toEqual({
      '.claude/settings.json': SETTINGS,
      '.codex/config.toml': CODEX,
      '.config/broker/role-id': 'mine',
      '.local/state/broker/notes': 'mine too',
    });
    expect(existsSync(path.join(user.runtime, 'broker'))).toBe(false);
    expect(await broker(user, 'uninstall', '--yes')).toMatchObject({ code: 0 });
  });

  test('lists it first, and changes nothing with --dry-run or where nobody can be asked', async () => {
    await using user = await used();
    await user.stopDaemon();
    const before = treeOf(user.path);
    const dry = await broker(user, 'uninstall', '--dry-run');
    expect(dry).toMatchObject({ code: 0, stderr: '' });
    for (const file of [user.config, user.state, path.join(user.path, '.claude', 'settings.json')]) {
      expect(dry.stdout).toContain(`\n  ${file} `);
    }
    expect(dry.stdout).toMatch(/^This would be removed:\n/);
    const asked = await broker(user, 'uninstall');
    expect(asked).toMatchObject({ code: 64, stderr: expect.stringContaining('add --yes') });
    expect(asked.stdout).toMatch(/^This is going to be removed, in this order:\n/);
    expect(treeOf(user.path)).toEqual(before);
  });

  test('keeps the state with --keep-state', async () => {
    await using user = await used();
    expect(await broker(user, 'uninstall', '--yes', '--keep-state')).toMatchObject({ code: 0 });
    const kept = readdirSync(user.state);
    expect(kept).toEqual(expect.arrayContaining(['cache.db', 'kek']));
    expect(kept).not.toContain('launch');
    expect(existsSync(user.config)).toBe(false);
  });

  test('touches nothing while a settings file is broken, and says which', async () => {
    await using user = await used();
    const file = path.join(user.path, '.claude', 'settings.json');
    writeFileSync(file, '{ "apiKeyHelper": ');
    const pid = user.daemonPid;
    const refused = await broker(user, 'uninstall', '--yes');
    expect(refused.code).toBe(78);
    expect(refused.stderr).toContain(file);
    expect([user.daemonPid, existsSync(user.config)]).toEqual([pid, true]);
  });

  test('leaves what something else put there: a link as configuration, another helper', async () => {
    await using user = new TemporaryHome();
    const file = settingsOf(user);
    writeFileSync(file, '{ "apiKeyHelper": "/opt/other" }');
    const real = path.join(user.path, 'dotfiles.toml');
    writeFileSync(real, readFileSync(user.config), { mode: 0o600 });
    await run('/bin/rm', [user.config], user.env);
    symlinkSync(real, user.config);
    const { stdout } = await broker(user, 'uninstall', '--yes', '--json');
    expect(JSON.parse(stdout).stays).toEqual([{ where: user.config, why: 'a link: something else put it there' }]);
    expect(readFileSync(user.config, 'utf8')).toContain(KEY);
    expect(readFileSync(file, 'utf8')).toBe('{ "apiKeyHelper": "/opt/other" }');
  });

  test('leaves a configuration that somebody wrote by hand', async () => {
    await using user = new TemporaryHome();
    const { stdout } = await broker(user, 'uninstall', '--yes', '--json');
    expect(JSON.parse(stdout).stays).toEqual([
      {
        where: user.config,
        why: `it lacks the first line of broker setup, and so is yours; to delete it: rm ${user.config}`,
      },
    ]);
    expect(readFileSync(user.config, 'utf8')).toContain(KEY);
  });

  test('works with the configuration torn and the database damaged', async () => {
    await using user = await used();
    await user.stopDaemon();
    writeFileSync(user.config, `${BEGUN_BY_SETUP}\ndefault = "key\n[prov`, { mode: 0o600 });
    writeFileSync(path.join(user.state, 'cache.db'), 'SQLite format 3\0 not any more');
    chmodSync(path.join(user.state, 'cache.db'), 0o600);
    expect(await broker(user, 'uninstall', '--yes')).toMatchObject({ code: 0 });
    expect(treeOf(user.path)).toEqual({ '.claude/settings.json': SETTINGS, '.codex/config.toml': CODEX });
    // Nor folders with nothing in them.
    expect(readdirSync(user.path, { recursive: true }).toSorted()).toEqual([
      '.claude',
      '.claude/settings.json',
      '.codex',
      '.codex/config.toml',
      'run',
    ]);
  });

  test('revokes open leases while the daemon runs, and says so where none does', async () => {
    vault = await DevVault.start({ nowMs: () => Date.now(), secretPrefix: 'canary-' });
    vault.engines.role('dev', { ttlMs: 900_000, maxTtlMs: 3_600_000 });
    const config = `default = "key"
[providers.vault]
type = "vault"
address = "${vault.address}"
[providers.vault.auth]
method = "token"
token_file = "~/token"
[credentials.key]
provider = "vault"
path = "apikeys/creds/dev"
field = "api_key"
`;
    await using user = new TemporaryHome(config);
    writeFileSync(path.join(user.path, 'token'), vault.rootToken, { mode: 0o600 });
    expect(await broker(user, 'service', 'install')).toMatchObject({ code: 0 });
    expect(await broker(user, 'get')).toMatchObject({ code: 0 });
    expect(vault.leases.live()).toHaveLength(1);
    await user.stopDaemon();
    expect((await broker(user, 'uninstall', '--dry-run')).stdout).toContain('no daemon answers that could revoke them');
    await broker(user, 'service', 'start');
    await until(() => user.daemonPid !== undefined);
    const { code, stdout } = await broker(user, 'uninstall', '--yes');
    expect([code, stdout]).toEqual([0, expect.stringContaining('  the lease of key ')]);
    expect(vault.leases.live()).toEqual([]);
  });
});
