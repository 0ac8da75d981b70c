import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';

/** A file as the doctor may find it; nothing about it is an error. */
export interface QuietFile {
  readonly file: string;
  readonly state: 'read' | 'missing' | 'unreadable' | 'no-file' | 'too-large';
  readonly bytes: Buffer;
  readonly mode: number;
  readonly uid: number;
  /** `ENOENT`, `EACCES`, `ELOOP`, … */
  readonly code: string | undefined;
}

const NOTHING = { bytes: Buffer.alloc(0), mode: 0, uid: -1, code: undefined };

/** Reads a regular file of at most `limit` bytes; never waits (a FIFO), never throws. */
export function readQuietly(file: string, limit: number): QuietFile {
  let descriptor: number;
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    return { ...NOTHING, file, state: code === 'ENOENT' || code === 'ENOTDIR' ? 'missing' : 'unreadable', code };
  }
  try {
    const stat = fstatSync(descriptor);
    const found = { ...NOTHING, file, mode: stat.mode & 0o7777, uid: stat.uid };
    if (!stat.isFile()) return { ...found, state: 'no-file' };
    if (stat.size > limit) return { ...found, state: 'too-large' };
    // One byte more than allowed: files in /proc and growing ones are larger than they say.
    const buffer = Buffer.alloc(Math.min(limit, Math.max(stat.size, 4096)) + 1);
    const length = readFully(descriptor, buffer);
    if (length > limit || length === buffer.length) return { ...found, state: 'too-large' };
    return { ...found, state: 'read', bytes: Buffer.from(buffer.subarray(0, length)) };
  } catch (error) {
    return { ...NOTHING, file, state: 'unreadable', code: (error as NodeJS.ErrnoException).code };
  } finally {
    closeSync(descriptor);
  }
}

function readFully(descriptor: number, buffer: Buffer): number {
  let length = 0;
  while (length < buffer.length) {
    const read = readSync(descriptor, buffer, length, buffer.length - length, null);
    if (read === 0) break;
    length += read;
  }
  return length;
}

/** undefined for whatever cannot be looked at: missing, unreachable, links in a circle. */
export function statQuietly(file: string): Stats | undefined {
  try {
    return statSync(file);
  } catch {
    return undefined;
  }
}
