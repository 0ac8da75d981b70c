import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { LogFile } from '../../../src/platform/log-file.ts';
import { temporaryFolder } from '../../fakes/cache.ts';

it('keeps two files of its size, the newest lines among them, for its owner alone', () => {
  const path = join(temporaryFolder(), 'broker.log');
  const log = new LogFile(path, 100);
  for (let line = 0; line < 200; line += 1) log.write(`line ${line}\n`);
  expect(statSync(path).size).toBeLessThanOrEqual(100);
  expect(statSync(`${path}.1`).size).toBeLessThanOrEqual(100);
  expect(readdirSync(join(path, '..')).sort()).toEqual(['broker.log', 'broker.log.1']);
  expect(readFileSync(`${path}.1`, 'utf8') + readFileSync(path, 'utf8')).toMatch(/line 198\nline 199\n$/);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

it('goes on where the last daemon ended, and writes a deleted file again', () => {
  const path = join(temporaryFolder(), 'broker.log');
  new LogFile(path).write('one\n');
  const log = new LogFile(path);
  log.write('two\n');
  expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n');
  rmSync(path);
  log.write('three\n');
  expect(readFileSync(path, 'utf8')).toBe('three\n');
});

it('neither waits for nor writes through what is not a file, and writes again once that is gone', () => {
  const folder = temporaryFolder();
  const [pipe, link, target] = [join(folder, 'pipe'), join(folder, 'link'), join(folder, 'target')];
  spawnSync('mkfifo', [pipe]);
  symlinkSync(target, link);
  mkdirSync(join(folder, 'folder'));
  for (const path of [pipe, link, join(folder, 'folder'), join(folder, 'none', 'log')]) new LogFile(path).write('x\n');
  expect(existsSync(target)).toBe(false);
  const log = new LogFile(pipe);
  log.write('lost\n');
  rmSync(pipe);
  log.write('kept\n');
  expect(readFileSync(pipe, 'utf8')).toBe('kept\n');
  writeFileSync(target, '');
});
