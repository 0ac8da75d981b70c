import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/platform/clock.ts';
import { VERSION } from '../../src/platform/installation.ts';
import { bringUp } from '../../src/service/health.ts';
import { Launchd } from '../../src/service/launchd.ts';
import type { Surroundings } from '../../src/service/manager.ts';
import { type InstallOptions, Service } from '../../src/service/service.ts';
import { readLaunchRecord } from '../../src/service/unmanaged.ts';
import { shellWord } from '../fakes/processes.ts';
import { expectFailure, expectKey, helper, run, runHelper } from '../native/run-helper.ts';

const FAKE = path.resolve(import.meta.dirname, '..', 'fakes', 'launchctl.py');
const LABEL = 'dev.apikey-broker';
const CONFIG = `default = "key"
[providers.command]
type = "exec"
[credentials.key]
provider = "command"
command = ["echo", "sk-agent"]
`;
const OPTIONS: InstallOptions = { execPath: process.execPath, copyRuntime: false, autostart: true, sandbox: undefined };
const hasPython = spawnSync('python3', ['-c', 'import plistlib']).status === 0;
if (!hasPython) console.warn('skipped: there is no python3 here');

let home: string;
/** What a helper runs has nothing of its environment, so the fake's own has to be in a program. */
let program: string;
let env: Record<string, string>;
let surroundings: Surroundings;
let service: Service;

const launchctl = (...args: string[]) => run(program, args, env);
const target = () => `gui/${process.getuid?.()}/${LABEL}`;
const plist = () => path.join(home, 'Library', 'LaunchAgents', `${LABEL}.plist`);
const state = () => path.join(home, '.local', 'state', 'broker');
const configure = (text: string) =>
  writeFileSync(path.join(home, '.config', 'broker', 'config.toml'), text, { mode: 0o600 });
const install = (options: Partial<InstallOptions> = {}) =>
  bringUp(surroundings, service.manager, () => service.install({ ...OPTIONS, ...options }));
const ask = (more: Record<string, string> = {}) => runHelper([], { ...env, ...more });

beforeEach(() => {
  home = mkdtempSync('/tmp/broker-launchd-');
  mkdirSync(path.join(home, '.config', 'broker'), { recursive: true, mode: 0o700 });
  mkdirSync(path.join(home, 'Library', 'Logs'), { recursive: true });
  mkdirSync(path.join(home, 'launchd'));
  configure(CONFIG);
  env = {
    HOME: home,
    PATH: process.env['PATH'] ?? '',
    BROKER_SOCKET: path.join(home, 'run', 'broker.sock'),
  };
  mkdirSync(path.join(home, 'run'), { mode: 0o700 });
  program = path.join(home, 'launchctl');
  const words = `FAKE_LAUNCHD='${path.join(home, 'launchd')}' exec python3 -ISE ${shellWord(FAKE)} "$@"`;
  writeFileSync(program, `#!/bin/sh\n${words}\n`, { mode: 0o755 });
  const uid = process.getuid?.() ?? 0;
  surroundings = { env, homeDir: home, uid, platform: 'darwin', clock: new SystemClock() };
  service = new Service(surroundings, new Launchd(surroundings, program));
});

afterEach(async () => {
  rmSync(path.join(home, 'launchd', 'no-gui'), { force: true });
  await service.stop();
  rmSync(home, { recursive: true, force: true });
});

