import { existsSync, renameSync } from 'node:fs';
import { SqliteError } from 'better-sqlite3';
import type { RecordedKek } from '../crypto/kek-locator.ts';
import type { KekHome } from '../crypto/kek-store.ts';
import type { CacheOptions } from './attach.ts';
import { ForeignDatabaseError } from './migrations.ts';

/** What SQLite keeps beside a database: a write-ahead log belongs to its database, wherever that goes. */
const SUFFIXES = ['', '-wal', '-shm', '-journal'] as const;

/**
 * Renames a database with everything that belongs to it to `PATH.LABEL`, never overwriting: nothing that a person may
 * still want is destroyed. Returns the new path.
 */
export function setAside(path: string, label: string): string {
  let target = `${path}.${label}`;
  for (let attempt = 2; SUFFIXES.some((suffix) => existsSync(target + suffix)); attempt += 1) {
    target = `${path}.${label}-${attempt}`;
  }
  // The database last: if this is cut short, what is left is a database without its log, not a log without its database.
  for (const suffix of SUFFIXES.toReversed()) {
    if (existsSync(path + suffix)) renameSync(path + suffix, target + suffix);
  }
  return target;
}

/** 20250131T235959Z, for file names. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '');
}

/**
 * environment: the file may be perfectly well, but cannot be used now (disk full, read-only, locked): leave it alone
 * and try again. damaged: what is in it cannot be trusted: set it aside.
 */
type DatabaseFailure = 'environment' | 'damaged';

const ENVIRONMENT =
  /^SQLITE_(BUSY|LOCKED|FULL|READONLY|CANTOPEN|PERM|NOMEM|INTERRUPT|PROTOCOL|IOERR(?!_(SHORT_READ|CORRUPTFS|DATA)))/;

export class DamagedDatabaseError extends Error {}

export function classifyFailure(error: unknown): DatabaseFailure {
  if (error instanceof DamagedDatabaseError || error instanceof ForeignDatabaseError) return 'damaged';
  // Flipped bits in the stored schema surface as plain SQLITE_ERROR ("no such column"), so whatever SQLite says that
  // is not about the file's surroundings counts as damage.
  return error instanceof SqliteError && !ENVIRONMENT.test(error.code) ? 'damaged' : 'environment';
}

/** Whether the cause may be that there is no room for the -shm file: SQLite does without it under an exclusive lock. */
export function lacksSharedMemory(error: unknown): boolean {
  return error instanceof SqliteError && /^SQLITE_(IOERR|CANTOPEN|FULL)/.test(error.code);
}

export interface Trouble {
  readonly problem: string;
  readonly remedy: string;
}

/** What to tell a person who has to free the database. */
export function describeEnvironment(path: string, error: unknown): Trouble {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const problem = `${path} cannot be written: ${error instanceof Error ? error.message : 'unknown error'}`;
  const folder = path.slice(0, path.lastIndexOf('/')) || '/';
  if (/^SQLITE_FULL/.test(code)) return { problem, remedy: `Free some space: df -h ${folder}` };
  if (/^SQLITE_(BUSY|LOCKED|PROTOCOL)/.test(code)) {
    return { problem, remedy: `Close whatever else has it open: fuser -v ${path}` };
  }
  return { problem, remedy: `Check space, permissions and mount: df -h ${folder}; ls -la ${folder}` };
}

/**
 * Removes a key that seals nothing (any more) from its home. Returns why it is still there; never rejects.
 *
 * @param inUse the id of the key that does seal: a damaged note about another one must not cost it.
 */
export async function removeUnusedKek(
  unused: RecordedKek,
  inUse: string,
  { kekHomes, log }: CacheOptions,
): Promise<string | undefined> {
  if (unused.id === inUse) return undefined;
  try {
    const home = kekHomes.find(({ kind }) => kind === unused.home);
    if (home !== undefined) await removeFrom(home, unused.id);
    return undefined;
  } catch (error) {
    const left = error instanceof Error ? error.message : 'unknown error';
    log.warn({ home: unused.home, reason: left }, 'a key that seals nothing any more could not be removed yet');
    return left;
  }
}

async function removeFrom(home: KekHome, id: string): Promise<void> {
  await home.keeper?.remove(id);
  if (home.writer === undefined) return;
  for (const slot of ['current', 'next'] as const) {
    const reading = home.read(slot);
    if (reading.state === 'reachable' && reading.kek.id === id) home.writer.clear(slot);
  }
}
