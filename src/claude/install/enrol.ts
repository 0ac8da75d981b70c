import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { BrokerError } from '../../errors.ts';
import { type EnrolmentRecord, type RecordedLine, readEnrolment, writeEnrolment } from '../../platform/enrolment.ts';
import { isExecutable, programsOnPath, realPathQuietly } from '../../platform/files.ts';
import { isClaudeProgram, isJavaScriptRuntime } from '../../platform/known-clients.ts';
import type { Addition } from '../settings/edit.ts';
import type { SettingsFile } from '../settings/files.ts';
import { parseHelperCommand, runsBrokerHelper } from '../shell/helper-command.ts';
import { exclusively } from './lock.ts';

interface EnrolContext {
  readonly stateDir: string;
  readonly uid: number;
}

/** The lines that the client is going to run, for `allow`. */
export function helperLines(additions: readonly Addition[], file: string, target: string): RecordedLine[] {
  return additions.flatMap((addition) =>
    'value' in addition && addition.path[0] !== 'env' ? [recorded(addition.value, file, target)] : [],
  );
}

/** @param homeDir where it is known: an administrator's line is the same in every home. */
function recorded(line: string, file: string, target: string, homeDir?: string): RecordedLine {
  const { words, simple } = parseHelperCommand(line);
  const expanded = words.map((word) =>
    homeDir !== undefined && word.startsWith('~/') ? homeDir + word.slice(1) : word,
  );
  const isLiteral = simple && !expanded.some((word) => word.startsWith('~'));
  return { line, words: isLiteral ? expanded : [], file, target };
}

/**
 * Replaces what is recorded of this file for this target, or for all of them. The caller holds the installers' lock.
 *
 * @returns whether that changed anything.
 */
export function recordLines(
  { stateDir, uid }: EnrolContext,
  file: string,
  target: string | undefined,
  lines: readonly RecordedLine[],
): boolean {
  const before = readEnrolment(stateDir, uid);
  const isReplaced = (each: RecordedLine) => each.file === file && (target === undefined || each.target === target);
  const after = { ...before, lines: [...before.lines.filter((each) => !isReplaced(each)), ...lines] };
  if (before.flaw === undefined && JSON.stringify(after) === JSON.stringify(before)) return false;
  writeEnrolment(stateDir, uid, after);
  return true;
}

/** An administrator's lines of ours, as they are now: in files of root's that nobody else can write. */
export function recordManagedLines(
  context: EnrolContext & { readonly homeDir: string },
  settings: readonly SettingsFile[],
): void {
  exclusively(context.stateDir, context.uid, () => {
    for (const { scope, file, state, uid, mode, helper } of settings) {
      if (scope !== 'managed') continue;
      const isTrusted = state === 'in-effect' && uid === 0 && (mode & 0o022) === 0;
      const isOurs = isTrusted && helper !== undefined && runsBrokerHelper(helper.value);
      recordLines(context, file, 'managed', isOurs ? [recorded(helper.value, file, 'managed', context.homeDir)] : []);
    }
  });
}

interface ClientProgram {
  readonly path: string;
  /** By its place, or by its device and inode, which an update changes. */
  readonly known: 'by name' | 'enrolled';
}

/**
 * Makes sure that the client is one for `allow`: found under a usual name, or enrolled.
 *
 * @param named by a person; undefined: `claude` on PATH.
 * @returns undefined: there is none, or it is a script, whose interpreter runs other programs as well.
 * @throws BrokerError ERR_USAGE if a person named something else than a program.
 */
export function enrolClient(
  context: EnrolContext,
  named: string | undefined,
  searched: string | undefined,
): ClientProgram | undefined {
  const client = named === undefined ? findClient(searched) : clientAt(named);
  if (client === undefined) {
    if (named === undefined) return undefined;
    throw new BrokerError('ERR_USAGE', `${named} is not a compiled program`, {
      remedy: `name the file that runs (readlink /proc/PID/exe of the client); ${FOR_NODE}`,
    });
  }
  const { path } = client;
  if (isJavaScriptRuntime(path)) {
    throw new BrokerError('ERR_USAGE', `${path} runs every other script as well`, { remedy: FOR_NODE });
  }
  if (isClaudeProgram(path)) return { path, known: 'by name' };
  exclusively(context.stateDir, context.uid, () => {
    const before = readEnrolment(context.stateDir, context.uid);
    const clients = [...before.clients.filter((each) => each.path !== path), client];
    const after: EnrolmentRecord = { ...before, clients };
    writeEnrolment(context.stateDir, context.uid, after);
  });
  return { path, known: 'enrolled' };
}

const FOR_NODE = 'for a Node script: allow = ["claude-code-node"]';

interface FoundClient {
  readonly path: string;
  /** Device and inode. */
  readonly id: string;
}

/** The compiled client on PATH, all links followed. */
export function findClient(searched: string | undefined): FoundClient | undefined {
  const [found] = programsOnPath('claude', searched);
  return found === undefined ? undefined : clientAt(found);
}

function clientAt(file: string): FoundClient | undefined {
  const path = realPathQuietly(file);
  // Opening a named pipe would wait for a writer.
  if (path === undefined || !isExecutable(path) || !isBinary(path)) return undefined;
  const { dev, ino } = statSync(path);
  return { path, id: `${dev}:${ino}` };
}

/** elf(5). */
function isBinary(file: string): boolean {
  return beginsWith(file, '\x7fELF');
}

/** Its interpreter runs in its place. */
export function isScript(file: string): boolean {
  return isExecutable(file) && beginsWith(file, '#!');
}

function beginsWith(file: string, magic: string): boolean {
  try {
    const start = Buffer.alloc(magic.length);
    const fd = openSync(file, 'r');
    try {
      readSync(fd, start, 0, start.length, 0);
    } finally {
      closeSync(fd);
    }
    return start.toString('latin1') === magic;
  } catch {
    return false;
  }
}
