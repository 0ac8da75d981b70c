import { close, closeSync, existsSync, realpathSync, write } from 'node:fs';
import type { Socket } from 'node:net';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * What `native/addon.c` offers. Every function checks its arguments and throws an Error whose `code` is the errno's
 * name (EBADF, ENOTSOCK, …), ERR_SYSTEM, ERR_MISSING_ARGS or ERR_INVALID_ARG_VALUE; none of them ever waits, except
 * `sdNotify`, for at most 500 ms.
 */
export interface NativeBindings {
  /** Of a connected Unix socket: who was at the other end when it connected. A Node socket has its fd in `_handle.fd`. */
  peerCredentials(fd: number): PeerCredentials;
  /** undefined if there is no such process or it is hidden from this user. */
  processParent(pid: number): ParentFacts | undefined;
  /** undefined if there is no such process or it is hidden from this user. */
  processInfo(pid: number): ProcessFacts | undefined;
  /** 0 if there is no such process or it is hidden from this user. */
  parentPid(pid: number): number;
  /** 0 if there is no such process. */
  processGroup(pid: number): number;
  /** A descriptor of this very process, to be closed; -1 where there is none (macOS, Linux before 5.3, no such process). */
  openProcess(pid: number): number;
  /** A descriptor of the very process that connected this Unix socket, to be closed; -1 where there is none (macOS, Linux before 6.5). */
  peerProcess(fd: number): number;
  /** Of a descriptor of `openProcess` or `peerProcess`. */
  hasExited(fd: number): boolean;
  /** Milliseconds since boot, time asleep included. */
  bootTimeMs(): number;
  /** Milliseconds since boot, time asleep left out. */
  awakeTimeMs(): number;
  /** macOS: the caller's own folder for temporary files, with a slash at its end; undefined elsewhere. */
  userTempFolder(): string | undefined;
  /** macOS: whether a folder is on another machine; false elsewhere, where the type of the file system tells. */
  isOnNetwork(folder: string): boolean;
  /** macOS: 32 hexadecimal digits that stay when the machine's name changes; undefined elsewhere. */
  machineId(): string | undefined;
  /** macOS: for this process the Keychain refuses instead of asking a person; false where that is not possible. */
  forbidKeychainDialogues(): boolean;
  /** Tries to get the exclusive lock on an open file; false if another process holds it. The kernel frees it when this process ends. */
  flock(fd: number): boolean;
  /** Keeps other processes of the same user out of this one's memory and environment; false where that is not possible (macOS). */
  setNonDumpable(): boolean;
  setCoreLimitZero(): void;
  /** Of the signals that Node has no names for none ends this process any more. */
  ignoreRealTimeSignals(): void;
  /** How many descriptors this process may have open. */
  fileLimit(): number;
  /** Returns free memory of the C library to the system; false if there was none. */
  trimHeap(): boolean;
  /** Makes the pages of Node's own code not resident until they are run again. Returns how many bytes are mapped; 0 on macOS. */
  releaseProgram(): number;
  /** One sd_notify(3) message to `address`, the value of NOTIFY_SOCKET: an absolute path, or `@name` in the abstract space. */
  sdNotify(address: string, message: string): void;
  /**
   * The descriptor of a Unix socket that listens at `path`, with the mode that the umask leaves. A server that is given a
   * descriptor removes no path when it is closed.
   */
  listenOn(path: string, backlog: number): number;
  /**
   * Calls back once when the descriptor becomes readable, which that of a process does when it exits, and closes it. Returns what
   * ends that before. Never keeps this process alive.
   */
  whenReadable(fd: number, callback: () => void): () => void;
  /** How many bytes of a connection were there. 0: none, or it has ended or failed, which whoever reads on finds out. */
  receiveNow(fd: number, into: Uint8Array): number;
  /** How many of the bytes the kernel took. 0: none, or the connection failed. */
  sendNow(fd: number, bytes: Uint8Array): number;
  /** Puts the descriptors of the two ends of a connection, to be closed, into the first two places. */
  socketPair(into: Int32Array): void;
}

/** Pid and start time together are never reused. The start time is opaque: clock ticks on Linux, seconds on macOS. */
export interface ParentFacts {
  readonly ppid: number;
  readonly processGroup: number;
  readonly startTime: string;
}

export interface ProcessFacts extends ParentFacts {
  /** As the kernel shortens it. */
  readonly name: string;
  /** Absent where it cannot be read: processes of other users, processes that are not dumpable. */
  readonly executable?: string;
  /** The first three words of the command line; empty for kernel threads and zombies. */
  readonly argv: readonly string[];
}

interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** undefined: the kernel does not return it together with the rest (Linux before 6.13, macOS). */
  readonly ppid: number | undefined;
}

/** The same from `src/platform` and from `dist/platform`. */
export const PACKAGE_ROOT = outlivingPath(path.resolve(import.meta.dirname, '..', '..'));

/**
 * The stand-alone package keeps each version in `versions/` and has the link `current` lead to the newest: what is written down
 * about this program has to lead to the next version too.
 */
