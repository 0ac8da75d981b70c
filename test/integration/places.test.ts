import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PlaceReport } from '../../src/protocol/reports.ts';
import { BrokerHome, type RunningDaemon } from '../fakes/daemon-process.ts';
import { until } from '../fakes/processes.ts';

/** Each run of the command is a line in `runs`: what was not kept has to be fetched again. */
const config = (folder: string) => `
default = "a"
[providers.x]
type = "exec"
[credentials.a]
provider = "x"
command = ["/bin/sh", "-c", "echo ran >> ${folder}/runs; echo sk-places-0123456789"]
`;
const KEY = { code: 0, stdout: 'sk-places-0123456789\n', stderr: '' };

let home: BrokerHome;
let daemon: RunningDaemon;

beforeEach(async () => {
  home = new BrokerHome('');
  home.configure(config(home.folder));
  daemon = await home.start();
  expect(await home.key()).toEqual(KEY);
});

afterEach(() => home.close());

const state = (name: string) => join(home.stateDir, name);
const runs = () => readFileSync(join(home.folder, 'runs'), 'utf8').split('\n').length - 1;

async function places(): Promise<readonly PlaceReport[]> {
  return (await home.status()).daemon.places;
}

async function served(): Promise<void> {
  await until(async () => (await home.key()).code === 0);
  expect(await home.key()).toEqual(KEY);
}

/** Restarts in the way that shows what is stored: the command would fail now. */
async function expectKeptOverRestart(): Promise<void> {
  expect(await daemon.end('SIGTERM')).toBe(0);
  const before = runs();
  daemon = await home.start();
  expect(await home.key()).toEqual(KEY);
  expect(runs()).toBe(before);
}

describe('the socket of a running daemon', () => {
  it.each([
    ['its folder is removed', () => rmSync(dirname(home.socket), { recursive: true })],
    [
      'its folder is removed and made again',
      () => {
        rmSync(dirname(home.socket), { recursive: true });
        mkdirSync(dirname(home.socket), { mode: 0o700 });
      },
    ],
    ['its folder is moved', () => renameSync(dirname(home.socket), join(home.folder, 'moved'))],
    ['it is removed', () => rmSync(home.socket)],
    ['it is moved', () => renameSync(home.socket, `${home.socket}.moved`)],
    [
      'a file takes its place',
      () => {
        writeFileSync(`${home.socket}.new`, 'somebody else');
        renameSync(`${home.socket}.new`, home.socket);
      },
    ],
    [
      'a folder takes its place',
      () => {
        rmSync(home.socket);
        mkdirSync(home.socket);
      },
    ],
  ])('serves again within seconds when %s', async (_, harm) => {
    harm();
    await daemon.whenLogged('was bound again');
    await served();
    expect(await places()).toMatchObject([{ place: 'socket', state: 'restored', times: 1 }]);
    expect((await home.broker('status')).stdout).toContain('was gone or replaced, and was bound again');
    expect(runs()).toBe(1);
    await expectKeptOverRestart();
  });

  it('keeps what took its place', async () => {
    writeFileSync(`${home.socket}.new`, 'somebody else');
    renameSync(`${home.socket}.new`, home.socket);
    await daemon.whenLogged('was bound again');
    const [aside = ''] = readdirSync(dirname(home.socket)).filter((name) => name.includes('.replaced-'));
    expect(readFileSync(join(dirname(home.socket), aside), 'utf8')).toBe('somebody else');
  });

  it('is not taken away from a server that came to listen there, and comes back when that one has gone', async () => {
    // Listening before it is at the path: one that is only bound looks dead.
    const other = createServer((socket) => socket.end());
    await new Promise<void>((done) => other.listen(`${home.socket}.other`, done));
    renameSync(`${home.socket}.other`, home.socket);
    await daemon.whenLogged('another daemon, with another state folder, listens on');
    expect(existsSync(home.socket)).toBe(true);
    await new Promise((done) => other.close(done));
    rmSync(home.socket, { force: true });
    await served();
  });

  it('is known to the kernel by its path', () => {
    expect(readFileSync('/proc/net/unix', 'utf8')).toContain(` ${home.socket}\n`);
  });
});

