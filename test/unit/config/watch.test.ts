import { chmod, mkdir, mkdtemp, rename, rm, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type LoadResult, loadConfig } from '../../../src/config/load.ts';
import { ConfigWatcher } from '../../../src/config/watch.ts';
import { providerTypes } from '../../fakes/provider-schemas.ts';

const sound = (command: string) =>
  `[providers.x]\ntype = "exec"\n[credentials.c]\nprovider = "x"\ncommand = ["${command}"]\n`;

let root: string;
let folder: string;
let file: string;
let watcher: ConfigWatcher;
let armed = 0;
let fired = 0;
let seen: string[] = [];
let changed = () => {};

/** The command of the one credential, or what is wrong. */
function told(result: LoadResult): string {
  if (result.faults !== undefined) return result.faults[0]?.message ?? '';
  const source = result.config.credentials.get('c')?.source as { command: string[] } | undefined;
  return String(source?.command[0]);
}

function watching(target: string): ConfigWatcher {
  return new ConfigWatcher({
    file: target,
    load: () =>
      loadConfig({ file: target, types: providerTypes, env: {}, homeDir: root, uid: process.getuid?.() ?? 0 }),
    after: (delayMs, callback) => {
      armed++;
      const timer = setTimeout(() => {
        fired++;
        callback();
        changed();
      }, delayMs / 5);
      return { cancel: () => clearTimeout(timer) };
    },
    onChange: (result) => {
      seen.push(told(result));
      changed();
    },
  });
}

/** Resolves when the watcher has reported `what` as its latest; the test's time limit is the failure. */
const until = (what: string) => untilTrue(() => (seen.at(-1) ?? '').includes(what));

async function untilTrue(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await new Promise<void>((resolve) => {
      changed = resolve;
    });
  }
}

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'broker-watch-'));
  folder = path.join(root, 'config', 'broker');
  file = path.join(folder, 'config.toml');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(file, sound('one'), { mode: 0o600 });
  [armed, fired, seen] = [0, 0, []];
  watcher = watching(file);
});
afterEach(async () => {
  watcher.close();
  await rm(root, { recursive: true, force: true });
});

it('gives the first configuration from the start, and then every change written in place', async () => {
  expect(told(await watcher.start())).toBe('one');
  expect(seen).toEqual([]);
  await writeFile(file, sound('two'));
  await until('two');
  await writeFile(file, sound('three'));
  await until('three');
});

it('reports the faults of a broken file, and the mended one', async () => {
  await watcher.start();
  await writeFile(file, 'nonsense');
  await until('neither key = value');
  await writeFile(file, sound('two'));
  await until('two');
});

it('follows a file that is replaced by a rename, again and again', async () => {
  await watcher.start();
  for (const command of ['two', 'three', 'four']) {
    await writeFile(`${file}.new`, sound(command), { mode: 0o600 });
    await rename(`${file}.new`, file);
    await until(command);
  }
});

it('follows a file that is removed and put back', async () => {
  await watcher.start();
  await unlink(file);
  await until('there is no configuration file');
  await writeFile(file, sound('two'), { mode: 0o600 });
  await until('two');
});

it('follows its folder being removed with all above it, and made again', async () => {
  await watcher.start();
  await rm(path.join(root, 'config'), { recursive: true });
  await until('there is no configuration file');
  const before = fired;
  await mkdir(path.dirname(folder), { mode: 0o700 });
  await untilTrue(() => fired > before && fired === armed);
  // The watcher may be done before or after what follows; before proves more, so it gets the time.
  for (let i = 0; i < 100; i++) await stat(root);
  await mkdir(folder, { mode: 0o700 });
  for (let i = 0; i < 100; i++) await stat(root);
  await writeFile(file, sound('two'), { mode: 0o600 });
  await until('two');
});

it('follows its folder being replaced by another', async () => {
  await watcher.start();
  const other = path.join(root, 'other');
  await mkdir(other, { mode: 0o700 });
  await writeFile(path.join(other, 'config.toml'), sound('two'), { mode: 0o600 });
  await rename(folder, path.join(root, 'old'));
  await rename(other, folder);
  await until('two');
  await writeFile(file, sound('three'));
  await until('three');
});

it('follows a link to the file that it leads to, and to another when it is changed', async () => {
  const link = path.join(root, 'link.toml');
  await symlink(file, link);
  watcher.close();
  watcher = watching(link);
  await watcher.start();
  await writeFile(file, sound('two'));
  await until('two');
  const other = path.join(root, 'config', 'other.toml');
  await writeFile(other, sound('three'), { mode: 0o600 });
  await symlink(other, `${link}.new`);
  await rename(`${link}.new`, link);
  await until('three');
  await writeFile(other, sound('four'));
  await until('four');
});

it('notices that others may now write the file', async () => {
  await watcher.start();
  await chmod(file, 0o666);
  await until('others can write');
  await chmod(file, 0o600);
  await until('one');
});

it('reads again when it is told to, changed or not', async () => {
  await watcher.start();
  expect(told(await watcher.reload())).toBe('one');
  expect(seen).toEqual(['one']);
});

it('arms no timer while nothing happens, and reads nothing for a neighbour of the file', async () => {
  await watcher.start();
  expect(armed).toBe(0);
  await writeFile(path.join(folder, 'neighbour'), 'x');
  // Each reload comes after the look at the file that the event led to, and that look must lead to no other.
  for (let round = 1; round <= 2; round++) {
    await untilTrue(() => armed >= 1 && fired === armed);
    await watcher.reload();
    expect(seen).toHaveLength(round);
  }
  const looks = armed;
  await watcher.reload();
  expect([armed, fired]).toEqual([looks, looks]);
});

it('reports nothing once it is closed', async () => {
  await watcher.start();
  watcher.close();
  await writeFile(file, sound('two'));
  const second = watching(file);
  await second.start();
  await writeFile(file, sound('three'));
  await until('three');
  second.close();
  expect(seen).toEqual(['three']);
});
