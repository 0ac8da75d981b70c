import { chmodSync } from 'node:fs';
import { BrokerError } from '../../errors.ts';
import type { Finding, Fix } from '../checks/check.ts';
import type { InstallerContext } from '../install/installer.ts';
import { exclusively } from '../install/lock.ts';
import { followLinks, keepBackup, readIfThere, replaceFile } from '../settings/backups.ts';
import { parseSettings } from '../settings/document.ts';
import { removeProperty } from '../settings/edit.ts';
import { profileDiff, settingsDiff } from '../settings/masked-diff.ts';
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
    if (fix === undefined || !mayEdit(fix.file)) continue;
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
 * @returns where the backup lies; undefined where the content did not change.
 * @throws BrokerError ERR_IO if the file changed meanwhile or cannot be written.
 */
export function repair(context: InstallerContext, { fix, finding }: Repair): string | undefined {
  if (fix.kind === 'chmod') {
    chmodSync(fix.file, fix.mode);
    return undefined;
  }
  const file = followLinks(fix.file);
  return exclusively(context.stateDir, context.uid, () => {
    const content = readIfThere(file);
    const mended = content === undefined ? undefined : mend(content, fix);
    if (content === undefined || mended === undefined) throw moved(file);
    const backup = keepBackup({ ...context, file, content, reason: `broker doctor --fix: ${finding.id}` });
    if (!replaceFile(file, content, Buffer.from(mended), 0o600)) throw moved(file);
    return backup.copy;
  });
}

function diffOf(fix: Fix): string | undefined {
  if (fix.kind === 'chmod') return `chmod ${fix.mode.toString(8)} ${fix.file}`;
  try {
    const content = readIfThere(followLinks(fix.file));
    const mended = content === undefined ? undefined : mend(content, fix);
    if (content === undefined || mended === undefined) return undefined;
    const before = content.toString('utf8');
    return fix.kind === 'take-line-out'
      ? profileDiff(fix.file, before, mended)
      : settingsDiff(fix.file, before, mended, []);
  } catch {
    return undefined;
  }
}

/** undefined: the file does not hold what was found in it. */
function mend(content: Buffer, fix: Exclude<Fix, { kind: 'chmod' }>): string | undefined {
  if (fix.kind === 'remove-setting') {
    const { text } = parseSettings(content, fix.file);
    const mended = removeProperty(text, fix.path);
    return mended === text ? undefined : mended;
  }
  const text = content.toString('utf8');
  // Bytes that are no UTF-8 would not survive the way through text.
  if (!Buffer.from(text).equals(content)) return undefined;
  const lines = text.split('\n');
  const found = lines.slice(fix.line - 1, fix.lastLine);
  if (found.length === 0 || !found.some((line) => line.includes(fix.name))) return undefined;
  const word = `# ${fix.name} was taken out by broker doctor; see: broker claude backups`;
  for (let at = fix.line - 1; at < fix.lastLine; at += 1) {
    const indent = /^[ \t]*/.exec(lines[at] ?? '')?.[0] ?? '';
    // In sh a block with nothing but a comment is a syntax error. Lines are replaced one by one, so that the numbers
    // of the lines behind them stay right for the repairs that follow.
    lines[at] = `${indent}${fix.syntax === 'sh' ? ': ' : ''}${at === fix.line - 1 ? word : '#'}`;
  }
  return lines.join('\n');
}

function moved(file: string): BrokerError {
  return new BrokerError('ERR_IO', `${file} changed while it was looked at`, { remedy: 'run broker doctor again' });
}