describe('the state folder of a running daemon', () => {
  const removeDatabase = () => {
    for (const name of readdirSync(home.stateDir)) if (name.startsWith('cache.db')) rmSync(state(name));
  };
  it.each([
    ['database', 'the database is removed', removeDatabase],
    ['database', 'the database is moved', () => renameSync(state('cache.db'), state('elsewhere'))],
    ['database', 'the database is emptied', () => truncateSync(state('cache.db'))],
    ['database', 'its log is removed', () => rmSync(state('cache.db-wal'))],
    ['database', 'its log is emptied', () => truncateSync(state('cache.db-wal'))],
    [
      'database',
      'another file takes the place of the database',
      () => {
        writeFileSync(state('new'), 'somebody else', { mode: 0o600 });
        renameSync(state('new'), state('cache.db'));
      },
    ],
    ...['cache.db', 'cache.db-wal'].map((name): [string, string, () => void] => [
      'database',
      `a link that leads nowhere takes the place of ${name}`,
      () => {
        symlinkSync('/nowhere', state('new'));
        renameSync(state('new'), state(name));
      },
    ]),
    ['key', 'the key file is removed', () => rmSync(state('kek'))],
    ['key', 'the key file is emptied', () => truncateSync(state('kek'))],
    [
      'key',
      'a folder takes the place of the key file',
      () => {
        rmSync(state('kek'));
        mkdirSync(state('kek'));
      },
    ],
    ['lock', 'the lock is removed', () => rmSync(state('lock'))],
    // The daemon may write just then.
    ['lock', 'all of it is removed', () => rmSync(home.stateDir, { recursive: true, maxRetries: 5 })],
    ['lock', 'all of it is moved', () => renameSync(home.stateDir, `${home.stateDir}.moved`)],
  ])('is put right from memory: %s, %s', async (place, _, harm) => {
    // What it wrote for the key is there.
    await until(async () => (await places()).length === 0 && statSync(state('cache.db-wal')).size > 0);
    harm();
    await until(async () => (await places()).some((report) => report.place === place && report.state === 'restored'));
    expect(await home.key()).toEqual(KEY);
    expect((await home.status()).daemon.cache).toMatchObject({ persistent: true, problem: null });
    await expectKeptOverRestart();
    expect((await home.broker('daemon')).stderr).toContain(`pid ${daemon.pid}`);
  });

  it('keeps what took the place of the database', async () => {
    writeFileSync(state('new'), 'somebody else', { mode: 0o600 });
    renameSync(state('new'), state('cache.db'));
    await daemon.whenLogged('was written again from memory');
    const [aside = ''] = readdirSync(home.stateDir).filter((name) => name.startsWith('cache.db.replaced-'));
    expect(readFileSync(state(aside), 'utf8')).toBe('somebody else');
  });

  it('is left to a daemon that has taken it over', async () => {
    daemon.kill('SIGSTOP');
    rmSync(state('lock'));
    const successor = await home.start({ BROKER_SOCKET: `${home.socket}2` });
    daemon.kill('SIGCONT');
    expect(await daemon.ended).toBe(0);
    expect(successor.hasEnded).toBe(false);
    expect(existsSync(home.socket)).toBe(false);
    expect((await home.key('', { BROKER_SOCKET: `${home.socket}2` })).code).toBe(0);
  });

  it('writes few lines about what happens again and again', async () => {
    for (let round = 0; round < 6; round += 1) {
      rmSync(state('kek'));
      await until(() => existsSync(state('kek')));
    }
    expect(daemon.log.split('the key file').length + daemon.log.split('/kek was gone').length).toBeLessThan(5);
    expect((await places()).find(({ place }) => place === 'key')?.times).toBeGreaterThan(3);
  });
});

describe('after an unclean end', () => {
  it('a stored key is served at once and confirmed behind the answer, once', async () => {
    await daemon.end('SIGKILL');
    daemon = await home.start();
    expect(await home.key()).toEqual(KEY);
    await until(() => runs() === 2);
    expect(await home.key()).toEqual(KEY);
    await expectKeptOverRestart();
    expect(runs()).toBe(2);
  });
});
