import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findSystemd, renderUnits, type Units, type UnitValues } from '../../../src/service/systemd.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

/** There everywhere, and not where this clone lies, which may be under /tmp. */
const RUNTIME = '/bin/sh';

const VALUES: UnitValues = {
  command: [RUNTIME, '--disable-sigusr1', '/opt/broker/bin/broker.mjs', 'daemon'],
  stateDir: '/home/u/.local/state/broker',
  socket: undefined,
  env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
  canNotify: true,
  namespaces: true,
};
const ODD = {
  ...VALUES,
  command: [RUNTIME, '/odd %h/$HOME "quoted" \\ path;x/broker.mjs', 'daemon'],
  stateDir: '/home/a b/100%',
  socket: '/home/a b/100%/s.sock',
  env: { BROKER_CONFIG: '/home/a "b"/c.toml' },
};

const hasAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0;
if (!hasAnalyze) console.warn('skipped: there is no systemd-analyze here');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'broker-units-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(units: Units): string[] {
  return Object.entries(units).map(([name, content]) => {
    writeFileSync(path.join(folder, name), content);
    return path.join(folder, name);
  });
}

function analyze(...args: string[]) {
  return spawnSync('systemd-analyze', args, {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], XDG_RUNTIME_DIR: folder, HOME: folder },
  });
}

describe.skipIf(!hasAnalyze)('systemd', () => {
  test.each([
    ['as usual', VALUES],
    ['without the addon', { ...VALUES, canNotify: false }],
    ['without user namespaces', { ...VALUES, namespaces: false }],
    ['for every user', { ...VALUES, stateDir: undefined }],
    ['with odd paths', ODD],
  ])('has no complaint about units %s', (_, values) => {
    const { status, stderr } = analyze('--user', 'verify', '--recursive-errors=no', ...write(renderUnits(values)));
    // That it could not stat the program of the odd paths would be a complaint about its first word only.
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  test('would complain about an unknown key', () => {
    const units = renderUnits(VALUES);
    const broken = { ...units, 'broker.service': units['broker.service'].replace('KillMode=', 'KilMode=') };
    expect(analyze('--user', 'verify', '--recursive-errors=no', ...write(broken)).stderr).toContain('KilMode');
  });

  test('scores them at 2.0 or less', () => {
    const [service = ''] = write(renderUnits(VALUES));
    const { status, stdout } = analyze('security', '--offline=yes', '--threshold=20', '--no-pager', service);
    expect(status, stdout).toBe(0);
  });
});

test('what is left out says so, and takes nothing else with it', () => {
  const { 'broker.service': basic } = renderUnits({ ...VALUES, namespaces: false });
  expect(basic).not.toMatch(/^PrivateUsers|^CapabilityBoundingSet|^ProtectSystem/m);
  expect(basic).toMatch(/Left out is what needs unprivileged user namespaces/);
  expect(basic).toMatch(/^NoNewPrivileges=yes/m);
  expect(basic).not.toMatch(/^#@/m);
});

test('without the addon there are no signs of readiness to wait for', () => {
  const { 'broker.service': service } = renderUnits({ ...VALUES, canNotify: false });
  expect(service).toMatch(/^Type=exec$/m);
  expect(service).not.toMatch(/^WatchdogSec=/m);
  expect(renderUnits(VALUES)['broker.service']).toMatch(/^Type=notify\n[\s\S]*^WatchdogSec=60s$/m);
});

test('what must hold for keys in memory and for the socket', () => {
  const { 'broker.service': service, 'broker.socket': socket } = renderUnits(VALUES);
  for (const line of [
    'MemorySwapMax=0',
    'LimitCORE=0',
    'UMask=0077',
    'Environment=BROKER_STATE_DIR=/home/u/.local/state/broker',
  ]) {
    expect(service.split('\n')).toContain(line);
  }
  expect(service).toContain(`ExecStart=${RUNTIME} --disable-sigusr1 /opt/broker/bin/broker.mjs daemon --journal\n`);
  expect(service).not.toMatch(/^(?:Runtime|State)Directory=/m);
  expect(socket.split('\n')).toEqual(
    expect.arrayContaining(['ListenStream=%t/broker/broker.sock', 'DirectoryMode=0700', 'SocketMode=0600']),
  );
  expect(service + socket).not.toMatch(/@[A-Z]+@/);
});

test('odd paths reach the daemon as they are', () => {
  const { 'broker.service': service, 'broker.socket': socket } = renderUnits(ODD);
  expect(service).toContain('"/odd %%h/$$HOME \\"quoted\\" \\\\ path;x/broker.mjs" daemon --journal\n');
  expect(service).toContain(
    'Environment="BROKER_STATE_DIR=/home/a b/100%%"\nEnvironment="BROKER_CONFIG=/home/a \\"b\\"/c.toml"\n',
  );
  expect(service).toContain('ReadWritePaths=-%h -%t/broker "-/home/a b/100%%"\n');
  expect(socket).toContain('ListenStream=/home/a b/100%%/s.sock\n');
});

test.each([
  ['a runtime', { command: ['/tmp/node/bin/node', '/opt/broker/bin/broker.mjs', 'daemon'] }],
  ['a state folder', { stateDir: '/var/tmp/home/.local/state/broker' }],
])('has no /tmp of its own where %s lies there, which would not be found', (_what, odd) => {
  expect(renderUnits(VALUES)['broker.service']).toMatch(/^PrivateTmp=yes$/m);
  expect(renderUnits({ ...VALUES, ...odd })['broker.service']).not.toMatch(/^PrivateTmp=/m);
});

test('where XDG_RUNTIME_DIR cannot be looked into there is no systemd of this user', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'broker-runtime-'));
  const circle = path.join(folder, 'circle');
  symlinkSync(circle, circle);
  try {
    const clock = new FakeClock(0);
    const env = { XDG_RUNTIME_DIR: circle };
    expect(findSystemd({ env, uid: 1000, homeDir: folder, platform: 'linux', clock })).toBeUndefined();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