export function outlivingPath(folder: string): string {
  const versions = path.dirname(folder);
  if (path.basename(versions) !== 'versions') return folder;
  const current = path.join(versions, '..', 'current');
  try {
    return realpathSync(current) === realpathSync(folder) ? current : folder;
  } catch {
    return folder;
  }
}

const PREBUILDS = path.join(PACKAGE_ROOT, 'prebuilds', `${process.platform}-${process.arch}`);

let loaded: { readonly bindings: NativeBindings | undefined } | undefined;

/** The addon; undefined where it was not built or cannot be loaded with this machine's C library. Loaded once. */
export function loadNative(): NativeBindings | undefined {
  loaded ??= { bindings: load(path.join(PREBUILDS, 'broker.node')) };
  return loaded.bindings;
}

/** The native helper's absolute path; undefined where it was not built for this machine. */
export function helperPath(): string | undefined {
  return programPath('broker-key');
}

/** Of the program that `broker run` is. */
export function runnerPath(): string | undefined {
  return programPath('broker-run');
}

function programPath(name: string): string | undefined {
  const file = path.join(PREBUILDS, name);
  return existsSync(file) ? file : undefined;
}

function load(file: string): NativeBindings | undefined {
  const module = { exports: {} };
  try {
    process.dlopen(module, file);
  } catch {
    return undefined;
  }
  return bindings(module.exports as RawBindings);
}

/** As the addon has it: peerCredentials, called for every connection, fills an array, which is cheaper than an object. */
interface RawBindings extends Omit<NativeBindings, 'peerCredentials'> {
  peerCredentials(fd: number, into: Int32Array): void;
}

function bindings(raw: RawBindings): NativeBindings {
  const into = new Int32Array(4);
  return {
    ...raw,
    peerCredentials: (fd) => {
      raw.peerCredentials(fd, into);
      const [pid = 0, uid = -1, gid = -1, ppid = 0] = into;
      return { pid, uid: uid >>> 0, gid: gid === -1 ? -1 : gid >>> 0, ppid: ppid === 0 ? undefined : ppid };
    },
  };
}

/**
 * The descriptor of a connection, for calls that Node has no API for (peer credentials). Valid only until the connection
 * closes, so use it as soon as the connection is accepted. Undefined if a version of Node hides it.
 */
export function socketFd(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) return undefined;
  const fd: unknown = Reflect.get(handle, 'fd');
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}

/**
 * Calls back once, soon after the exit of that very process, without ever looking for it in between. Returns what ends the watch;
 * undefined where the process is gone already, or a process cannot be watched (macOS, Linux before 5.3, no addon).
 *
 * @param isAlive whether the process that has this pid now is that one.
 */
export function watchExit(
  native: NativeBindings | undefined,
  pid: number,
  isAlive: () => boolean,
  onExit: () => void,
): (() => void) | undefined {
  const fd = native?.openProcess(pid) ?? -1;
  if (native === undefined || fd < 0) return undefined;
  if (isAlive()) return native.whenReadable(fd, onExit);
  // The descriptor is of whoever has the pid by now.
  closeSync(fd);
  return undefined;
}

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

let collect: Collect | undefined;

/** Collects all garbage and returns free memory to the system. Takes 10 to 30 ms, during which nothing is answered. */
export function releaseMemory(native: NativeBindings | undefined): void {
  if (collect === undefined) {
    // The only way to get it in a program that is already running; v8.setFlagsFromString in Node's documentation.
    setFlagsFromString('--expose-gc');
    // What lies free between strings in use is overwritten as well. V8 12, in Node 22, has no such switch and would print that.
    if (Number.parseInt(process.versions.v8, 10) >= 13) setFlagsFromString('--zero-unused-memory');
    collect = runInNewContext('gc') as Collect;
  }
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  native?.trimHeap();
  native?.releaseProgram();
  if (native !== undefined) overwriteReadBuffer(native);
}

/** As much as Node reads at a time. */
const READ_BUFFER_BYTES = 65_536;

/** Node reads every pipe and socket into one buffer, in which the last answers of providers are until others are longer. */
function overwriteReadBuffer(native: NativeBindings): void {
  const ends = new Int32Array(2);
  try {
    native.socketPair(ends);
  } catch {
    // No descriptors to spare: the next time.
    return;
  }
  const [ours = -1, other = -1] = ends;
  const reader = new net.Socket({ fd: ours });
  reader.on('error', () => {});
  reader.on('data', () => {});
  write(other, Buffer.alloc(READ_BUFFER_BYTES), () => close(other, () => {}));
}

/**
 * Node's HTTP and sockets, fetched as built-ins: importing `node:http` by name builds the whole ESM facade of the
 * module, which adds 45 ms to a start of 40 ms. Types come from `import type` as usual.
 */
export const net = process.getBuiltinModule('node:net');

/** Loaded on first use: a helper's request does not need it. */
export const loadHttp = (): typeof import('node:http') => process.getBuiltinModule('node:http');
