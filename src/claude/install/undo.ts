import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { namesQuietly, readTextQuietly, writeFileAtomically } from '../../platform/files.ts';
import { ensurePrivateFolder } from '../../platform/place-rules.ts';
import { revertEdits } from '../../platform/text-edits.ts';
import { nodeAt, parseSettings, parseTolerantly, valueAt } from '../settings/document.ts';
import { type Addition, isBare, removeItems, removeProperty } from '../settings/edit.ts';

interface Undone {
  /** The file without what was installed; undefined if there was no file. */
  readonly content: Buffer | undefined;
  /** The very bytes from before the installation; otherwise the file was edited since, and those edits stay. */
  readonly exact: boolean;
}

/** Takes everything out of a file that its record says was put in; the gentlest way that works is taken. */
export function undo(current: Buffer | undefined, record: InstallRecord): Undone {
  const exact = undoExactly(current, record);
  return exact ?? takeOut(current ?? Buffer.alloc(0), record);
}

/** undefined: the file was edited since. */
export function undoExactly(current: Buffer | undefined, record: FileRecord): Undone | undefined {
  if (current === undefined) return { content: undefined, exact: record.before === null };
  const hash = sha256(current);
  // The record is written before the file: an installer that died between the two leaves the file as it was.
  if (hash === record.before) return { content: current, exact: true };
  if (hash === record.after) {
    const text = revertEdits(current.toString('utf8'), record.edits);
    const content = text === undefined ? undefined : Buffer.from(text);
    if (record.before === null) return { content: undefined, exact: true };
    if (content !== undefined && sha256(content) === record.before) return { content, exact: true };
  }
  return undefined;
}

/** Somebody edited the file since: first exactly the runs, then the properties, then what was made to hold them. */
function takeOut(current: Buffer, record: InstallRecord): Undone {
  let text = parseSettings(current, record.file).text;
  for (const edit of record.edits) {
    if (edit.removed !== '') text = putBack(text, record, edit.inserted, edit.removed);
    else text = withoutRun(text, edit.inserted, record);
  }
  for (const { addition } of record.additions) text = withoutAddition(text, addition);
  for (const made of record.created.toReversed()) {
    if (isBare(text, made)) text = removeProperty(text, made);
  }
  const nothingLeft = /^\uFEFF?\s*(\{\s*\})?\s*$/.test(text);
  if (record.before === null && nothingLeft) return { content: undefined, exact: false };
  return { content: Buffer.from(text), exact: false };
}

function withoutRun(text: string, run: string, record: InstallRecord): string {
  const at = text.indexOf(run);
  if (run === '' || at === -1 || text.indexOf(run, at + 1) !== -1) return text;
  const candidate = text.slice(0, at) + text.slice(at + run.length);
  // A run from an empty object has no comma: with something behind it now, it cannot go as a whole.
  return isReadable(candidate, record.file) ? candidate : text;
}

function putBack(text: string, record: InstallRecord, inserted: string, removed: string): string {
  const root = parseTolerantly(text);
  for (const { addition } of record.additions) {
    const node = nodeAt(root, addition.path);
    if (node === undefined || !('value' in addition) || JSON.stringify(addition.value) !== inserted) continue;
    if (node.value === addition.value) {
      return text.slice(0, node.offset) + removed + text.slice(node.offset + node.length);
    }
  }
  return text;
}

function withoutAddition(text: string, addition: Addition): string {
  if ('items' in addition) return removeItems(text, addition.path, addition.items);
  return valueAt(parseTolerantly(text), addition.path) === addition.value ? removeProperty(text, addition.path) : text;
}

function isReadable(text: string, file: string): boolean {
  try {
    parseSettings(Buffer.from(text), file);
    return true;
  } catch {
    return false;
  }
}

const pathSchema = z.array(z.string()).readonly();
const additionSchema = z.union([
  z.object({ path: pathSchema, value: z.string() }),
  z.object({ path: pathSchema, items: z.array(z.string()).readonly() }),
]);

/** What every installer keeps of a file that it edited. */
export const fileRecordSchema = z.object({
  version: z.literal(1),
  /** The settings file with all symbolic links followed. */
  file: z.string(),
  /** SHA-256 of the bytes before and after; `before` is null for a file that was not there. */
  before: z.string().nullable(),
  after: z.string(),
  /** With the hashes these are the saved bytes: undoing them gives the file as it was, without a second copy of what may be secret. */
  edits: z.array(z.object({ offset: z.number().int(), removed: z.string(), inserted: z.string() })),
  createdFolders: z.array(z.string()),
});
export type FileRecord = z.infer<typeof fileRecordSchema>;

const schema = fileRecordSchema.extend({
  created: z.array(pathSchema),
  additions: z.array(z.object({ target: z.string(), addition: additionSchema, forced: z.boolean() })),
});

/** What `broker claude install` put into one settings file. */
export type InstallRecord = z.infer<typeof schema>;
export type RecordedAddition = InstallRecord['additions'][number];

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Far more than settings ever get. */
const LARGEST_BYTES = 1024 * 1024;

/** Where an installer keeps its records: one for each file, in a folder of the state folder. */
export interface RecordStore<R extends FileRecord> {
  /** A record that is missing or broken counts as none: the file is then judged by its content. */
  read(stateDir: string, file: string): R | undefined;
  /** Those that something is recorded of. */
  files(stateDir: string): readonly string[];
  write(stateDir: string, uid: number, record: R): void;
  remove(stateDir: string, file: string): void;
}

export function recordStore<R extends FileRecord>(folder: string, schema: z.ZodType<R>): RecordStore<R> {
  const place = (stateDir: string, file: string) =>
    path.join(stateDir, folder, `${sha256(Buffer.from(file)).slice(0, 16)}.json`);
  const parsed = (place: string): R | undefined => {
    try {
      return schema.parse(JSON.parse(readTextQuietly(place, LARGEST_BYTES) ?? ''));
    } catch {
      return undefined;
    }
  };
  return {
    read(stateDir, file) {
      const record = parsed(place(stateDir, file));
      return record?.file === file ? record : undefined;
    },
    files(stateDir) {
      const names = namesQuietly(path.join(stateDir, folder)).filter((name) => /^[0-9a-f]{16}\.json$/.test(name));
      return names.flatMap((name) => parsed(path.join(stateDir, folder, name))?.file ?? []);
    },
    write(stateDir, uid, record) {
      const target = place(stateDir, record.file);
      ensurePrivateFolder(path.dirname(target), uid);
      writeFileAtomically(target, `${JSON.stringify(record)}\n`, 0o600);
    },
    remove: (stateDir, file) => rmSync(place(stateDir, file), { force: true }),
  };
}

export const CLAUDE_RECORDS: RecordStore<InstallRecord> = recordStore('claude', schema);
