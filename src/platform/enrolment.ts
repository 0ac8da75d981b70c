import { lstatSync, rmSync } from 'node:fs';
import path from 'node:path';
import { shellWord } from '../errors.ts';
import type { Enrolment, HelperLine } from './attestation.ts';
import { readRegularFile, writeFileAtomically } from './files.ts';
import { ensurePrivateFolder, type Flaw, flawOf } from './place-rules.ts';

/** What `allow` knows a client and its helper calls by: written by `broker claude install`, read for every call that it concerns. */
export interface EnrolmentRecord extends Enrolment {
  readonly lines: readonly RecordedLine[];
  /** Why the file counts for nothing. */
  readonly flaw?: Flaw | undefined;
}

export interface RecordedLine extends HelperLine {
  /** The settings file that has it, all links followed. */
  readonly file: string;
  /** `api-key`, `otel`, … */
  readonly target: string;
}

const NOTHING: EnrolmentRecord = { lines: [], clients: [] };
const LARGEST_BYTES = 256 * 1024;
/** The client itself takes no longer setting that makes sense; command lines are compared up to 32 KiB. */
const LONGEST_LINE = 8_192;

export function enrolmentFile(stateDir: string): string {
  return path.join(stateDir, 'claude', 'enrolment.json');
}

/** Never throws. A file that others could have written, or that is not whole, counts as none. */
export function readEnrolment(stateDir: string, uid: number): EnrolmentRecord {
  const file = enrolmentFile(stateDir);
  const reading = readRegularFile(file, { maxBytes: LARGEST_BYTES, followLinks: false });
  if (reading.state === 'absent') return NOTHING;
  const again = `remove it, and write it again: rm ${shellWord(file)}, then broker claude install`;
  if (reading.state === 'refused') return { ...NOTHING, flaw: { reason: `${file} ${reading.fault}`, remedy: again } };
  const folder = path.dirname(file);
  const folderStats = lstatSync(folder, { throwIfNoEntry: false });
  const flaw =
    (folderStats && flawOf(folder, folderStats, 'private', uid)) ?? flawOf(file, reading.stats, 'private', uid);
  if (flaw !== undefined) return { ...NOTHING, flaw };
  const record = parse(reading.bytes.toString());
  return record ?? { ...NOTHING, flaw: { reason: `${file} is damaged`, remedy: again } };
}

/** To be called by one process at a time. An enrolment with nothing in it has no file. */
export function writeEnrolment(stateDir: string, uid: number, { lines, clients }: EnrolmentRecord): void {
  const file = enrolmentFile(stateDir);
  if (lines.length === 0 && clients.length === 0) {
    rmSync(file, { force: true });
    return;
  }
  ensurePrivateFolder(path.dirname(file), uid);
  writeFileAtomically(file, `${JSON.stringify({ version: 1, lines, clients }, undefined, 1)}\n`, 0o600);
}

function parse(text: string): EnrolmentRecord | undefined {
  try {
    const { version, lines, clients } = JSON.parse(text) as Record<string, unknown>;
    if (version !== 1 || !Array.isArray(lines) || !Array.isArray(clients)) return undefined;
    return lines.every(isLine) && clients.every(isClient) ? { lines, clients } : undefined;
  } catch {
    return undefined;
  }
}

function isLine(value: unknown): value is RecordedLine {
  const { line, words, file, target } = (value ?? {}) as Partial<Record<keyof RecordedLine, unknown>>;
  if (![line, file, target].every((text) => typeof text === 'string' && text !== '')) return false;
  return String(line).length <= LONGEST_LINE && Array.isArray(words) && words.every((word) => typeof word === 'string');
}

function isClient(value: unknown): value is Enrolment['clients'][number] {
  const { id, path: file } = (value ?? {}) as Partial<Record<'id' | 'path', unknown>>;
  return typeof id === 'string' && /^\d+:\d+$/.test(id) && typeof file === 'string';
}
