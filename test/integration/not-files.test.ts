import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { codeOf } from '../../src/errors.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';

const CONFIG = `
default = "a"
[providers.x]
type = "exec"
[credentials.a]
provider = "x"
command = ["/bin/sh", "-c", "echo sk-not-files-0123456789"]
`;

let home: BrokerHome;

beforeEach(() => {
  home = new BrokerHome(CONFIG);
  mkdirSync(home.stateDir, { mode: 0o700 });
});
afterEach(() => home.close());

/** open(2) of a named pipe waits for the other end, for ever and with every signal handler. */
const KINDS: readonly (readonly [what: string, make: (path: string) => void])[] = [
  ['a named pipe', (path) => execFileSync('mkfifo', ['-m', '600', path])],
  ['a folder', (path) => mkdirSync(path, { mode: 0o700 })],
  ['a device', (path) => symlinkSync('/dev/zero', path)],
  [
    'a gigabyte',
    (path) => {
      writeFileSync(path, '', { mode: 0o600 });
      truncateSync(path, 1024 ** 3);
    },
  ],
];
/** At once: the daemon puts right what is gone before another program can be started. */
function replace(path: string, beside: string): void {
  // A folder takes no file's place, and meanwhile there may be one again.
  for (let left = 100; left > 0 && existsSync(beside); left--) {
    rmSync(path, { force: true });
    try {
      renameSync(beside, path);
    } catch (error) {
      if (codeOf(error) !== 'ENOTDIR') throw error;
    }
  }
}

const each = (names: readonly string[]) =>
  names.flatMap((name) => KINDS.map(([what, make]) => [name, what, make] as const));

it.each(each(['kek', 'cache.db', 'cache.db-wal', 'cache.db-shm', 'running', 'refusal']))(
  'STATE/%s that is %s costs no more than what it is for, and the daemon still stops',
  async (name, what, make) => {
    if (name.startsWith('cache.db-')) {
      const daemon = await home.start();
      await daemon.end('SIGKILL');
      rmSync(join(home.stateDir, name), { force: true });
    }
    make(join(home.stateDir, name));
    const daemon = await home.start();
    expect((await home.key()).stdout).toBe('sk-not-files-0123456789\n');
    expect((await home.broker('status')).code).toBe(0);
    expect(await daemon.end('SIGTERM'), what).toBe(0);
  },
);

it.each(each(['state/lock', 'config.toml']).filter(([, what]) => what !== 'a gigabyte'))(
  '%s that is %s is an error at once',
  async (name, _, make) => {
    rmSync(join(home.folder, name), { force: true });
    make(join(home.folder, name));
    const { code, stderr } = await home.broker('daemon');
    expect([77, 78]).toContain(code);
    expect(stderr).toContain(join(home.folder, name));
  },
);

it.each(KINDS)('a key file that becomes %s under the running daemon is put right', async (_, make) => {
  const daemon = await home.start();
  const beside = join(home.folder, 'beside');
  make(beside);
  replace(join(home.stateDir, 'kek'), beside);
  await daemon.whenLogged('kek was gone or replaced');
  expect(existsSync(join(home.stateDir, 'kek'))).toBe(true);
  expect(await daemon.end('SIGTERM')).toBe(0);
});
