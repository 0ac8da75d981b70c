import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fstatSync, lstatSync, renameSync, type Stats, unlinkSync } from 'node:fs';
import type { Server } from 'node:net';
import { basename, join } from 'node:path';
import { BrokerError } from '../errors.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import { ensurePrivateFolder } from '../platform/files.ts';
import { loadHttp, net } from '../platform/native.ts';
import { sendError } from './limits.ts';

interface SocketPlace {
  /** At most 107 bytes long (103 on macOS); config/paths.ts sees to it. */
  readonly path: string;
  /** The folder of `path`; created with mode 0700 if it is missing. */
  readonly folder: string;
  readonly uid: number;
}

/** A socket that is being listened on. */
export interface Listener {
  readonly path: string;
  /** Removes the path, provided that it still is our socket and not a successor's. */
  unlink(): void;
}

/** So many may wait while the event loop is busy; the kernel's own limit is often the same. */
const BACKLOG = 4096;

/**
 * Binds under a temporary name and renames it into place: a client that finds the path finds a socket that answers, and
 * when Node closes the server it removes the temporary name, which is gone, instead of a successor's socket.
 *
 * Only the holder of the state folder's lock may call this. Throws ERR_ALREADY_RUNNING if something else, with another
 * state folder, answers there; ERR_UNSAFE_FILE; ERR_IO.
 */
export async function bindSocket(server: Server, { path, folder, uid }: SocketPlace): Promise<Listener> {
  try {
    ensurePrivateFolder(folder, uid);
    await refuseOccupied(path, uid);
    // No longer than the usual name, so that it fits where the path fits.
    const temporary = join(folder, `.${randomBytes(5).toString('hex')}`.slice(0, Math.max(basename(path).length, 4)));
    await listenPrivately(server, temporary);
    const { dev, ino } = lstatSync(temporary);
    renameSync(temporary, path);
    return { path, unlink: () => unlinkIf(path, (now) => now.dev === dev && now.ino === ino) };
  } catch (error) {
    if (server.listening) server.close();
    throw error instanceof BrokerError ? error : cannotBind(path, error);
  }
}

/** Takes over a socket that the service manager bound, and leaves its path to it. */
export async function adoptSocket(server: Server, fd: number, path: string): Promise<Listener> {
  server.listen({ fd });
  await listening(server);
  return { path, unlink: () => {} };
}

async function listenPrivately(server: Server, path: string): Promise<void> {
  // The mode of a socket is decided by bind(2), which listen() calls before it returns.
  const umask = process.umask(0o177);
  try {
    server.listen({ path, backlog: BACKLOG });
  } finally {
    process.umask(umask);
  }
  await listening(server);
}

/** Rejects with what `listen` failed with. */
async function listening(server: Server): Promise<void> {
  await once(server, 'listening');
}

async function refuseOccupied(path: string, uid: number): Promise<void> {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return;
  if (!stats.isSocket() || stats.uid !== uid) {
    const what = stats.isSocket() ? `a socket of uid ${stats.uid}` : 'no socket';
    throw new BrokerError('ERR_UNSAFE_FILE', `${path} is in the way: it is ${what}`, {
      remedy: 'look at who made it, and move it away',
    });
  }
  if (await answers(path)) {
    throw new BrokerError('ERR_ALREADY_RUNNING', `another daemon, with another state folder, listens on ${path}`, {
      remedy: 'stop it, or give this one a BROKER_SOCKET of its own',
    });
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.connect(path);
    const end = (occupied: boolean) => {
      probe.destroy();
      resolve(occupied);
    };
    probe.once('connect', () => end(true));
    // A full queue belongs to a daemon.
    probe.once('error', (error: NodeJS.ErrnoException) => end(error.code === 'EAGAIN'));
  });
}

function unlinkIf(path: string, isOurs: (now: Stats) => boolean): void {
  const now = lstatSync(path, { throwIfNoEntry: false });
  if (now !== undefined && isOurs(now)) unlinkSync(path);
}

function cannotBind(path: string, error: unknown): BrokerError {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
  return new BrokerError('ERR_IO', `cannot listen on ${path} (${code})`, {
    remedy: 'set BROKER_SOCKET to a path in a folder of your own that can be written',
    cause: error,
  });
}

/** sd_listen_fds(3): the first descriptor handed down. */
const FIRST_FD = 3;

/**
 * The listening socket that systemd handed down, if it was meant for this process. The variables are deleted from
 * `env` in any case, because children would take them for theirs. Further sockets are not used.
 *
 * Throws ERR_CONFIG if what was handed down is not a socket.
 */
export function takeInheritedSocket(env: Record<string, string | undefined>, pid: number): number | undefined {
  const { LISTEN_PID, LISTEN_FDS } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID']) delete env[name];
  if (LISTEN_PID !== String(pid) || !/^[1-9]\d*$/.test(LISTEN_FDS ?? '')) return undefined;
  if (isSocket(FIRST_FD)) return FIRST_FD;
  throw new BrokerError('ERR_CONFIG', 'the service manager handed down a descriptor that is not a socket', {
    remedy: 'look at the socket unit: systemctl --user cat broker.socket',
  });
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}

/** So long after the last one, no more of those that were in line are expected. */
const QUIET_MS = 100;
const LONGEST_MS = 5_000;

/**
 * Tells the clients that wait on an inherited socket why there will be no daemon. Else the service manager would see them
 * waiting, start the daemon again at once and so on until it gives the socket up; and they would hear nothing.
 */
export async function refuseConnections(fd: number, error: BrokerError, clock: Clock): Promise<void> {
  const server = loadHttp().createServer((request, response) => {
    response.shouldKeepAlive = false;
    sendError(request, response, error);
  });
  server.listen({ fd });
  await once(server, 'listening');
  await new Promise<void>((resolve) => {
    const longest = clock.after(LONGEST_MS, end);
    let quiet: Timer = clock.after(QUIET_MS, end);
    server.on('connection', () => {
      quiet.cancel();
      quiet = clock.after(QUIET_MS, end);
    });
    function end() {
      longest.cancel();
      quiet.cancel();
      server.close(() => resolve());
      server.closeAllConnections();
    }
  });
}
