import { join } from 'node:path';
import { KekFile } from '../crypto/kek-file.ts';
import { KekKeyring } from '../crypto/kek-keyring.ts';
import type { KekStore } from '../crypto/kek-store.ts';
import { KekSystemdCredential } from '../crypto/kek-systemd-credential.ts';
import { shellWord } from '../errors.ts';
import { statQuietly } from '../platform/files.ts';
import { type AskKeyring, type KeyringTrouble, trouble } from '../platform/keyring.ts';
import type { Log } from '../platform/log.ts';
import { excludeFromBackups, hasTeamIdentifier } from '../platform/macos.ts';
import { ensurePrivateFolder } from '../platform/place-rules.ts';
import type { KeyHome } from '../protocol/reports.ts';
import { databasePath } from './recovery.ts';
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
  /**
   * Where a key for a new database lives. Default, auto: the systemd credential, if there is one; a keyring that is open
   * and can keep it; else a file in the state folder. Where the key of an existing database lives, the database says.
   */
  readonly keyHome?: KeyHome | 'auto';
  /** The keyring of this session; undefined: there is none. */
  readonly askKeyring?: AskKeyring | undefined;
  /** Default: that of this process. */
  readonly platform?: NodeJS.Platform;
  /** Only for tests: instead of all of that. */
  readonly kekStores?: readonly KekStore[];
}

/**
 * Opens the cache of a state folder, key and all. Rejects with ERR_UNSAFE_FILE or ERR_IO for the folder itself; whatever
 * is wrong with database or key-encryption key is told in `health()`, and the cache works from memory until `reach()`
 * succeeds. Takes three seconds at most, which is how long a keyring may take to answer: no key is to be served or fetched
 * before that, or the first ask after a restart would find an empty cache and take out another lease.
 */
export async function openCache(options: OpenCacheOptions): Promise<SqliteCache> {
  ensurePrivateFolder(options.stateDir, process.getuid?.() ?? 0);
  const { networkFileSystem = false, kekStores = storesOf(options) } = options;
  return await SqliteCache.open({ ...options, networkFileSystem, kekStores });
}

/** Best first. Every store is there, since the database may name it; `keyHome` says which are for new keys. */
function storesOf(options: OpenCacheOptions): readonly KekStore[] {
  const { keyHome = 'auto', askKeyring, credentialsDir, stateDir, platform = process.platform } = options;
  const isFor = (kind: KeyHome) => keyHome === 'auto' || keyHome === kind;
  const hasCredential = keyHome === 'auto' ? credentialsDir !== undefined : isFor('systemd-credential');
  const hasKeyring = keyHome === 'auto' ? askKeyring !== undefined : isFor('keyring');
  return [
    new KekSystemdCredential(credentialsDir, hasCredential),
    new KekKeyring({
      ask: askKeyring,
      platform,
      isForNewKeys: hasKeyring,
      objection: platform === 'darwin' && keyHome === 'auto' ? lacksTeam : undefined,
    }),
    new KekFile(stateDir, isFor('file'), platform === 'darwin' ? excludeFromBackups : undefined),
  ];
}

function lacksTeam(): KeyringTrouble | undefined {
  return hasTeamIdentifier(process.execPath) ? undefined : trouble('no-team');
}

/** A cache that ends with the process: the same sealing, no database and no key file. */
export function openMemoryCache(): SqliteCache {
  return SqliteCache.inMemory();
}

/** What an earlier daemon kept in the state folder, as words for a person; undefined: nothing. */
export function leftOnDisk(stateDir: string): { readonly problem: string; readonly remedy: string } | undefined {
  if ([databasePath(stateDir), join(stateDir, 'kek')].every((file) => statQuietly(file) === undefined))
    return undefined;
  const folder = shellWord(stateDir);
  return {
    problem: 'a cache from before cache = "memory" is still on the disk; its leases lapse',
    remedy: `remove what is left of it: rm -f ${folder}/cache.db* ${folder}/kek`,
  };
}
