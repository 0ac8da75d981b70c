import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fstatSync, lstatSync, renameSync, rmSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:net';
import { basename, join } from 'node:path';
import { BrokerError } from '../errors.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import { failpoint } from '../platform/failpoints.ts';
import { birthOf } from '../platform/files.ts';
import { loadHttp, type NativeBindings, net } from '../platform/native.ts';
import { ensurePrivateFolder } from '../platform/place-rules.ts';
import { sendError } from './limits.ts';

interface SocketPlace {
  /** At most 107 bytes long (103 on macOS); config/paths.ts sees to it. */
  readonly path: string;
  /** The folder of `path`; created with mode 0700 if it is missing. */
  readonly folder: string;
  readonly uid: number;
  /** What lies there instead of the socket that was listened on gets this added to its name; else it is refused. */
  readonly aside?: string | undefined;
}

/** A socket that is being listened on. */
export interface Listener {
  readonly path: string;
  /** Whether a client that looks there finds our socket, and no other one or none. */
  isThere(): boolean;
  /** Removes the path, provided that it still is our socket and not a successor's. */
  unlink(): void;
}

/** So many may wait while the event loop is busy; the kernel's own limit is often the same. */
const BACKLOG = 4096;

/**
 * Binds at the path itself, because programs that tidy up (systemd-tmpfiles) look in /proc/net/unix for it, where the kernel
 * names a socket as it was bound. Between bind(2) and listen(2) a client is refused, and asks once more. A server that
 * listens already goes on to the new socket; its connections stay.
 *
 * Only the holder of the state folder's lock may call this. Throws ERR_ALREADY_RUNNING if something else, with another
 * state folder, answers there; ERR_UNSAFE_FILE; ERR_IO. Then the server still listens where it did.
 *
 * @param native without it the socket is bound under another name and renamed, since Node would remove the path of a
 * successor when it closes the server.
 */
export async function bindSocket(
  server: Server,
  { path, folder, uid, aside }: SocketPlace,
  native: Pick<NativeBindings, 'listenOn'> | undefined,
): Promise<Listener> {
  try {
    ensurePrivateFolder(folder, uid);
    if (aside !== undefined) setAside(path, aside);
    await refuseOccupied(path, uid);
    if (native === undefined) await listenRenamed(server, path, folder);
    else await listenAt(server, path, native);
    return listenerAt(path, () => unlinkSync(path));
  } catch (error) {
    throw error instanceof BrokerError ? error : cannotBind(path, error);
  }
}

/** Takes over a socket that the service manager bound, and leaves its path to it. */
export async function adoptSocket(server: Server, fd: number, path: string): Promise<Listener> {
  server.listen({ fd }, BACKLOG);
  await once(server, 'listening');
  return listenerAt(path, () => {});
}

function listenerAt(path: string, remove: () => void): Listener {
  const ours = birthOf(path);
  const isThere = () => ours !== undefined && birthOf(path) === ours;
  return { path, isThere, unlink: () => isThere() && remove() };
}

async function listenAt(server: Server, path: string, native: Pick<NativeBindings, 'listenOn'>): Promise<void> {
  // What lies there answers nobody: see refuseOccupied.
  rmSync(path, { force: true });
  failpoint('socket.gone');
  const fd = withPrivateUmask(() => native.listenOn(path, BACKLOG));
  failpoint('socket.bound');
  if (server.listening) server.close();
  // With a descriptor Node takes no notice of a backlog among the options.
  server.listen({ fd }, BACKLOG);
  await once(server, 'listening');
}

/** A client that finds the path finds a socket that answers; Node later removes the temporary name, which is gone. */
async function listenRenamed(server: Server, path: string, folder: string): Promise<void> {
  // No longer than the usual name, so that it fits where the path fits.
  const temporary = join(folder, `.${randomBytes(5).toString('hex')}`.slice(0, Math.max(basename(path).length, 4)));
  if (server.listening) server.close();
  try {
    withPrivateUmask(() => server.listen({ path: temporary, backlog: BACKLOG }));
    await once(server, 'listening');
    renameSync(temporary, path);
  } catch (error) {
    if (server.listening) server.close();
    throw error;
  }
}

/** The mode of a socket is decided by bind(2), which both ways to bind have called when they return. */
function withPrivateUmask<T>(bind: () => T): T {
  const umask = process.umask(0o177);
  try {
    return bind();
  } finally {
    process.umask(umask);
  }
}

/** A link stays, and is refused. */
function setAside(path: string, label: string): void {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats?.isFile() || stats?.isDirectory() || stats?.isFIFO()) renameSync(path, `${path}.${label}`);
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
