import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { changeFile, type InstallerContext, type InstallOutcome } from '../claude/install/installer.ts';
import type { WritePlan } from '../claude/install/plan.ts';
import { fileRecordSchema, type RecordStore, recordStore, undoExactly } from '../claude/install/undo.ts';
import { writtenKey } from '../config/positions.ts';
import { TomlDocument } from '../config/toml-document.ts';
import { BrokerError } from '../errors.ts';
import { applyEdits, type TextEdit } from '../platform/text-edits.ts';
import { isOurs, parseCodexConfig, providerOf, providersOf } from './codex-config.ts';

export const MARK = '# Written by `broker codex install`; `broker codex uninstall` takes it out again.';

const recordSchema = fileRecordSchema.extend({
  provider: z.string(),
  command: z.string(),
  /** The provider's own keys, if it was made. */
  made: z.object({ name: z.string(), base_url: z.string() }).nullable(),
  forced: z.boolean(),
  /** Beside each edit what it is about, for a file that was edited since. */
  paths: z.array(z.array(z.string())),
});
export type CodexRecord = z.infer<typeof recordSchema>;
export const CODEX_RECORDS: RecordStore<CodexRecord> = recordStore('codex', recordSchema);

/** @throws BrokerError ERR_CONFIG for a file that is not TOML, ERR_USAGE, ERR_IO. */
export function uninstallCodex(
  context: InstallerContext,
  request: { readonly file: string; readonly dryRun: boolean },
): InstallOutcome & { readonly edits: CodexRecord['edits'] } {
  let edits: CodexRecord['edits'] = [];
  const outcome = changeFile(context, request, CODEX_RECORDS, {
    plan: (current, record, file) => {
      edits = record?.edits ?? [];
      return planCodexUninstall(current, record, file);
    },
  });
  return { ...outcome, edits };
}

/** @throws BrokerError ERR_CONFIG for a file that is not TOML, ERR_USAGE. */
export function planCodexUninstall(
  current: Buffer | undefined,
  record: CodexRecord | undefined,
  file: string,
): WritePlan<CodexRecord> {
  if (current !== undefined) parseCodexConfig(current, file);
  const nothing = { record: undefined, loses: undefined, removeFolders: record?.createdFolders ?? [] };
  if (record !== undefined) return { ...nothing, ...undoCodex(current, record, file) };
  if (current === undefined) return { ...nothing, content: undefined, exact: true };
  // The record is gone: our commands go, and what else is there stays.
  let text = current.toString('utf8');
  for (const provider of providersOf(TomlDocument.parse(text, file).values)) {
    if (isOurs(provider)) text = withoutAuth(text, provider.name, file);
  }
  const content = Buffer.from(text);
  return { ...nothing, content, exact: content.equals(current) };
}

export function undoCodex(current: Buffer | undefined, record: CodexRecord, file: string) {
  const exact = undoExactly(current, record);
  if (exact !== undefined || current === undefined) return exact ?? { content: undefined, exact: false };
  const text = takeOut(current.toString('utf8'), record, file);
  const isEmpty = /^\uFEFF?\s*$/.test(text);
  return { content: record.before === null && isEmpty ? undefined : Buffer.from(text), exact: false };
}

/** Somebody edited the file since: what was put in goes where it still stands, and is looked for where it does not. */
function takeOut(current: string, record: CodexRecord, file: string): string {
  let text = current;
  let isSelected = false;
  for (const [index, { inserted, removed }] of record.edits.entries()) {
    const path = record.paths[index] ?? [];
    if (removed !== '') text = restored(text, path, { inserted, removed }, record, file);
    else if (path[0] === 'model_provider') isSelected = true;
    else text = withoutRun(text, inserted);
  }
  const { provider, command, made } = record;
  if (providerOf(TomlDocument.parse(text, file).values, provider).command === command)
    text = withoutAuth(text, provider, file);
  if (made !== null) text = withoutProvider(text, provider, made, file);
  const document = TomlDocument.parse(text, file);
  const pair = document.pair(['model_provider']);
  if (!isSelected || pair === undefined || document.valueAt(['model_provider']) !== provider) return text;
  return edited(text, document.removePair(pair));
}

/** What was inserted goes if it stands there once and the rest is still TOML without it. */
function withoutRun(text: string, run: string): string {
  const at = text.indexOf(run);
  if (run === '' || at === -1 || text.indexOf(run, at + 1) !== -1) return text;
  const candidate = text.slice(0, at) + text.slice(at + run.length);
  return parsedOr(candidate, '') === undefined ? text : candidate;
}

/** What was replaced or taken out comes back, unless somebody has put another value there. */
function restored(
  text: string,
  path: readonly string[],
  { inserted, removed }: Pick<TextEdit, 'inserted' | 'removed'>,
  { command, provider }: CodexRecord,
  file: string,
): string {
  const document = TomlDocument.parse(text, file);
  const isOurCommand = path.at(-1) === 'auth' && providerOf(document.values, provider).command === command;
  const pair = document.pair(path);
  const section = document.section(inserted === '' ? path.slice(0, -1) : path);
  let edit: TextEdit | undefined;
  if (inserted === '') {
    if (section !== undefined && document.valueAt(path) === undefined) edit = document.putBack(section, removed);
  } else if (pair !== undefined) {
    if (isOurCommand || document.valueText(pair) === inserted) edit = document.replaceValue(pair, removed);
  } else if (section !== undefined && isOurCommand) {
    edit = { ...document.removeSection(section), inserted: removed };
  }
  const candidate = edit === undefined ? text : edited(text, edit);
  return parsedOr(candidate, file) === undefined ? text : candidate;
}

function withoutAuth(text: string, provider: string, file: string): string {
  const document = TomlDocument.parse(text, file);
  const path = ['model_providers', provider, 'auth'];
  const section = document.section(path);
  const pair = document.pair(path);
  if (section !== undefined) return edited(text, document.removeSection(section));
  if (pair === undefined) throw notEdited(`[${path.map(writtenKey).join('.')}] is written as dotted keys`, file);
  return edited(text, document.removePair(pair));
}

/** If it is as it was made: what somebody added to it makes it theirs. */
function withoutProvider(text: string, provider: string, made: object, file: string): string {
  const document = TomlDocument.parse(text, file);
  const path = ['model_providers', provider];
  if (!isDeepStrictEqual(plain(document.valueAt(path)), plain(made))) return text;
  const section = document.section(path);
  const pair = document.pair(path);
  if (pair !== undefined) return edited(text, document.removePair(pair));
  if (section === undefined) return text;
  return edited(text, document.removeSection(section)).replace(`${MARK}\r\n`, '').replace(`${MARK}\n`, '');
}

function edited(text: string, edit: TextEdit): string {
  return applyEdits(text, [edit]);
}

export function parsedOr(text: string, file: string): unknown {
  try {
    return TomlDocument.parse(text, file).values;
  } catch {
    return undefined;
  }
}

/** Without the prototypes and classes of the parser. */
export function plain(values: unknown): unknown {
  return JSON.parse(JSON.stringify(values ?? null, (_, value) => (typeof value === 'bigint' ? `${value}n` : value)));
}

export function notEdited(what: string, file: string): BrokerError {
  return new BrokerError('ERR_USAGE', `${what}: ${file} cannot be edited here, and was left as it is`, {
    remedy: 'see the lines with --print and write them by hand',
  });
}
