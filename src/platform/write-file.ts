import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';

/**
 * Puts `content` in the place of a file, whole or not at all; readers never see a part. A symbolic link at its place
 * is replaced, not followed. Throws the system's error.
 *
 * @returns false if the file was just so already and nothing had to be done.
 */
export function writeFileAtomically(file: string, content: string | Uint8Array, mode: number): boolean {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  if (isJustSo(file, bytes, mode)) return false;
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}.tmp`);
  try {
    rmSync(temporary, { force: true });
    const fd = openSync(temporary, 'wx', 0o600);
    try {
      for (let at = 0; at < bytes.byteLength; ) at += writeSync(fd, bytes, at);
      fchmodSync(fd, mode);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, file);
    return true;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function isJustSo(file: string, bytes: Uint8Array, mode: number): boolean {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats?.isFile() !== true || (stats.mode & 0o7777) !== mode || stats.size !== bytes.byteLength) return false;
  try {
    return readFileSync(file).equals(bytes);
  } catch {
    return false;
  }
}
