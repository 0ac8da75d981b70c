import { spawnSync } from 'node:child_process';
import { closeSync, constants, fstatSync, ftruncateSync, lstatSync, openSync, statSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { BrokerError, codeOf, shellWord } from '../errors.ts';
import { readTextQuietly } from './files.ts';

/** The daemon that holds the state folder, as it writes it into STATE/lock for others to read. */
export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  /** Null until it is bound. */
  readonly socket: string | null;
  /** Such a daemon exits when a service manager starts another. */
  readonly startedByHelper: boolean;
}

export interface StateLockOptions extends LockOptions {
  /** Must be private already; see files.ts. */
  readonly folder: string;
  readonly pid: number;
  readonly host: string;
  readonly startedByHelper?: boolean;
  /** A descriptor of STATE/lock that the helper locked before it started us. */
  readonly inheritedFd?: number | undefined;
}

export interface LockOptions {
  /** LOCK_EX | LOCK_NB from the native addon: false if another process holds it. Else util-linux `flock`, on macOS O_EXLOCK. */
  readonly flock?: ((fd: number) => boolean) | undefined;
  readonly platform?: NodeJS.Platform;
}

/** Far more than a holder writes. */
const LARGEST_BYTES = 16_384;

/** O_EXLOCK of macOS, which Node does not define and Linux does not have. */
const DARWIN_O_EXLOCK = 0x20;

/**
 * One daemon per state folder. The lock lasts as long as the descriptor, so the kernel frees it however the process ends;
 * the file is never removed, because then two daemons could lock two different files.
 */
export class StateLock {
  readonly path: string;
  readonly #options: StateLockOptions;
  #fd: number;
  #socket: string | null = null;

  private constructor(fd: number, path: string, options: StateLockOptions) {
    this.#fd = fd;
    this.path = path;
    this.#options = options;
    this.record(null);
  }

  get fd(): number {
    return this.#fd;
  }

