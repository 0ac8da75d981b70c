import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { configFile, type PathInputs, stateDir } from '../config/paths.ts';
import { isOnNetwork } from '../platform/network-file-system.ts';
import { ensurePrivateFolder } from '../platform/private-folder.ts';

export interface Places {
  readonly configFile: string;
  /** Exists, is the caller's own and closed to others. */
  readonly stateDir: string;
  readonly isNetworkFileSystem: boolean;
}

/**
 * Where this machine's daemon keeps what it keeps. In a home that many machines share over the network each of them
 * gets a folder of its own, because SQLite's write-ahead log cannot be shared between machines.
 *
 * @throws BrokerError ERR_UNSAFE_FILE, ERR_IO, ERR_CONFIG.
 */
export function preparePlaces(inputs: PathInputs): Places {
  const base = stateDir(inputs);
  ensurePrivateFolder(base, inputs.uid);
  if (!isOnNetwork(base)) return { configFile: configFile(inputs), stateDir: base, isNetworkFileSystem: false };
  const own = ownStateDir(base);
  ensurePrivateFolder(dirname(own), inputs.uid);
  ensurePrivateFolder(own, inputs.uid);
  return { configFile: configFile(inputs), stateDir: own, isNetworkFileSystem: true };
}

/** Where in the state folder this machine's daemon keeps its own; the helper works it out just so. Nothing is made. */
export function ownStateDir(base: string): string {
  return isOnNetwork(base) ? join(base, 'hosts', machineId()) : base;
}

/** machine-id(5); the host's name where there is none. */
function machineId(): string {
  try {
    const id = readFileSync('/etc/machine-id', 'utf8').trim();
    if (/^[0-9a-f]{32}$/.test(id)) return id;
  } catch {
    // macOS and minimal containers have none.
  }
  return hostname().replace(/[^A-Za-z0-9.-]/g, '_');
}
