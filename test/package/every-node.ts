import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { personConfig } from '../fakes/laptop.ts';
import { expectFailure, expectKey, type Outcome, run } from '../native/run-helper.ts';

/** The lowest of each line that `engines` promises and the newest of each; the last is the newest line. */
const PROMISED = ['22.14.0', '22', '24.0.0', '24', 'latest'];
/** Without Node-API 10: better-sqlite3 would crash them. */
const REFUSED = ['22.12.0', '22.13.1', '23.5.0'];
const KEY = `sk-ant-api03-${'packed'.repeat(8)}`;
const PASSWORD = 'correct horse';

/** What was installed, known only once it is. */
export interface Installed {
  /** Where there is room. */
  readonly folder: string;
  /** bin/broker.mjs. */
  readonly program: string;
}

/** What was installed works in every Node that is promised, and says so in the others. */
export function describeEveryNode(installed: () => Installed): void {
  describe.each(PROMISED)('in Node %s', (wanted) => {
    let vault: DevVault;
    let node: string;
    let home: string;
    let env: Record<string, string>;

    beforeAll(async () => {
      vault = await DevVault.start({ nowMs: () => Date.now() });
      vault.policies.write('claude', ['secret/data/claude']);
      vault.kv.writeV2('secret/claude', { api_key: KEY });
      vault.logins.user('userpass', 'ada', PASSWORD, { policies: ['claude'], ttlMs: 3_600_000 });
      node = nodeOf(wanted, installed().folder);
      home = mkdtempSync(path.join(installed().folder, 'node-home-'));
      mkdirSync(path.join(home, 'run'), { mode: 0o700 });
      mkdirSync(path.join(home, '.config', 'broker'), { recursive: true, mode: 0o700 });
      const config = personConfig(vault.address, 'method = "userpass"\nusername = "ada"');
      writeFileSync(path.join(home, '.config', 'broker', 'config.toml'), config, { mode: 0o600 });
      env = {
        HOME: home,
        XDG_RUNTIME_DIR: path.join(home, 'run'),
        BROKER_SOCKET: path.join(home, 'run', 'broker', 'broker.sock'),
        PATH: '/usr/bin:/bin',
        NO_COLOR: '1',
      };
    });

    afterAll(() => vault.stop());

    const broker = (...args: string[]): Promise<Outcome> => run(node, [installed().program, ...args], env);

    test('demo', async () => {
      const outcome = await broker('demo');
      expect(outcome, outcome.stderr).toMatchObject({ code: 0, stderr: '' });
      expect(outcome.stdout).toMatch(/anthropic \(default\) +fresh/);
    });

    test('setup --help', async () => {
      expect(await broker('setup', '--help')).toMatchObject({ code: 0, stderr: '' });
    });

    test('the helper starts the daemon in the Node that was written down; login, key, doctor', async () => {
      const outcome = await broker('service', 'install', '--json');
      expect(outcome, outcome.stderr).toMatchObject({ code: 0 });
      const { helper, command } = JSON.parse(outcome.stdout);
      expect(command).toContain(node);
      expectFailure(await run(helper, [], env), 77, /broker login corp/);
      const login = `echo '${PASSWORD}' | '${node}' '${installed().program}' login corp --password-stdin`;
      expect(await run('/bin/sh', ['-c', login], env)).toMatchObject({ code: 0, stderr: '' });
      expectKey(await run(helper, [], env), KEY);
      const status = JSON.parse((await broker('status', '--json')).stdout);
      expect(`v${status.daemon.node}`).toBe(execFileSync(node, ['--version'], { encoding: 'utf8' }).trim());
      expect(await broker('claude', 'install')).toMatchObject({ code: 0 });
      const doctor = await broker('doctor');
      expect(doctor, doctor.stdout).toMatchObject({ code: 0, stderr: '' });
      expect(await broker('service', 'uninstall')).toMatchObject({ code: 0 });
    });
  });

  test.each(REFUSED)('Node %s: one line, exit 78', async (version) => {
    const outcome = await run(nodeOf(version, installed().folder), [installed().program, 'demo'], {});
    expect(outcome).toMatchObject({ code: 78, signal: null, stdout: '' });
    expect(outcome.stderr).toMatch(/^error: broker needs Node 22\.14 or newer \(of 23: 23\.6\), this is [^\n]+\n$/);
  });
}

/** The Node that npm has for this machine, unpacked. */
function nodeOf(wanted: string, folder: string): string {
  // As the package `node` finds it.
  const prefix = process.platform === 'darwin' && process.arch === 'arm64' ? 'node-bin' : 'node';
  const place = path.join(folder, `node-${wanted}`);
  mkdirSync(place);
  const from = `${prefix}-${process.platform}-${process.arch}@${wanted}`;
  const said = execFileSync('npm', ['pack', '--json', '--pack-destination', place, from], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  execFileSync('tar', ['-xzf', path.join(place, JSON.parse(said)[0].filename), '-C', place]);
  return path.join(place, 'package', 'bin', 'node');
}
