import { isDeepStrictEqual } from 'node:util';
import { changeFile, type InstallerContext, type InstallOutcome } from '../claude/install/installer.ts';
import type { WritePlan } from '../claude/install/plan.ts';
import { sha256 } from '../claude/install/undo.ts';
import { writtenKey } from '../config/positions.ts';
import type { TomlDocument } from '../config/toml-document.ts';
import { isTable } from '../config/walk.ts';
import { BrokerError } from '../errors.ts';
import { applyEdits, type TextEdit } from '../platform/text-edits.ts';
import { BUILT_IN, isOurs, parseCodexConfig, providerOf } from './codex-config.ts';
import { CODEX_RECORDS, type CodexRecord, MARK, notEdited, parsedOr, plain, undoCodex } from './codex-uninstall.ts';

/** What a person asks for; pure data, so that a dry run and the real one cannot differ. */
export interface CodexWish {
  /** undefined: as before, else the one that is selected, else `broker`. */
  readonly provider: string | undefined;
  /** Of a provider that is to be made; undefined: OpenAI's own. */
  readonly baseUrl: string | undefined;
  readonly displayName: string | undefined;
  /** Write `model_provider` too. */
  readonly select: boolean;
  readonly command: string;
  readonly args: readonly string[];
  readonly timeoutMs: number;
  readonly refreshMs: number;
  /** Replace or take out what this program did not write; a backup is kept. */
  readonly force: boolean;
}

export const OWN_PROVIDER = 'broker';
const OPENAI_URL = 'https://api.openai.com/v1';

/** An edit with the path of what it is about. */
interface NamedEdit {
  readonly path: readonly string[];
  readonly edit: TextEdit;
  /** What it takes from somebody else. */
  readonly loses?: string;
}

/** @throws BrokerError ERR_CONFIG for a file that is not TOML, ERR_DENIED for what is somebody else's, ERR_USAGE, ERR_IO. */
export function installCodex(
  context: InstallerContext,
  request: { readonly file: string; readonly dryRun: boolean },
  wish: CodexWish,
): InstallOutcome & { readonly edits: CodexRecord['edits'] } {
  let edits: CodexRecord['edits'] = [];
  const outcome = changeFile(context, { ...request, folderMode: 0o700, fileMode: 0o600 }, CODEX_RECORDS, {
    plan: (current, record, file) => {
      const plan = planCodexInstall(current, record, wish, file);
      edits = plan.record?.edits ?? [];
      return plan;
    },
  });
  return { ...outcome, edits };
}

/** @throws BrokerError ERR_CONFIG for a file that is not TOML, ERR_DENIED for what is somebody else's, ERR_USAGE. */
export function planCodexInstall(
  current: Buffer | undefined,
  record: CodexRecord | undefined,
  wish: CodexWish,
  file: string,
): WritePlan<CodexRecord> {
  if (current !== undefined) parseCodexConfig(current, file);
  const base = record === undefined ? { content: current, exact: true } : undoCodex(current, record, file);
  const document = parseCodexConfig(base.content ?? Buffer.alloc(0), file);
  const name = wish.provider ?? record?.provider ?? usualProvider(document);
  const isAgain = record?.provider === name;
  const settled = { ...wish, provider: name, force: wish.force || (isAgain && record.forced) };
  const made = madeProvider(document, settled, file);
  // At the same place, which is the end of a file without a last line break, the first edit comes first.
  const edits = [
    ...(wish.select ? selectEdits(document, settled, file) : []),
    ...rivalEdits(document, settled, file),
    ...providerEdits(document, settled, made, file),
  ];
  const text = applyEdits(
    document.text,
    edits.map(({ edit }) => edit),
  );
  requireEffect(document, settled, made, text, file);
  const content = Buffer.from(text);
  const isUnchanged = edits.length === 0;
  const loses = edits.flatMap(({ loses }) => loses ?? []).join('; ');
  return {
    content: isUnchanged ? base.content : content,
    record: isUnchanged
      ? undefined
      : {
          version: 1,
          file,
          before: base.content === undefined ? null : sha256(base.content),
          after: sha256(content),
          edits: edits.map(({ edit }) => edit),
          paths: edits.map(({ path }) => [...path]),
          createdFolders: record?.createdFolders ?? [],
          provider: name,
          command: wish.command,
          made: made ?? null,
          forced: settled.force,
        },
    // What it replaces has its backup already if this program wrote the file last.
    loses: loses === '' || (current !== undefined && record?.after === sha256(current)) ? undefined : loses,
    removeFolders: [],
    exact: base.exact,
  };
}

