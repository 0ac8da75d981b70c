import { createHash } from 'node:crypto';
import { rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { BrokerError } from '../../errors.ts';
import { namesQuietly, readTextQuietly, writeFileAtomically } from '../../platform/files.ts';
import { ensurePrivateFolder } from '../../platform/place-rules.ts';

/** A copy of a file as it was before something was changed in it that this program had not written. May hold secrets: 0600. */
export interface Backup {
  /** `20261122T220500Z-1a2b3c4d`; what `broker claude backups --delete` takes. */
  readonly id: string;
  /** The file that it is a copy of. */
  readonly file: string;
  /** RFC 3339. */
  readonly at: string;
  readonly reason: string;
  readonly copy: string;
  readonly bytes: number;
}

const SUFFIX = '.backup';
/** Of the note that says whose copy it is. */
const LARGEST_BYTES = 65_536;

interface BackupInput {
  readonly stateDir: string;
  readonly uid: number;
  readonly file: string;
  readonly content: Uint8Array;
  readonly reason: string;
  readonly now: number;
}

/** Keeps a copy; the same content of the same file is kept once. */
export function keepBackup(input: BackupInput): Backup {
  const folder = backupFolder(input.stateDir);
  ensurePrivateFolder(input.stateDir, input.uid);
  ensurePrivateFolder(folder, input.uid);
  const at = new Date(input.now).toISOString();
  const digest = createHash('sha256').update(input.file).update('\0').update(input.content).digest('hex').slice(0, 8);
  const same = listBackups(input.stateDir).find((backup) => backup.file === input.file && backup.id.endsWith(digest));
  if (same !== undefined) return same;
  const id = `${at.replaceAll(/[-:]|\.\d+/g, '')}-${digest}`;
  const copy = path.join(folder, id + SUFFIX);
  writeFileAtomically(copy, input.content, 0o600);
  const note = { file: input.file, at, reason: input.reason };
  writeFileAtomically(path.join(folder, `${id}.json`), `${JSON.stringify(note)}\n`, 0o600);
  return { id, ...note, copy, bytes: input.content.byteLength };
}

/** Newest first. A note that cannot be read is left out: the copy beside it is still there. */
export function listBackups(stateDir: string): Backup[] {
  const folder = backupFolder(stateDir);
  const backups: Backup[] = [];
  for (const name of namesQuietly(folder).filter((name) => name.endsWith(SUFFIX))) {
    const id = name.slice(0, -SUFFIX.length);
    const copy = path.join(folder, name);
    try {
      const note = JSON.parse(readTextQuietly(path.join(folder, `${id}.json`), LARGEST_BYTES) ?? '') as Backup;
      backups.push({ id, file: note.file, at: note.at, reason: note.reason, copy, bytes: statSync(copy).size });
    } catch {}
  }
  return backups.sort((a, b) => b.at.localeCompare(a.at));
}

/**
 * @param id one backup's id, or `all`.
 * @throws BrokerError ERR_USAGE for an unknown id.
 */
export function deleteBackups(stateDir: string, id: string): Backup[] {
  const chosen = listBackups(stateDir).filter((backup) => id === 'all' || backup.id === id);
  if (chosen.length === 0 && id !== 'all') {
    throw new BrokerError('ERR_USAGE', `there is no backup ${id}`, { remedy: 'list them: broker claude backups' });
  }
  for (const backup of chosen) {
    rmSync(backup.copy, { force: true });
    rmSync(path.join(backupFolder(stateDir), `${backup.id}.json`), { force: true });
  }
  return chosen;
}

function backupFolder(stateDir: string): string {
  return path.join(stateDir, 'backups');
}
