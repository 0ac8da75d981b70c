import { spawnSync } from 'node:child_process';
import { closeSync, openSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { must } from './machine.ts';

/** The same bytes for the same files: sorted, of root, at one time. @throws Error */
export function tarball(folder: string, file: string, epoch: number, level: number): void {
  const plain = `${file}.tar`;
  const fixed = ['--format=gnu', '--sort=name', `--mtime=@${epoch}`, '--owner=0', '--group=0', '--numeric-owner'];
  must('tar', ['-cf', plain, ...fixed, '-C', path.dirname(folder), path.basename(folder)], {
    hint: 'it takes GNU tar',
  });
  const output = openSync(`${file}.new`, 'w');
  const { status } = spawnSync('gzip', ['-n', `-${level}`, '-c', plain], { stdio: ['ignore', output, 'inherit'] });
  closeSync(output);
  rmSync(plain);
  if (status !== 0) throw new Error(`gzip of ${file} failed`);
  renameSync(`${file}.new`, file);
}

/** `dpkg-deb` takes the time of what is younger than SOURCE_DATE_EPOCH from there, as everything here is. @throws Error */
export function deb(folder: string, file: string, epoch: number, level: number): void {
  const fixed = ['--root-owner-group', '-Zgzip', `-z${level}`];
  must('dpkg-deb', [...fixed, '--build', folder, file], {
    env: { SOURCE_DATE_EPOCH: String(epoch) },
    hint: 'apt install dpkg',
  });
}
