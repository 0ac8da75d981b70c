import { KekFile } from '../crypto/kek-file.ts';
import type { KekHome } from '../crypto/kek-home.ts';
import { KekSystemdCredential } from '../crypto/kek-systemd-credential.ts';
import type { Log } from '../platform/log.ts';
import { ensurePrivateFolder } from '../platform/private-folder.ts';
import { SqliteCache } from './sqlite-cache.ts';

export interface OpenCacheOptions {
  /** Created 0700 if absent. One daemon per folder: the caller holds its lock. */
  readonly stateDir: string;
  readonly log: Log;
  /** Wall clock, milliseconds since the epoch. */
  readonly wallMs: () => number;
  /** $CREDENTIALS_DIRECTORY, where systemd puts a service's credentials. */
  readonly credentialsDir?: string | undefined;
  /** Default: false. */
  readonly networkFileSystem?: boolean;
  /** Default: the systemd credential, then a file in the state folder. */
  readonly kekHomes?: readonly KekHome[];
}

/**
 * Opens the cache of a state folder. Throws ERR_UNSAFE_FILE or ERR_IO for the folder itself; whatever is wrong with
 * database or key-encryption key is told in `health()`, and the cache works from memory until `retry()` succeeds.
 */
export function openCache(options: OpenCacheOptions): SqliteCache {
  ensurePrivateFolder(options.stateDir, process.getuid?.() ?? 0);
  const kekHomes = options.kekHomes ?? [
    new KekSystemdCredential(options.credentialsDir),
    new KekFile(options.stateDir),
  ];
  return new SqliteCache({ ...options, networkFileSystem: options.networkFileSystem ?? false, kekHomes });
}

/** A cache that ends with the process: the same sealing, no database. */
export function openMemoryCache(): SqliteCache {
  return new SqliteCache();
}