/** The one that the person uses, if it is one of theirs. */
function usualProvider(document: TomlDocument): string {
  const selected = document.valueAt(['model_provider']);
  const isTheirs =
    typeof selected === 'string' && !BUILT_IN.has(selected) && providerOf(document.values, selected).isDefined;
  return isTheirs ? selected : OWN_PROVIDER;
}

type SettledWish = CodexWish & { readonly provider: string };

/** What a new provider's table is to say; undefined: there is one of this name. */
function madeProvider(document: TomlDocument, wish: SettledWish, file: string): CodexRecord['made'] | undefined {
  const { provider, baseUrl = OPENAI_URL, displayName = provider } = wish;
  if (BUILT_IN.has(provider)) {
    throw new BrokerError('ERR_USAGE', `"${provider}" is a provider of Codex's own, which cannot be given a command`, {
      remedy: `leave out --provider: one called "${OWN_PROVIDER}" is made, and it uses ${OPENAI_URL} unless --base-url is given`,
    });
  }
  const present = document.valueAt(['model_providers', provider]);
  if (present === undefined) return { name: displayName, base_url: baseUrl };
  if (!isTable(present)) throw notEdited(`model_providers.${writtenKey(provider)} is not a table`, file);
  const known = providerOf(document.values, provider).baseUrl;
  if (wish.baseUrl !== undefined && wish.baseUrl !== known) {
    throw new BrokerError(
      'ERR_DENIED',
      `[model_providers.${writtenKey(provider)}] in ${file} has another base_url, and not by this program`,
      { remedy: 'leave out --base-url, or make a provider of another name with --provider' },
    );
  }
  return undefined;
}

/** Keys that Codex does not take beside a command. */
function rivalEdits(document: TomlDocument, { provider, force }: SettledWish, file: string): NamedEdit[] {
  return providerOf(document.values, provider).rivals.map((key) => {
    const path = ['model_providers', provider, key];
    const pair = document.pair(path);
    const line = pair === undefined ? '' : `:${document.lineOf(pair.start)}`;
    const table = `[model_providers.${writtenKey(provider)}]`;
    if (!force) {
      throw new BrokerError(
        'ERR_DENIED',
        `${table} has ${key} (${file}${line}), which Codex refuses beside a command`,
        {
          remedy: `take the line out by hand, add --force to take it out with a backup, or add --provider ${OWN_PROVIDER} for a provider of its own`,
        },
      );
    }
    if (pair === undefined) throw notEdited(`${key} of ${table} is a table`, file);
    return { path, edit: document.removePair(pair), loses: `${key} of ${table} was taken out` };
  });
}

function providerEdits(
  document: TomlDocument,
  wish: SettledWish,
  made: CodexRecord['made'] | undefined,
  file: string,
): NamedEdit[] {
  const provider = ['model_providers', wish.provider];
  const path = [...provider, 'auth'];
  const keys = authKeys(wish);
  const value = inlineTable(keys);
  const header = (...names: string[]) => `[${['model_providers', wish.provider, ...names].map(writtenKey).join('.')}]`;
  const pairs = (table: Readonly<Record<string, string>>) =>
    Object.entries(table).map(([key, written]) => `${key} = ${written}`);
  if (made !== undefined) {
    const own = { name: JSON.stringify(made?.name), base_url: JSON.stringify(made?.base_url) };
    const all = document.pair(['model_providers']);
    if (all?.value.isInlineTable) {
      const entry = `${writtenKey(wish.provider)} = ${inlineTable({ ...own, auth: value })}`;
      return [{ path: provider, edit: document.addInline(all, entry) }];
    }
    const isAlone = document.text.trim() === '' && wish.select;
    const lines = [...(isAlone ? [''] : []), MARK, header(), ...pairs(own), '', header('auth'), ...pairs(keys)];
    return [{ path: provider, edit: document.addAtEnd(lines) }];
  }
  const present = document.valueAt(path);
  if (present !== undefined) return authReplaced(document, wish, path, keys, file);
  const inline = document.pair(provider);
  if (inline !== undefined) return [{ path, edit: document.addInline(inline, `auth = ${value}`) }];
  const dotted = document.lastDotted(provider);
  if (dotted !== undefined) {
    const names = path.slice(dotted.path.length - dotted.depth).map(writtenKey);
    const statement = `${names.join('.')} = ${value}`;
    if (!dotted.isInline) return [{ path, edit: document.addBehind(dotted, statement) }];
    return [{ path, edit: { offset: dotted.value.end, removed: '', inserted: `, ${statement}` } }];
  }
  return [{ path, edit: document.addAtEnd([MARK, header('auth'), ...pairs(keys)]) }];
}

