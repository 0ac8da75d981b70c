import { existsSync } from 'node:fs';
import path from 'node:path';
import type { ParentFacts, ProcessFacts } from './process-tree.ts';

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
  /** A descriptor for this very process, to be closed; -1 where there is none (macOS, Linux before 5.3, no such process). */
  openProcess(pid: number): number;
  /** Of a descriptor of `openProcess`. */
  hasExited(fd: number): boolean;
  /** Milliseconds since boot, time asleep included. */
  bootTimeMs(): number;
  /** Tries for the exclusive lock on an open file; false if another process holds it. The kernel frees it on any death. */
  flock(fd: number): boolean;
  /** Keeps other processes of the same user out of this one's memory and environment; false where that cannot be (macOS). */
  setNonDumpable(): boolean;
  setCoreLimitZero(): void;
  /** Gives memory back that the C library keeps for itself; false where there is nothing to do. */
  trimHeap(): boolean;
  /** One sd_notify(3) message to `address`, the value of NOTIFY_SOCKET: an absolute path, or `@name` in the abstract space. */
  sdNotify(address: string, message: string): void;
}

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** undefined: the kernel does not say it together with the rest (Linux before 6.13, macOS). */
  readonly ppid: number | undefined;
}

/** From `src/platform` and from `dist/platform` alike. */
export const PACKAGE_ROOT = path.resolve(import.meta.dirname, '..', '..');

const PREBUILDS = path.join(PACKAGE_ROOT, 'prebuilds', `${process.platform}-${process.arch}`);

let loaded: { readonly bindings: NativeBindings | undefined } | undefined;

/** The addon, or undefined where it was not built or does not fit this machine's C library. Loaded once. */
export function loadNative(): NativeBindings | undefined {
  loaded ??= { bindings: load(path.join(PREBUILDS, 'broker.node')) };
  return loaded.bindings;
}

/** The native helper's absolute path, or undefined where it was not built for this machine. */
export function helperPath(): string | undefined {
  const file = path.join(PREBUILDS, 'broker-key');
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

/** As the addon has it: what is asked for at every connection comes in numbers and not in an object. */
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
