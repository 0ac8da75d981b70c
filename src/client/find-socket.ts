import { lstatSync } from 'node:fs';
import { dirname } from 'node:path';
import { BrokerError, codeOf } from '../errors.ts';
import { checkPrivateFolder, isOwnFolder } from '../platform/place-rules.ts';

/** A place where the daemon may listen; config/paths.ts knows them, best first. */
export interface SocketPlace {
  readonly path: string;
  readonly folder: string;
  /** runtime: applies only if the folder above is the caller's own. */
  readonly kind?: string;
}

interface FoundSockets {
  /** Sockets that may be talked to, best first; whether a daemon answers is another matter. */
  readonly usable: readonly string[];
  /** Why the first of those that are there was not used. */
  readonly unsafe: BrokerError | undefined;
}

/**
 * The sockets that are the caller's own and closed to others, as is the folder they are in: a program that could plant a
 * socket could hand out keys of its choice.
 */
export function findSockets(places: readonly SocketPlace[], uid: number): FoundSockets {
  const usable: string[] = [];
  let unsafe: BrokerError | undefined;
  for (const place of places) {
    try {
      // After `su` the variable still names the folder of the user before.
      if (place.kind === 'runtime' && !isOwnFolder(dirname(place.folder), uid)) continue;
      if (isThereAndSafe(place, uid)) usable.push(place.path);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      unsafe ??= error;
    }
  }
  return { usable, unsafe };
}

function isThereAndSafe({ path, folder }: SocketPlace, uid: number): boolean {
  const folderStats = statOf(folder);
  const stats = statOf(path);
  if (folderStats === undefined || stats === undefined) return false;
  checkPrivateFolder(folder, folderStats, uid);
  if (!stats.isSocket()) throw unsafe(`${path} is not a socket`);
  if (stats.uid !== uid) throw unsafe(`${path} belongs to uid ${stats.uid}, not to ${uid}`);
  // Without write permission nobody can connect; read permission on a socket has no meaning.
  if ((stats.mode & 0o022) !== 0) throw unsafe(`others may write to ${path}`);
  return true;
}

function statOf(path: string) {
  try {
    return lstatSync(path);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new BrokerError('ERR_UNSAFE_FILE', `cannot look at ${path} (${code})`, {
      remedy: 'check who owns the folders above it, or set BROKER_SOCKET',
    });
  }
}

function unsafe(message: string): BrokerError {
  return new BrokerError('ERR_UNSAFE_FILE', message, {
    remedy: 'look at who made it, move it away, and start: broker daemon',
  });
}
