import { closeSync, openSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import type { ParentFacts, ProcessFacts } from './native.ts';

/** What Linux shows of a process: proc(5). Nothing in here throws; what cannot be read is undefined. */
interface ProcessStat extends ParentFacts {
  /** As the kernel shortens it. */
  readonly name: string;
  readonly session: number;
  readonly hasTerminal: boolean;
}

/** undefined if there is no such process. */
export function statOf(pid: number, proc = '/proc'): ProcessStat | undefined {
  const stat = startOf(`${proc}/${pid}/stat`);
  // `pid (name) state ppid pgrp session tty_nr …`, the start as field 22; the name may hold anything, parentheses included.
  const end = stat?.lastIndexOf(')') ?? -1;
  if (stat === undefined || end < 0) return undefined;
  const name = stat.slice(stat.indexOf('(') + 1, end);
  const fields = stat.slice(end + 2).split(' ');
  const [ppid = Number.NaN, processGroup = Number.NaN, session = Number.NaN, terminal] = fields.slice(1, 5).map(Number);
  const startTime = fields[19];
  if (![ppid, processGroup, session].every(Number.isInteger) || startTime === undefined) return undefined;
  return { ppid, processGroup, session, hasTerminal: terminal !== 0, startTime, name };
}

/** The same facts as the addon's, more slowly. */
export function processInfo(pid: number): ProcessFacts | undefined {
  const stat = statOf(pid);
  if (stat === undefined) return undefined;
  const { ppid, processGroup, startTime, name } = stat;
  const executable = attempt(() => readlinkSync(`/proc/${pid}/exe`));
  const argv = attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, 3)) ?? [];
  const words = argv.filter((word) => word !== '');
  return { ppid, processGroup, startTime, name, ...(executable === undefined ? {} : { executable }), argv: words };
}

/** undefined where the environment cannot be read. */
export function variablesOf(
  pid: number,
  names: readonly string[],
  proc = '/proc',
): readonly (string | undefined)[] | undefined {
  const environment = attempt(() => readFileSync(`${proc}/${pid}/environ`));
  if (environment === undefined) return undefined;
  const values = names.map((name) => valueIn(environment, name));
  environment.fill(0);
  return values;
}

/** Makes a string of this one variable only: others may be secrets, and strings cannot be wiped. */
function valueIn(environment: Buffer, name: string): string | undefined {
  const start = Buffer.from(`${name}=`);
  const isFirst = environment.subarray(0, start.length).equals(start);
  const before = isFirst ? 0 : environment.indexOf(`\0${name}=`) + 1;
  if (!isFirst && before === 0) return undefined;
  const from = before + start.length;
  const end = environment.indexOf(0, from);
  return environment.toString('utf8', from, end === -1 ? environment.length : end);
}

/** Longer than what is looked for in any of these files; a command line that fills it is none of ours. */
const scratch = Buffer.alloc(32_768);

/** The beginning of a file of /proc, which comes with one read(2). */
export function startOf(file: string, room = scratch.length): string | undefined {
  return attempt(() => {
    const fd = openSync(file, 'r');
    try {
      const length = readSync(fd, scratch, 0, room, 0);
      const text = scratch.toString('utf8', 0, length);
      // Command lines hold other people's secrets.
      scratch.fill(0, 0, length);
      return text;
    } finally {
      closeSync(fd);
    }
  });
}

export function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
