import { spawn, spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { helperPath } from '../../src/platform/native.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const HOME = process.env['HOME'] ?? '';
const cgroup = process.env['BROKER_TEST_CGROUP'] ?? '';
// It writes into /etc and /root, which must never be those of the machine itself.
if (cgroup === '') throw new Error('this is for the inside of test/systemd/machine.sh: npm run test:systemd');
const UNITS = '/etc/systemd/user';
const WANTED = path.join(UNITS, 'sockets.target.wants', 'broker.socket');
const program = [process.execPath, path.join(ROOT, 'bin', 'broker.mjs')];
const helper = helperPath() ?? '';

interface Person {
  readonly uid: number;
  readonly home: string;
}

/** As this person, with nothing in the environment but what a login gives. */
function as({ uid, home }: Person, ...command: string[]) {
  const environment = [`HOME=${home}`, `XDG_RUNTIME_DIR=/run/user/${uid}`, 'PATH=/usr/local/bin:/usr/bin:/bin'];
  const become = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--inh-caps=-all'];
  return spawnSync('setpriv', [...become, 'env', '-i', ...environment, ...command], { encoding: 'utf8', cwd: '/' });
}

function asRoot(...args: string[]) {
  const [node = '', ...words] = [...program, ...args];
  return spawnSync(node, words, { encoding: 'utf8', env: { HOME, PATH: '/usr/sbin:/usr/bin:/bin' } });
}

/** Starts this person's own systemd, which starts what is enabled for everybody. */
async function logIn(uid: number): Promise<Person> {
  const person = { uid, home: path.join(HOME, String(uid)) };
  const config = path.join(person.home, '.config', 'broker');
  mkdirSync(config, { recursive: true, mode: 0o700 });
  const text = `default = "key"\n[providers.command]\ntype = "exec"\n[credentials.key]\nprovider = "command"\ncommand = ["echo", "sk-${uid}"]\n`;
  writeFileSync(path.join(config, 'config.toml'), text, { mode: 0o600 });
  for (const each of [person.home, path.dirname(config), config, path.join(config, 'config.toml')])
    chownSync(each, uid, uid);
  const script = path.join(import.meta.dirname, 'log-in.sh');
  const shell = spawn('/bin/bash', [script, String(uid), person.home, cgroup], { stdio: 'ignore' });
  await new Promise((resolve) => shell.once('exit', resolve));
  const socket = `/run/user/${uid}/broker/broker.sock`;
  await expect.poll(() => existsSync(socket), { message: `${socket} never came` }).toBe(true);
  return person;
}

const show = (person: Person, unit: string, property: string): string =>
  as(person, 'systemctl', '--user', 'show', '--value', `--property=${property}`, unit).stdout.trim();

test('installed for everyone by root, each who logs in has a daemon of their own', async () => {
  const installed = asRoot('service', 'install', '--everyone', '--json');
  expect(installed, installed.stderr).toMatchObject({ status: 0, stderr: '' });
  expect(readFileSync(path.join(UNITS, 'broker.service'), 'utf8')).not.toContain(HOME);
  expect(readlinkSync(WANTED)).toBe(path.join(UNITS, 'broker.socket'));
  expect(asRoot('service', 'install', '--everyone')).toMatchObject({ status: 0 });

  const [ann, bob] = [await logIn(54_778), await logIn(54_779)];
  expect(show(ann, 'broker.service', 'ActiveState')).toBe('inactive');
  for (const person of [ann, bob]) {
    const { uid, home } = person;
    expect(as(person, helper)).toMatchObject({ status: 0, stdout: `sk-${uid}\n`, stderr: '' });
    expect(show(person, 'broker.service', 'PrivateUsers')).toBe('yes');
    expect(existsSync(path.join(home, '.local', 'state', 'broker', 'cache.db'))).toBe(true);
    const { stdout } = as(person, ...program, 'status', '--json');
    expect(JSON.parse(stdout).daemon).toMatchObject({
      pid: Number(show(person, 'broker.service', 'MainPID')),
      socket: `/run/user/${uid}/broker/broker.sock`,
      stateDir: path.join(home, '.local', 'state', 'broker'),
    });
  }
  expect(show(ann, 'broker.service', 'MainPID')).not.toBe(show(bob, 'broker.service', 'MainPID'));

  // Nobody gets another's keys.
  const stolen = as(bob, 'env', `BROKER_SOCKET=/run/user/${ann.uid}/broker/broker.sock`, helper);
  expect(stolen).toMatchObject({ status: 77, stdout: '' });

  // What is everybody's is not one user's to remove.
  const uninstalled = as(bob, ...program, 'service', 'uninstall');
  expect(uninstalled).toMatchObject({ status: 0, stderr: '' });
  expect(uninstalled.stdout).toContain('/systemd/user/broker.service stays');
  expect(as(bob, ...program, 'service', 'start')).toMatchObject({ status: 0 });
  expect(as(bob, 'systemctl', '--user', 'mask', '--now', 'broker.socket', 'broker.service')).toMatchObject({
    status: 0,
  });
  expect(as(bob, helper)).toMatchObject({ status: 69, stdout: '' });
  expect(as(bob, ...program, 'service', 'install')).toMatchObject({
    status: 78,
    stderr: expect.stringMatching(/broker\.\w+ is masked/),
  });

  const removed = asRoot('service', 'uninstall', '--everyone');
  expect(removed).toMatchObject({ status: 0, stderr: '' });
  for (const file of ['broker.service', 'broker.socket'].map((name) => path.join(UNITS, name))) {
    expect(removed.stdout).toContain(`removed ${file}\n`);
    expect(existsSync(file)).toBe(false);
  }
  expect(existsSync(WANTED)).toBe(false);
});

test('what others cannot run is not installed for everyone', () => {
  const closed = path.join(HOME, 'closed');
  mkdirSync(closed, { mode: 0o700 });
  const node = path.join(closed, 'node');
  expect(spawnSync('cp', [process.execPath, node]).status).toBe(0);
  const words = [program[1] ?? '', 'service', 'install', '--everyone'];
  const outcome = spawnSync(node, words, { encoding: 'utf8', env: { HOME, PATH: '/usr/bin:/bin' } });
  expect(outcome).toMatchObject({ status: 78, stdout: '' });
  expect(outcome.stderr).toContain(`cannot reach ${node}: ${closed} is closed to them`);
  expect(existsSync(path.join(UNITS, 'broker.service'))).toBe(false);
});

test('for everyone is for root', () => {
  const ann = { uid: 54_778, home: path.join(HOME, '54778') };
  const outcome = as(ann, ...program, 'service', 'install', '--everyone');
  expect(outcome).toMatchObject({ status: 64, stdout: '', stderr: expect.stringContaining('sudo') });
});
