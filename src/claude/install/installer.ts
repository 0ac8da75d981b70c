import { rmSync } from 'node:fs';
import path from 'node:path';
import { BrokerError } from '../../errors.ts';
import { type Backup, keepBackup } from '../settings/backups.ts';
import { followLinks, makeFolders, readIfThere, removeEmptyFolders, replaceFile } from '../settings/replace-file.ts';
import { helperLines, recordLines } from './enrol.ts';
import { exclusively } from './lock.ts';
import { type InstallInput, planInstall, planUninstall, type UninstallInput, type WritePlan } from './plan.ts';
import { CLAUDE_RECORDS, type FileRecord, type RecordStore } from './undo.ts';

/** Other programs write settings files too; more often than this in a row is a program gone wild. */
const ATTEMPTS = 8;

export interface InstallerContext {
  readonly stateDir: string;
  readonly uid: number;
  /** Milliseconds since the epoch, for the names of backups. */
  readonly now: number;
}

export interface InstallRequest extends InstallInput {
  /** Says what would change and touches nothing. */
  readonly dryRun: boolean;
  /** For folders and a file that are not there yet. */
  readonly folderMode: number;
  readonly fileMode: number;
}

interface UninstallRequest extends UninstallInput {
  readonly dryRun: boolean;
}

export interface InstallOutcome {
  /** With all symbolic links followed. */
  readonly file: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
  readonly backup: Backup | undefined;
  /** After an uninstall: the file holds the very bytes from before. */
  readonly exact: boolean;
  /** What is recorded for `allow` (platform/enrolment.ts) has changed. */
  readonly enrolled: boolean;
}

/**
 * Puts the additions into a settings file and changes no other byte of it.
 *
 * @throws SettingsSyntaxError for a broken file · BrokerError ERR_DENIED where another value is set and
 * `force` is not · ERR_UNSAFE_FILE, ERR_IO.
 */
export function install(context: InstallerContext, request: InstallRequest): InstallOutcome {
  return changeFile(context, request, CLAUDE_RECORDS, {
    plan: (current, record, file) => planInstall(current, record, { ...request, file }),
    done: (file) => recordLines(context, file, request.target, helperLines(request.additions, file, request.target)),
  });
}

/**
 * Takes out what `install` put in. The file gets its old bytes back if nobody edited it since, and loses only what
 * was put in if somebody did.
 *
 * @throws as `install`.
 */
export function uninstall(context: InstallerContext, request: UninstallRequest): InstallOutcome {
  return changeFile(context, request, CLAUDE_RECORDS, {
    plan: (current, record, file) => planUninstall(current, record, { ...request, file }),
    done: (file) => recordLines(context, file, request.target, []),
  });
}

interface FileChange {
  readonly file: string;
  readonly dryRun: boolean;
  readonly folderMode?: number;
  readonly fileMode?: number;
}

interface FileChanger<R extends FileRecord> {
  plan(current: Buffer | undefined, record: R | undefined, file: string): WritePlan<R>;
  /** Once the file is as planned, with the lock still held. @returns what `enrolled` is to be. */
  done?(file: string): boolean;
}

/** Changes a file that other programs write too: nothing of theirs is lost, and the way back is recorded first. */
export function changeFile<R extends FileRecord>(
  context: InstallerContext,
  request: FileChange,
  records: RecordStore<R>,
  { plan, done }: FileChanger<R>,
): InstallOutcome {
  const file = followLinks(request.file);
  const planFor = (current: Buffer | undefined) => plan(current, records.read(context.stateDir, file), file);
  if (request.dryRun) {
    const current = readIfThere(file);
    return outcome(file, current, planFor(current));
  }
  return exclusively(context.stateDir, context.uid, () => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const current = readIfThere(file);
      const planned = planFor(current);
      const backup = planned.loses
        ? keepBackup({ ...context, file, content: current ?? Buffer.alloc(0), reason: planned.loses })
        : undefined;
      if (!write(context, request, records, file, current, planned)) continue;
      return outcome(file, current, planned, backup, done?.(file));
    }
    throw new BrokerError('ERR_IO', `${file} keeps changing while it is edited`, {
      remedy: 'close the programs that write it and try again',
    });
  });
}

function write<R extends FileRecord>(
  context: InstallerContext,
  request: FileChange,
  records: RecordStore<R>,
  file: string,
  current: Buffer | undefined,
  plan: WritePlan<R>,
) {
  const unchanged = current === undefined ? plan.content === undefined : plan.content?.equals(current);
  const folders = plan.content === undefined ? [] : makeFolders(path.dirname(file), request.folderMode ?? 0o700);
  if (plan.record !== undefined) {
    const createdFolders = [...new Set([...plan.record.createdFolders, ...folders])];
    records.write(context.stateDir, context.uid, { ...plan.record, createdFolders });
  }
  if (!unchanged) {
    if (plan.content === undefined) {
      const now = readIfThere(file);
      if (now !== undefined && current !== undefined && !now.equals(current)) return false;
      rmSync(file, { force: true });
      removeEmptyFolders(plan.removeFolders);
    } else if (!replaceFile(file, current, plan.content, request.fileMode ?? 0o600)) return false;
  }
  if (plan.record === undefined) records.remove(context.stateDir, file);
  return true;
}

function outcome(
  file: string,
  current: Buffer | undefined,
  { content, exact }: Pick<WritePlan, 'content' | 'exact'>,
  backup?: Backup,
  enrolled = false,
): InstallOutcome {
  return { file, before: current?.toString('utf8'), after: content?.toString('utf8'), backup, exact, enrolled };
}
