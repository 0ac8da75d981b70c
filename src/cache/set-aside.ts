import { existsSync, renameSync } from 'node:fs';

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
