import { createHash } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { ensurePrivateFolder } from '../platform/private-folder.ts';

const pathSchema = z.array(z.string()).readonly();
const additionSchema = z.union([
  z.object({ path: pathSchema, value: z.string() }),
  z.object({ path: pathSchema, items: z.array(z.string()).readonly() }),
]);

const schema = z.object({
  version: z.literal(1),
  /** The settings file with all symbolic links followed. */
  file: z.string(),
  /** SHA-256 of the bytes before and after; `before` is null for a file that was not there. */
  before: z.string().nullable(),
  after: z.string(),
  /** With the hashes these are the saved bytes: undoing them gives the file as it was, without a second copy of what may be secret. */
  edits: z.array(z.object({ offset: z.number().int(), removed: z.string(), inserted: z.string() })),
  created: z.array(pathSchema),
  createdFolders: z.array(z.string()),
  additions: z.array(z.object({ target: z.string(), addition: additionSchema, forced: z.boolean() })),
});

/** What `broker claude install` put into one settings file. */
export type InstallRecord = z.infer<typeof schema>;
export type RecordedAddition = InstallRecord['additions'][number];

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A record that is missing or broken counts as none: the file is then judged by what stands in it. */
export function readRecord(stateDir: string, file: string): InstallRecord | undefined {
  try {
    const record = schema.parse(JSON.parse(readFileSync(recordFile(stateDir, file), 'utf8')));
    return record.file === file ? record : undefined;
  } catch {
    return undefined;
  }
}

export function writeRecord(stateDir: string, uid: number, record: InstallRecord): void {
  ensurePrivateFolder(path.dirname(recordFile(stateDir, record.file)), uid);
  const target = recordFile(stateDir, record.file);
  writeFileSync(`${target}.tmp`, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  renameSync(`${target}.tmp`, target);
}

export function removeRecord(stateDir: string, file: string): void {
  rmSync(recordFile(stateDir, file), { force: true });
}

function recordFile(stateDir: string, file: string): string {
  return path.join(stateDir, 'claude', `${sha256(Buffer.from(file)).slice(0, 16)}.json`);
}
