import { type InstallRecord, sha256 } from './install-record.ts';
import { parseSettings } from './settings.ts';
import type { Addition } from './settings-edit.ts';
import { isBare, removeItems, removeProperty } from './settings-removal.ts';
import { nodeAt, valueAt } from './settings-tree.ts';
import { revertEdits } from './text-edits.ts';

export interface Undone {
  /** The file without what was installed; undefined if there was no file. */
  readonly content: Buffer | undefined;
  /** The very bytes from before the installation; otherwise somebody edited the file since and keeps those edits. */
  readonly exact: boolean;
}

/** Takes everything out of a file that its record says was put in; the gentlest way that works is taken. */
export function undo(current: Buffer | undefined, record: InstallRecord): Undone {
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
  return takeOut(current, record);
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
  const { root } = parseSettings(Buffer.from(text), record.file);
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
  const { root } = parseSettings(Buffer.from(text), '');
  return valueAt(root, addition.path) === addition.value ? removeProperty(text, addition.path) : text;
}

function isReadable(text: string, file: string): boolean {
  try {
    parseSettings(Buffer.from(text), file);
    return true;
  } catch {
    return false;
  }
}