  /** Throws ERR_ALREADY_RUNNING, saying who holds it, and ERR_IO if the folder cannot be locked at all. */
  static acquire(options: StateLockOptions): StateLock {
    const path = join(options.folder, 'lock');
    const fd = lockFile(path, options, inheritedFd(path, options.inheritedFd));
    if (fd === undefined) throw alreadyRunning(path);
    try {
      return new StateLock(fd, path, options);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Writes who holds the lock; called again once the socket is bound. */
  record(socket: string | null): void {
    this.#socket = socket;
    const { pid, host, startedByHelper = false } = this.#options;
    const holder: LockHolder = { pid, host, startedByHelper, socket };
    const text = `${JSON.stringify(holder)}\n`;
    ftruncateSync(this.#fd, 0);
    writeSync(this.#fd, text, 0);
  }

  /**
   * Locks the file again that lies at the path now, where somebody has removed or replaced it: others would take the folder
   * for free. @returns whether that was so. @throws BrokerError ERR_ALREADY_RUNNING if another daemon has it by now.
   */
  restore(): boolean {
    const [ours, there] = [fstatSync(this.#fd), lstatSync(this.path, { throwIfNoEntry: false })];
    if (there?.ino === ours.ino && there.dev === ours.dev) return false;
    const fd = lockFile(this.path, this.#options);
    if (fd === undefined) throw alreadyRunning(this.path);
    closeSync(this.#fd);
    this.#fd = fd;
    this.record(this.#socket);
    return true;
  }

  /** A daemon never calls this: it keeps the lock until it ends. */
  release(): void {
    closeSync(this.#fd);
  }
}

/** What the lock file says; undefined if it was never held or cannot be read. Says nothing about whether it is held now. */
export function readLockHolder(path: string): LockHolder | undefined {
  try {
    const value: unknown = JSON.parse(readTextQuietly(path, LARGEST_BYTES) ?? '');
    if (typeof value !== 'object' || value === null) return undefined;
    const { pid, host, socket, startedByHelper } = value as Partial<Record<keyof LockHolder, unknown>>;
    if (typeof pid !== 'number' || typeof host !== 'string') return undefined;
    return { pid, host, socket: typeof socket === 'string' ? socket : null, startedByHelper: startedByHelper === true };
  } catch {
    return undefined;
  }
}

/**
 * Whether some process holds the lock now. Takes the lock for a moment to find out, so only commands that people type call
 * it; without the native call it only checks whether the holder's pid is in use.
 */
export function isLockHeld(path: string, flock: StateLockOptions['flock']): boolean {
  const holder = readLockHolder(path);
  if (flock === undefined) return holder !== undefined && holder.host === hostname() && isInUse(holder.pid);
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return false;
  }
  try {
    return !flock(fd);
  } finally {
    closeSync(fd);
  }
}

function isInUse(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

/**
 * Takes the lock on a file, which is made where it is missing. It lasts until the descriptor is closed, so the kernel frees it
 * on any death of its holder.
 *
 * @param inherited an open descriptor of this file, to be locked instead; closed if it cannot be.
 * @returns the descriptor; undefined if another process holds the lock.
 * @throws BrokerError ERR_UNSAFE_FILE, ERR_IO if the file cannot be locked at all.
 */
export function lockFile(path: string, options: LockOptions, inherited?: number): number | undefined {
  const fd = inherited ?? openLockFile(path, options.platform ?? process.platform);
  if (fd === undefined) return undefined;
  let isOurs = false;
  try {
    isOurs = lock(fd, path, options);
    return isOurs ? fd : undefined;
  } finally {
    if (!isOurs) closeSync(fd);
  }
}

/** undefined: on macOS another process holds the lock. */
function openLockFile(path: string, platform: NodeJS.Platform): number | undefined {
  const exclusive = platform === 'darwin' ? DARWIN_O_EXLOCK : 0;
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK | exclusive;
  try {
    const fd = openSync(path, flags, 0o600);
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
    throw notAFile(path);
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    const code = codeOf(error);
    if (code === 'EISDIR' || code === 'ENXIO') throw notAFile(path);
    if (code === 'EAGAIN' || code === 'EWOULDBLOCK') return undefined;
    if (code === 'ELOOP') {
      throw new BrokerError('ERR_UNSAFE_FILE', `${path} is a symbolic link`, {
        remedy: `look at who made it, then remove it`,
      });
    }
    throw new BrokerError('ERR_IO', `cannot open the lock file ${path} (${code})`, {
      remedy: 'check that the state folder is writable and the disk is not full',
    });
  }
}

function notAFile(path: string): BrokerError {
  return new BrokerError('ERR_UNSAFE_FILE', `${path} is not a regular file`, {
    remedy: `look at who made it, then move it away: mv ${shellWord(path)} ${shellWord(`${path}.moved`)}`,
  });
}

/** Undefined if none was handed down, or if it is not a descriptor of this file. */
function inheritedFd(path: string, fd: number | undefined): number | undefined {
  if (fd === undefined) return undefined;
  try {
    const [theirs, ours] = [fstatSync(fd), statSync(path)];
    return theirs.ino === ours.ino && theirs.dev === ours.dev ? fd : undefined;
  } catch {
    return undefined;
  }
}

function lock(fd: number, path: string, options: LockOptions): boolean {
  if (options.flock !== undefined) return options.flock(fd);
  if ((options.platform ?? process.platform) === 'darwin') return true;
  // The lock belongs to the open file description, which the child shares with us, so it stays when the child exits.
  const child = spawnSync('flock', ['-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
  if (child.status === 0) return true;
  if (child.status === 1) return false;
  throw new BrokerError(
    'ERR_IO',
    `cannot lock ${path}: there is neither the native addon nor a working flock command`,
    {
      remedy: 'install util-linux, or build the native parts with: npm run build',
      cause: child.error,
    },
  );
}

function alreadyRunning(path: string): BrokerError {
  const holder = readLockHolder(path);
  const who = holder === undefined ? 'another daemon' : `the daemon with pid ${holder.pid} on ${holder.host}`;
  const where = holder?.socket == null ? '' : `; it listens on ${holder.socket}`;
  const stop = holder === undefined ? 'stop the other one' : `stop it with: kill ${holder.pid}`;
  return new BrokerError('ERR_ALREADY_RUNNING', `${who} holds ${path}${where}`, {
    remedy: `use the one that runs, or ${stop}; a second daemon needs its own BROKER_STATE_DIR and BROKER_SOCKET`,
  });
}
