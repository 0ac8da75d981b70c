import { readFileSync, readlinkSync } from 'node:fs';
import type { ParentFacts, ProcessFacts, ProcessReader } from './process-tree.ts';

/** Looks at processes through Linux's /proc without the addon: slower, and the same facts. proc(5). */
export const procReader: ProcessReader = { processParent, processInfo };

function processParent(pid: number): ParentFacts | undefined {
  return readStat(pid);
}

function processInfo(pid: number): ProcessFacts | undefined {
  const stat = readStat(pid);
  if (stat === undefined) return undefined;
  const executable = attempt(() => readlinkSync(`/proc/${pid}/exe`));
  const argv = attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, 3)) ?? [];
  return { ...stat, ...(executable === undefined ? {} : { executable }), argv: argv.filter((word) => word !== '') };
}

function readStat(pid: number): (ParentFacts & { readonly name: string }) | undefined {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  // The name is in parentheses and may hold any character, parentheses included.
  const end = stat?.lastIndexOf(')') ?? -1;
  if (stat === undefined || end < 0) return undefined;
  const name = stat.slice(stat.indexOf('(') + 1, end);
  const fields = stat.slice(end + 2).split(' ');
  const [ppid, processGroup, startTime] = [Number(fields[1]), Number(fields[2]), fields[19]];
  return Number.isInteger(ppid) && startTime !== undefined ? { ppid, processGroup, startTime, name } : undefined;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
