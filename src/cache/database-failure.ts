import { SqliteError } from 'better-sqlite3';
import { ForeignDatabaseError } from './migrations.ts';

/**
 * environment: the file may be perfectly well, but cannot be used now (disk full, read-only, locked): leave it alone
 * and try again. damaged: what is in it cannot be trusted: set it aside.
 */
export type DatabaseFailure = 'environment' | 'damaged';

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

export interface Problem {
  readonly problem: string;
  readonly remedy: string;
}

/** What to tell a person who has to free the database. */
export function describeEnvironment(path: string, error: unknown): Problem {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const problem = `${path} cannot be written: ${error instanceof Error ? error.message : 'unknown error'}`;
  const folder = path.slice(0, path.lastIndexOf('/')) || '/';
  if (/^SQLITE_FULL/.test(code)) return { problem, remedy: `Free some space: df -h ${folder}` };
  if (/^SQLITE_(BUSY|LOCKED|PROTOCOL)/.test(code)) {
    return { problem, remedy: `Close whatever else has it open: fuser -v ${path}` };
  }
  return { problem, remedy: `Check space, permissions and mount: df -h ${folder}; ls -la ${folder}` };
}