/** There is a command already: ours with other words, or somebody else's. */
function authReplaced(
  document: TomlDocument,
  wish: SettledWish,
  path: readonly string[],
  keys: Readonly<Record<string, string>>,
  file: string,
): NamedEdit[] {
  const known = providerOf(document.values, wish.provider);
  const table = `[model_providers.${writtenKey(wish.provider)}.auth]`;
  if (isDeepStrictEqual(document.valueAt(path), authValues(wish))) return [];
  if (!isOurs(known) && !wish.force) {
    throw new BrokerError('ERR_DENIED', `${table} in ${file} has another command, and not by this program`, {
      remedy: `take it out by hand, add --force to replace it with a backup, or add --provider ${OWN_PROVIDER} for a provider of its own`,
    });
  }
  const loses = isOurs(known) ? {} : { loses: `${table} of another origin was replaced` };
  const pair = document.pair(path);
  if (pair !== undefined) return [{ path, edit: document.replaceValue(pair, inlineTable(keys)), ...loses }];
  const section = document.section(path);
  if (section === undefined) throw notEdited(`${table} is written as dotted keys`, file);
  const { offset, removed } = document.removeSection(section);
  const eol = removed.includes('\r\n') ? '\r\n' : '\n';
  const header = `[${path.map(writtenKey).join('.')}]`;
  const lines = [header, ...Object.entries(keys).map(([key, written]) => `${key} = ${written}`)];
  return [{ path, edit: { offset, removed, inserted: lines.map((line) => line + eol).join('') }, ...loses }];
}

function selectEdits(document: TomlDocument, { provider, force }: SettledWish, file: string): NamedEdit[] {
  const path = ['model_provider'];
  const selected = document.valueAt(path);
  if (selected === provider) return [];
  const pair = document.pair(path);
  if (pair === undefined) return [{ path, edit: document.addToRoot(`model_provider = ${JSON.stringify(provider)}`) }];
  if (!force) {
    throw new BrokerError(
      'ERR_DENIED',
      `model_provider is already set at ${file}:${document.lineOf(pair.start)}, and not by this program`,
      {
        remedy: `add --no-select to leave it (then start codex -c model_provider=${provider}), or --force to replace it with a backup`,
      },
    );
  }
  const edit = document.replaceValue(pair, JSON.stringify(provider));
  return [{ path, edit, loses: 'model_provider of another origin was replaced' }];
}

function authValues({ command, args, timeoutMs, refreshMs }: SettledWish) {
  return { command, args: [...args], timeout_ms: timeoutMs, refresh_interval_ms: refreshMs };
}

function authKeys({ command, args, timeoutMs, refreshMs }: SettledWish): Readonly<Record<string, string>> {
  return {
    command: JSON.stringify(command),
    args: `[${args.map((word) => JSON.stringify(word)).join(', ')}]`,
    timeout_ms: String(timeoutMs),
    refresh_interval_ms: String(refreshMs),
  };
}

function inlineTable(table: Readonly<Record<string, string>>): string {
  return `{ ${Object.entries(table)
    .map(([key, written]) => `${key} = ${written}`)
    .join(', ')} }`;
}

/** The values of the result are those of before, with what was asked for and nothing else changed. */
function requireEffect(
  before: TomlDocument,
  wish: SettledWish,
  made: CodexRecord['made'] | undefined,
  text: string,
  file: string,
): void {
  const wanted = plain(before.values) as Record<string, unknown>;
  const tables = (wanted['model_providers'] ?? {}) as Record<string, Record<string, unknown>>;
  const table = tables[wish.provider] ?? { ...made };
  for (const key of providerOf(before.values, wish.provider).rivals) delete table[key];
  table['auth'] = authValues(wish);
  wanted['model_providers'] = { ...tables, [wish.provider]: table };
  if (wish.select) wanted['model_provider'] = wish.provider;
  if (!isDeepStrictEqual(plain(parsedOr(text, file)), wanted)) {
    throw notEdited('the edit would not have its effect', file);
  }
}
