import { rmSync } from 'node:fs';
import path from 'node:path';
import { BrokerError } from '../../errors.ts';
import { type Backup, keepBackup } from '../settings/backups.ts';
import type { Addition } from '../settings/edit.ts';
import { followLinks, makeFolders, readIfThere, removeEmptyFolders, replaceFile } from '../settings/replace-file.ts';
import { helperLines, recordLines } from './enrol.ts';
import { exclusively } from './lock.ts';
import { type InstallInput, planInstall, planUninstall, type UninstallInput, type WritePlan } from './plan.ts';
import { readRecord, removeRecord, writeRecord } from './undo.ts';

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
  return carryOut(
    context,
    request,
    (current, file) => planInstall(current, readRecord(context.stateDir, file), { ...request, file }),
    request.additions,
  );
}

/**
 * Takes out what `install` put in. The file gets its old bytes back if nobody edited it since, and loses only what
 * was put in if somebody did.
 *
 * @throws as `install`.
 */
export function uninstall(context: InstallerContext, request: UninstallRequest): InstallOutcome {
  return carryOut(context, request, (current, file) =>
    planUninstall(current, readRecord(context.stateDir, file), { ...request, file }),
  );
}

type Planner = (current: Buffer | undefined, file: string) => WritePlan;
type Request = { file: string; target: string | undefined; dryRun: boolean; folderMode?: number; fileMode?: number };

function carryOut(
  context: InstallerContext,
  request: Request,
  plan: Planner,
  additions: readonly Addition[] = [],
): InstallOutcome {
  const file = followLinks(request.file);
  if (request.dryRun) {
    const current = readIfThere(file);
    return outcome(file, current, plan(current, file));
  }
  return exclusively(context.stateDir, context.uid, () => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const current = readIfThere(file);
      const planned = plan(current, file);
      const backup = planned.loses
        ? keepBackup({ ...context, file, content: current ?? Buffer.alloc(0), reason: planned.loses })
        : undefined;
      if (!write(context, request, file, current, planned)) continue;
      const lines = helperLines(additions, file, request.target ?? '');
      return outcome(file, current, planned, backup, recordLines(context, file, request.target, lines));
    }
    throw new BrokerError('ERR_IO', `${file} keeps changing while it is edited`, {
      remedy: 'close the programs that write it (Claude Code among them) and try again',
    });
  });
}

function write(
  context: InstallerContext,
  request: Request,
  file: string,
  current: Buffer | undefined,
  plan: WritePlan,
) {
  const unchanged = current === undefined ? plan.content === undefined : plan.content?.equals(current);
  const folders = plan.content === undefined ? [] : makeFolders(path.dirname(file), request.folderMode ?? 0o700);
  if (plan.record !== undefined) {
    const createdFolders = [...new Set([...plan.record.createdFolders, ...folders])];
    writeRecord(context.stateDir, context.uid, { ...plan.record, createdFolders });
  }
  if (!unchanged) {
    if (plan.content === undefined) {
      const now = readIfThere(file);
      if (now !== undefined && current !== undefined && !now.equals(current)) return false;
      rmSync(file, { force: true });
      removeEmptyFolders(plan.removeFolders);
    } else if (!replaceFile(file, current, plan.content, request.fileMode ?? 0o600)) return false;
  }
  if (plan.record === undefined) removeRecord(context.stateDir, file);
  return true;
}

function outcome(
  file: string,
  current: Buffer | undefined,
  { content, exact }: WritePlan,
  backup?: Backup,
  enrolled = false,
): InstallOutcome {
  return { file, before: current?.toString('utf8'), after: content?.toString('utf8'), backup, exact, enrolled };
}
