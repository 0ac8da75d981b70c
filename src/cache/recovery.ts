import { accessSync, constants, lstatSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { SqliteError } from 'better-sqlite3';
import { BrokerError, codeOf, shellWord } from '../errors.ts';
import { failpoint } from '../platform/failpoints.ts';
import { birthOf, identityOf } from '../platform/files.ts';
import { packageCommands } from '../platform/installation.ts';
import type { Log } from '../platform/log.ts';
import { firstLine, timestamp } from '../platform/text.ts';

export const databasePath = (stateDir: string): string => join(stateDir, 'cache.db');

/** What a person should know, and what they can do about it. */
export interface Trouble {
  readonly problem: string;
  readonly remedy: string;
}

export function refused({ problem, remedy }: Trouble): BrokerError {
  return new BrokerError('ERR_IO', problem, { remedy });
}

interface SetAsideOptions {
  readonly stateDir: string;
  readonly log: Log;
  readonly wallMs: () => number;
}

/** What SQLite keeps beside a database: a write-ahead log belongs to its database, wherever that goes. -shm: of old versions. */
const SUFFIXES = ['', '-wal', '-shm', '-journal'] as const;

/**
 * Renames a database with everything that belongs to it to `PATH.LABEL`, never overwriting: nothing that a person may
 * still want is destroyed. Returns the new path.
 */
export function setAside(path: string, label: string): string {
  let target = `${path}.${label}`;
  for (let attempt = 2; SUFFIXES.some((suffix) => isThere(target + suffix)); attempt += 1) {
    target = `${path}.${label}-${attempt}`;
  }
  // The database last: if this is cut short, what is left is a database without its log, not a log without its database.
  for (const suffix of SUFFIXES.toReversed()) {
    if (!isThere(path + suffix)) continue;
    renameSync(path + suffix, target + suffix);
    failpoint('database.half-aside');
  }
  keepNewest(path);
  return target;
}

/** Also by a link that leads nowhere: `existsSync` goes by what a link leads to. */
function isThere(path: string): boolean {
  return birthOf(path) !== undefined;
}

/** Sets aside what took the place of a database under the running daemon, if anything did. */
export function setReplacedAside({ stateDir, log, wallMs }: SetAsideOptions): void {
  const path = databasePath(stateDir);
  if (!SUFFIXES.some((suffix) => isThere(path + suffix))) return;
  const target = setAside(path, `replaced-${timestamp(wallMs())}`);
  log.warn({ setAside: target }, 'what took the place of the database under the running daemon was set aside');
}

/** What decides whether database and key can be had: changes when somebody changes it. */
export function surroundingsOf(stateDir: string): string {
  const path = databasePath(stateDir);
  return [stateDir, path, `${path}-wal`, join(stateDir, 'kek')].map(identityOf).join(' ');
}

/** A disk that damages one database after the other must not be filled with them. */
const SET_ASIDE_KEPT = 3;

/** Of what was set aside from `path` only the newest stay, each with what belongs to it. Never throws. */
export function keepNewest(path: string): void {
  try {
    const [folder, prefix] = [dirname(path), `${basename(path)}.`];
    const newest = new Map<string, bigint>();
    for (const name of readdirSync(folder)) {
      if (!SET_ASIDE.test(name.slice(prefix.length)) || !name.startsWith(prefix)) continue;
      const base = name.replace(/-(?:wal|shm|journal)$/, '');
      // A rename changes the time of the inode.
      const stats = lstatSync(join(folder, name), { bigint: true });
      if (stats.isDirectory()) continue;
      const { ctimeNs } = stats;
      newest.set(
        base,
        [newest.get(base) ?? 0n, ctimeNs].reduce((a, b) => (a > b ? a : b)),
      );
    }
    const old = [...newest].sort(([, a], [, b]) => (a < b ? 1 : -1)).slice(SET_ASIDE_KEPT);
    for (const [base] of old) for (const suffix of SUFFIXES) rmSync(join(folder, `${base}${suffix}`), { force: true });
  } catch {
    // A folder that cannot be read or written: the next time.
  }
}

/** The labels that this program gives: other files beside the database are somebody's own. */
const SET_ASIDE = /^(?:before|corrupt|discarded|newer|replaced)-/;

/** Sets a database aside as damaged, newer or foreign. @returns what to tell a person. Throws what the file system throws. */
export function setDamagedAside({ stateDir, log, wallMs }: SetAsideOptions, error: unknown): Trouble {
  const path = databasePath(stateDir);
  const label = error instanceof ForeignDatabaseError ? error.label : undefined;
  const target = setAside(path, label ?? `corrupt-${timestamp(wallMs())}`);
  const reason = error instanceof Error ? firstLine(error.message) : 'damaged';
  const problem = `${path} could not be used (${reason}) and was set aside as ${target}`;
  log.error({ setAside: target }, problem);
  const remedy =
    'Nothing has to be done: keys are fetched again. Delete the file set aside when it is not needed any more.';
  return { problem, remedy };
}

/**
 * environment: the file may be perfectly well, but cannot be used now (disk full, read-only, locked): leave it alone
 * and try again. damaged: what is in it cannot be trusted: set it aside.
 */
type DatabaseFailure = 'environment' | 'damaged';

const ENVIRONMENT =
  /^SQLITE_(BUSY|LOCKED|FULL|READONLY|CANTOPEN|PERM|NOMEM|INTERRUPT|PROTOCOL|IOERR(?!_(SHORT_READ|CORRUPTFS|DATA)))/;

/** The file is a database that this version must not touch: newer, or not ours. */
export class ForeignDatabaseError extends Error {
  /** What it is set aside as; undefined: as a damaged one is. */
  readonly label: string | undefined;

  constructor(message: string, label?: string) {
    super(message);
    this.label = label;
  }
}

export class DamagedDatabaseError extends Error {}

export function classifyFailure(error: unknown): DatabaseFailure {
  if (error instanceof DamagedDatabaseError || error instanceof ForeignDatabaseError) return 'damaged';
  // Flipped bits in the stored schema surface as plain SQLITE_ERROR ("no such column"), so whatever SQLite says that
  // is not about the file's surroundings counts as damage.
  return error instanceof SqliteError && !ENVIRONMENT.test(error.code) ? 'damaged' : 'environment';
}

/** What to tell a person who has to free the database. */
export function describeEnvironment(path: string, error: unknown): Trouble {
  const code = codeOf(error);
  const why = error instanceof Error ? firstLine(error.message) : 'unknown error';
  if (/^(?:ERR_DLOPEN_FAILED|MODULE_NOT_FOUND)$/.test(code)) return libraryTrouble(why);
  const folder = dirname(path);
  const quoted = shellWord(folder);
  const blocked = /^SQLITE_FULL/.test(code) ? undefined : notWritable(path);
  if (blocked !== undefined) {
    const mode = blocked === folder ? 'u+rwx' : 'u+rw';
    return { problem: `${blocked} cannot be written: ${why}`, remedy: `run: chmod ${mode} ${shellWord(blocked)}` };
  }
  const problem = `${path} cannot be written: ${why}`;
  if (/^SQLITE_FULL/.test(code)) return { problem, remedy: `Free some space: df -h ${quoted}` };
  if (/^SQLITE_(BUSY|LOCKED|PROTOCOL)/.test(code)) {
    return { problem, remedy: `Close whatever else has it open: fuser -v ${shellWord(path)}` };
  }
  return { problem, remedy: `Check space, permissions and mount: df -h ${quoted}; ls -la ${quoted}` };
}

/** better-sqlite3's binary for Linux is linked against glibc 2.34; what the loader says names the version that is missing. */
function libraryTrouble(why: string): Trouble {
  return {
    problem: `keys are kept in memory only, because SQLite does not load: ${why}`,
    remedy: /GLIBC/.test(why)
      ? 'Use a system with glibc 2.34 or newer, or build better-sqlite3 on this one: broker help prebuilds says how'
      : `Install broker again: ${packageCommands().install}; if that does not help: broker help prebuilds`,
  };
}

/** SQLite names no file: it may be the folder, the database, or something that an unclean end left beside it. */
function notWritable(path: string): string | undefined {
  return [dirname(path), ...SUFFIXES.map((suffix) => path + suffix)].find((file) => {
    try {
      accessSync(file, file === dirname(path) ? constants.W_OK | constants.X_OK : constants.W_OK);
      return false;
    } catch (error) {
      return codeOf(error) === 'EACCES';
    }
  });
}
