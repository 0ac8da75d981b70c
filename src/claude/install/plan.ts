import { BrokerError } from '../../errors.ts';
import { applyEdits } from '../../platform/text-edits.ts';
import { parseSettings, type SettingsPath, valueAt } from '../settings/document.ts';
import { type Addition, type EditPlan, isPresent, planEdits, removeProperty } from '../settings/edit.ts';
import { runsBrokerHelper } from '../shell/helper-command.ts';
import { type FileRecord, type InstallRecord, type RecordedAddition, sha256, undo } from './undo.ts';

/** What a settings file is to hold next; pure, so that a dry run and the real one cannot differ. */
export interface WritePlan<R extends FileRecord = InstallRecord> {
  /** undefined: the file goes. */
  readonly content: Buffer | undefined;
  /** undefined: nothing of ours is left in the file. */
  readonly record: R | undefined;
  /** Why a backup is due: something of somebody else's is lost. */
  readonly loses: string | undefined;
  readonly removeFolders: readonly string[];
  readonly exact: boolean;
}

export interface InstallInput {
  readonly file: string;
  /** What the additions are for: `api-key`, `otel`, …; the name under which they are taken out again. */
  readonly target: string;
  readonly additions: readonly Addition[];
  /** Replace a value that this program did not write; a backup is kept. */
  readonly force: boolean;
}

export interface UninstallInput {
  readonly file: string;
  /** Only what was put in for this; undefined: everything. */
  readonly target: string | undefined;
  readonly force: boolean;
}

/** Takes out what was installed before and puts old and new in together, so that there is always one way back. */
export function planInstall(
  current: Buffer | undefined,
  record: InstallRecord | undefined,
  input: InstallInput,
): WritePlan {
  if (current !== undefined) parseSettings(current, input.file);
  const before = record?.additions ?? [];
  // What was installed before and is not asked for again stays: a second install adds to the first.
  const asks = (old: RecordedAddition) => input.additions.some(({ path }) => samePath(path, old.addition.path));
  const kept = before.filter((old) => !asks(old));
  const asked = input.additions.map((addition) => {
    const forced = before.some((old) => old.forced && samePath(old.addition.path, addition.path));
    return { target: input.target, addition, forced: input.force || forced };
  });
  return place(current, record, [...kept, ...asked], input.file);
}

/** @throws BrokerError ERR_DENIED if there is only a helper that this program did not write, unless `force`. */
export function planUninstall(
  current: Buffer | undefined,
  record: InstallRecord | undefined,
  input: UninstallInput,
): WritePlan {
  if (current !== undefined) parseSettings(current, input.file);
  const kept = (record?.additions ?? []).filter(({ target }) => input.target !== undefined && target !== input.target);
  if (record !== undefined && kept.length < record.additions.length) {
    if (kept.length > 0) return place(current, record, kept, input.file);
    const { content, exact } = undo(current, record);
    return { content, record: undefined, loses: undefined, removeFolders: record.createdFolders, exact };
  }
  if (record !== undefined || (input.target ?? 'api-key') !== 'api-key') return unchanged(current, record);
  return withoutRecord(current, input);
}

/** A line of ours whose record is gone: its property goes, and what else is there stays. */
function withoutRecord(current: Buffer | undefined, input: UninstallInput): WritePlan {
  const document = current === undefined ? undefined : parseSettings(current, input.file);
  const helper = valueAt(document?.root, ['apiKeyHelper']);
  if (document === undefined || helper === undefined) return unchanged(current, undefined);
  const ours = typeof helper === 'string' && runsBrokerHelper(helper);
  if (!ours && !input.force) {
    throw new BrokerError('ERR_DENIED', `the apiKeyHelper in ${input.file} was not written by this program`, {
      remedy: 'remove the line by hand, or add --force to remove it with a backup',
    });
  }
  const content = Buffer.from(removeProperty(document.text, ['apiKeyHelper']));
  const loses = ours ? undefined : 'an apiKeyHelper of another origin was removed';
  return { content, record: undefined, loses, removeFolders: [], exact: false };
}

function place(
  current: Buffer | undefined,
  record: InstallRecord | undefined,
  wanted: readonly RecordedAddition[],
  file: string,
): WritePlan {
  const base = record === undefined ? { content: current, exact: true } : undo(current, record);
  const document = parseSettings(base.content ?? Buffer.alloc(0), file);
  const missing = wanted.filter(({ addition }) => !isPresent(document.root, addition));
  if (missing.length === 0 && record === undefined) return unchanged(current, undefined);
  const plan = planEdits(
    document,
    missing.map(({ addition }) => addition),
    file,
  );
  const loses = judgeReplaced(plan, missing, file);
  const text = applyEdits(document.text, plan.edits);
  const content = Buffer.from(text);
  const result = parseSettings(content, file);
  if (missing.some(({ addition }) => !isPresent(result.root, addition))) {
    throw new BrokerError(
      'ERR_INTERNAL',
      `the edit of ${file} would not have had its effect; the file was left as it is`,
    );
  }
  return {
    content,
    record: {
      version: 1,
      file,
      before: base.content === undefined ? null : sha256(base.content),
      after: sha256(content),
      edits: [...plan.edits],
      created: plan.created.map((path) => [...path]),
      createdFolders: record?.createdFolders ?? [],
      additions: missing.map((entry) => ({ ...entry, addition: onlyFresh(document.root, entry.addition) })),
    },
    // What it replaces has its backup already if this program wrote the file last.
    loses: current !== undefined && record?.after === sha256(current) ? undefined : loses,
    removeFolders: [],
    exact: base.exact,
  };
}

function judgeReplaced(plan: EditPlan, wanted: readonly RecordedAddition[], file: string): string | undefined {
  let loses: string | undefined;
  for (const { path, line, old } of plan.replaced) {
    if (typeof old === 'string' && runsBrokerHelper(old)) continue;
    const name = path.join('.');
    if (!wanted.some((entry) => entry.forced && samePath(entry.addition.path, path))) {
      throw new BrokerError('ERR_DENIED', `"${name}" is already set at ${file}:${line}, and not by this program`, {
        remedy: 'remove the line by hand, or add --force to replace it with a backup',
      });
    }
    loses = `"${name}" of another origin was replaced`;
  }
  return loses;
}

/** Items that were in the list before are not ours to take out again. */
function onlyFresh(root: Parameters<typeof valueAt>[0], addition: Addition): RecordedAddition['addition'] {
  if ('value' in addition) return { path: [...addition.path], value: addition.value };
  const held = valueAt(root, addition.path);
  const items = addition.items.filter((item) => !(Array.isArray(held) && held.includes(item)));
  return { path: [...addition.path], items };
}

function samePath(a: SettingsPath, b: SettingsPath): boolean {
  return a.length === b.length && a.every((name, index) => name === b[index]);
}

function unchanged(current: Buffer | undefined, record: InstallRecord | undefined): WritePlan {
  return { content: current, record, loses: undefined, removeFolders: record?.createdFolders ?? [], exact: true };
}
