import { closeSync, constants, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

/** Enough for weeks of a daemon's log, and for a page of a bug report. */
const LARGEST_BYTES = 1024 * 1024;

/**
 * A log where no service manager keeps one: `path`, and before it `path.1`, each of a limited size. Written synchronously, so that the
 * last lines before a crash are there. Never throws: a daemon without room for its log continues without one.
 */
export class LogFile {
  readonly #path: string;
  readonly #largestBytes: number;
  #file: { readonly fd: number; bytes: number } | undefined;

  constructor(path: string, largestBytes = LARGEST_BYTES) {
    this.#path = path;
    this.#largestBytes = largestBytes;
  }

  readonly write = (line: string): void => {
    try {
      const bytes = Buffer.from(line);
      if (this.#file !== undefined && !isThere(this.#file.fd)) this.close();
      if (this.#file !== undefined && this.#file.bytes + bytes.length > this.#largestBytes) {
        this.close();
        renameSync(this.#path, `${this.#path}.1`);
      }
      this.#file ??= open(this.#path);
      this.#file.bytes += bytes.length;
      writeSync(this.#file.fd, bytes);
    } catch {
      // No room, no right, something else at that path: the next line tries again.
    }
  };

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file.fd);
    this.#file = undefined;
  }
}

function open(path: string): { readonly fd: number; bytes: number } {
  // Non-blocking: opening a named pipe would wait for a reader.
  const flags =
    constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const fd = openSync(path, flags, 0o600);
  const stats = fstatSync(fd);
  if (stats.isFile()) return { fd, bytes: stats.size };
  closeSync(fd);
  throw new Error('not a file');
}

/** Somebody may have deleted it. */
function isThere(fd: number): boolean {
  return fstatSync(fd).nlink > 0;
}