describe.skipIf(!hasPython || helper === undefined)('the agent under a launchctl that answers as that of macOS', () => {
  test('installed: loaded, running, answering; a second time nothing happens', async () => {
    const { daemon, done } = await install();
    expect(done).toMatchObject({ manager: 'launchd', files: [{ path: plist(), mode: 0o644 }] });
    expect(daemon.version).toBe(VERSION);
    expectKey(await ask(), 'sk-agent');
    expect(await service.state()).toMatchObject({
      installed: true,
      enabled: true,
      running: true,
      pid: daemon.pid,
      source: plist(),
    });
    expect((await install()).daemon.pid).toBe(daemon.pid);
    expect(readLaunchRecord(state())?.service).toEqual({
      manager: 'launchd',
      command: [program, 'kickstart', target()],
    });
    expect(readFileSync(path.join(home, 'Library', 'Logs', `${LABEL}.log`), 'utf8')).toContain('broker is ready');
  });

  test('installed again with something else: the old one is gone before the new one is loaded', async () => {
    const { daemon } = await install();
    env['BROKER_CONFIG'] = path.join(home, '.config', 'broker', 'other.toml');
    writeFileSync(env['BROKER_CONFIG'], CONFIG.replace('sk-agent', 'sk-other'), { mode: 0o600 });
    const again = await install();
    expect(again.daemon.pid).not.toBe(daemon.pid);
    expect(again.daemon.configFile).toBe(env['BROKER_CONFIG']);
    expectKey(await ask(), 'sk-other');
  });

  test('loaded by somebody in between, and disabled once: installed all the same', async () => {
    await launchctl('disable', target());
    expect((await install()).daemon.pid).toBeGreaterThan(0);
    await service.stop();
    await launchctl('bootstrap', target().replace(`/${LABEL}`, ''), plist());
    await bringUp(surroundings, service.manager, () => service.start());
    expectKey(await ask(), 'sk-agent');
  });

  test('stopped on purpose, started, restarted', async () => {
    const { daemon } = await install();
    await service.stop();
    expect(await service.state()).toMatchObject({ installed: true, running: false, stoppedOnPurpose: true });
    expect(await launchctl('print', target())).toMatchObject({ code: 113 });
    expectFailure(await ask(), 69, /stopped with `broker service stop`/);
    await service.stop();
    const started = await bringUp(surroundings, service.manager, () => service.start());
    expectKey(await ask(), 'sk-agent');
    const restarted = await bringUp(surroundings, service.manager, () => service.restart());
    expect(new Set([daemon.pid, started.daemon.pid, restarted.daemon.pid]).size).toBe(3);
  });

  test('ended, it is started by the helper', async () => {
    const { daemon } = await install();
    process.kill(daemon.pid, 'SIGKILL');
    await expect.poll(async () => (await service.state()).running).toBe(false);
    expectKey(await ask(), 'sk-agent');
    expect((await service.state()).running).toBe(true);
  });

  test('a configuration that it refuses is said to be the reason', async () => {
    configure(`${CONFIG}[daemon]\nturn_margim = "2m"\n`);
    surroundings = { ...surroundings, clock: hurried() };
    service = new Service(surroundings, new Launchd(surroundings, program));
    const error = await install().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringMatching(
        /^the service refuses its configuration\nThe newest lines of its log:\n[\s\S]*turn_margim/,
      ),
    });
    // Anything but 0 and launchd starts it again every five seconds.
    expect((await launchctl('print', target())).stdout).toContain('last exit code = 0\n');
    expectFailure(await ask(), 78, /turn_margim/);
    configure(CONFIG);
    expectKey(await ask(), 'sk-agent');
  });

  test('switched off in the Login Items, that is said, and not that its file is bad', async () => {
    await install();
    await service.stop();
    writeFileSync(path.join(home, 'launchd', `${LABEL}.disabled`), 'login items');
    await expect(service.start()).rejects.toMatchObject({
      message: 'the agent is switched off on this Mac',
      remedy: expect.stringContaining('Login Items'),
    });
    expect(await service.state()).toMatchObject({ enabled: false, detail: 'agent is switched off on this Mac' });
  });

  test('a plist that launchd does not take is said, with how to look at it', async () => {
    await install();
    await service.stop();
    chmodSync(plist(), 0o666);
    await expect(service.start()).rejects.toMatchObject({
      message: expect.stringMatching(/^launchctl bootstrap .* failed: Bootstrap failed: 122: Path had bad ownership/),
      remedy: expect.stringContaining('plutil -lint'),
    });
    chmodSync(plist(), 0o644);
  });

  test('without a graphical login it is said, and the helper starts the daemon', async () => {
    writeFileSync(path.join(home, 'launchd', 'no-gui'), '');
    await expect(install()).rejects.toMatchObject({
      message: expect.stringContaining('launch agents need a graphical login'),
      remedy: expect.stringContaining('the helper starts the daemon'),
    });
    expectKey(await ask(), 'sk-agent');
    // Later somebody logs in: the agent takes over.
    rmSync(path.join(home, 'launchd', 'no-gui'));
    const { daemon } = await bringUp(surroundings, service.manager, () => service.start());
    await expect.poll(async () => (await service.state()).pid).toBeDefined();
    await expect.poll(async () => (await ask()).stdout).toBe('sk-agent\n');
    expect(daemon.pid).toBeGreaterThan(0);
  });

  test('uninstalled, nothing but the state is left', async () => {
    await install();
    expect(await service.uninstall()).toEqual([plist(), path.join(state(), 'launch')]);
    expect(existsSync(plist())).toBe(false);
    expect(await launchctl('print', target())).toMatchObject({ code: 113 });
    expect(await service.state()).toMatchObject({ installed: false, running: false });
    expectFailure(await ask(), 69, /nothing answers/);
    expect(await service.uninstall()).toEqual([]);
  });
});

/** Fifteen seconds of waiting for an answer that will not come are over at once. */
function hurried(): SystemClock {
  const clock = new SystemClock();
  const [now, startedAt] = [clock.now.bind(clock), clock.now()];
  clock.now = () => startedAt + (now() - startedAt) * 8;
  return clock;
}
