import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { BrokerError, shellWord } from '../../errors.ts';
import type { Finding, Fix } from '../checks/check.ts';
import type { InstallerContext } from '../install/installer.ts';
import { exclusively } from '../install/lock.ts';
import { keepBackup } from '../settings/backups.ts';
import { parseSettings } from '../settings/document.ts';
import { removeProperty } from '../settings/edit.ts';
import { profileDiff, settingsDiff } from '../settings/masked-diff.ts';
import { followLinks, readIfThere, replaceFile } from '../settings/replace-file.ts';
import { type ProfileSyntax, removalIn } from '../shell/profile-library.ts';
import { TTL_VARIABLE } from '../shell/variables.ts';

/** One repair, shown before it is made. */
export interface Repair {
  readonly finding: Finding;
  readonly fix: Fix;
  /** What changes, values masked. */
  readonly diff: string;
  /** Takes a way to log in away, or edits a shell profile: only with `--yes`. */
  readonly needsYes: boolean;
}

/**
 * The repairs that are open to `--fix`, with their diffs; files of administrators, of projects and of other users are
 * left to their owners. Nothing is changed.
 */
export function planRepairs(findings: readonly Finding[], mayEdit: (file: string) => boolean): Repair[] {
  const repairs: Repair[] = [];
  for (const finding of findings) {
    const { fix } = finding;
    const isPlanned = repairs.some((each) => JSON.stringify(each.fix) === JSON.stringify(fix));
    if (fix === undefined || isPlanned || !mayEdit(fix.file)) continue;
    const diff = diffOf(fix);
    if (diff === undefined) continue;
    const isInterval = fix.kind === 'remove-setting' && fix.path.at(-1) === TTL_VARIABLE;
    repairs.push({ finding, fix, diff, needsYes: fix.kind !== 'chmod' && !isInterval });
  }
  return repairs;
}

/**
 * Makes one repair, with a 0600 backup of the file as it was in the state folder.
 *
 * @returns the path of the backup; undefined where the content did not change.
 * @throws BrokerError ERR_IO if the file changed meanwhile or cannot be written.
 */
export function repair(context: InstallerContext, { fix, finding }: Repair): string | undefined {
  if (fix.kind === 'chmod') {
    chmodSync(fix.file, fix.mode);
    return undefined;
  }
  return exclusively(context.stateDir, context.uid, () => {
    const change = changeFor(fix);
    if (change === undefined) throw moved(fix.file);
    const { file, before, after } = change;
    const backup = keepBackup({ ...context, file, content: before, reason: `broker doctor --fix: ${finding.id}` });
    if (!replaceFile(file, before, Buffer.from(after), 0o600)) throw moved(file);
    return backup.copy;
  });
}

function moved(file: string): BrokerError {
  return new BrokerError('ERR_IO', `${file} changed while it was looked at`, { remedy: 'run broker doctor again' });
}

function diffOf(fix: Fix): string | undefined {
  if (fix.kind === 'chmod') return `chmod ${fix.mode.toString(8)} ${shellWord(fix.file)}`;
  try {
    const change = changeFor(fix);
    if (change === undefined) return undefined;
    const before = change.before.toString('utf8');
    return fix.kind === 'remove-assignment'
      ? profileDiff(fix.file, before, change.after)
      : settingsDiff(fix.file, before, change.after, []);
  } catch {
    return undefined;
  }
}

type ContentFix = Exclude<Fix, { kind: 'chmod' }>;

/** undefined: the file does not hold what was found in it. */
function changeFor(fix: ContentFix) {
  const file = followLinks(fix.file);
  const before = readIfThere(file);
  const after =
    before && (fix.kind === 'remove-assignment' ? withoutAssignment(before, fix) : withoutSetting(before, fix));
  return before === undefined || after === undefined ? undefined : { file, before, after };
}

function withoutSetting(content: Buffer, { file, path }: Extract<Fix, { kind: 'remove-setting' }>): string | undefined {
  const { text } = parseSettings(content, file);
  const without = removeProperty(text, path);
  return without === text ? undefined : without;
}

/** Exactly one assignment goes; every other byte stays, and so do the numbers of the lines, for the repairs that follow. */
function withoutAssignment(content: Buffer, fix: Extract<Fix, { kind: 'remove-assignment' }>): string | undefined {
  const text = content.toString('utf8');
  // Bytes that are not UTF-8 would not survive the way through text.
  if (!Buffer.from(text).equals(content)) return undefined;
  const removal = removalIn(text, fix);
  if (removal?.isSafe !== true) return undefined;
  const { start, end, replacement } = removal;
  const behind = text.slice(end);
  const note =
    replacement !== '' && /^[ \t]*(\n|$)/.test(behind)
      ? `${fix.syntax === 'environment' ? '' : ' #'} ${fix.name} was taken out by broker doctor; see: broker claude backups`
      : '';
  const after = `${text.slice(0, start)}${replacement}${note}${behind}`;
  return readersOf(fix.syntax, text).every((reader) => reads(reader, after)) ? after : undefined;
}

/** The shells that may read such a file, told to read a text and run nothing of it. */
const READERS: Readonly<Record<ProfileSyntax, readonly (readonly string[])[]>> = {
  sh: [
    ['bash', '--norc', '-n', '/dev/stdin'],
    ['zsh', '-fn', '/dev/stdin'],
  ],
  fish: [['fish', '--no-config', '--no-execute', '/dev/stdin']],
  environment: [],
  'fish-universal': [],
};

/** The shells that are there and understand the text as it is. */
function readersOf(syntax: ProfileSyntax, text: string): readonly (readonly string[])[] {
  return READERS[syntax].filter((reader) => reads(reader, text));
}

function reads([program = '', ...args]: readonly string[], text: string): boolean {
  return spawnSync(program, args, { input: text, stdio: ['pipe', 'ignore', 'ignore'], timeout: 5000 }).status === 0;
}
