import path from 'node:path';
import { isTable, type Table, valueAt } from '../config/walk.ts';
import { BrokerError } from '../errors.ts';
import { findDefinition } from '../providers/registry.ts';
import { connectionQuestions, everyQuestion, kindOf, kindOfTable, PROVIDER_KINDS } from './kinds.ts';
import type { Machine } from './machine.ts';
import type { ProviderKind, Question } from './questions.ts';

/** What a person wants set up, as far as it is known. Keys are those of the configuration file. */
export interface Draft {
  kind: ProviderKind | undefined;
  /** Of `[providers.NAME]`; undefined: a free one is chosen. */
  providerName: string | undefined;
  /** The provider's own keys but `auth`. */
  readonly options: Record<string, string | number>;
  /** `[providers.NAME.auth]`; without a method there is no such table. */
  readonly auth: Record<string, string | number>;
  /** Where the secret is. */
  readonly source: Record<string, string | number>;
  /** null: none, although there is one; undefined: as it is. */
  field: string | null | undefined;
  credential: string | undefined;
  /** Served where no name is given, although another is today. */
  makeDefault: boolean;
  /** Asks the API itself whether the key is good. */
  checkUrl: string | undefined;
  scope: SettingsScope | undefined;
  service: boolean | undefined;
  /** `allow`: the key is for the client's own helper calls only. */
  guard: boolean | undefined;
  /** The client's line asks for this credential, although it asks for another today. */
  switchClient: boolean | undefined;
}

/** Whose settings get the `apiKeyHelper` line. */
export type SettingsScope = 'user' | 'project-local' | 'none';

/** A draft in which nothing is missing. */
export interface Plan {
  readonly kind: ProviderKind;
  readonly providerName: string;
  readonly options: Answers;
  readonly auth: Answers;
  readonly source: Answers;
  readonly field: string | null | undefined;
  readonly credential: string;
  readonly makeDefault: boolean;
  readonly checkUrl: string | undefined;
}

export const DEFAULT_CREDENTIAL = 'anthropic';

export type Answers = Readonly<Record<string, string | number>>;

/** What the command line says, by the names that commander gives to flags. */
export type Flags = Readonly<Record<string, string | boolean | undefined>>;

/**
 * @param root of the configuration, if what the words leave open is to be as it is: the credential that they name, its
 * provider and where it reads. With another type or another login only what belongs to both stays.
 * @throws BrokerError ERR_USAGE for a flag that belongs to something else.
 */
export function draftOf(flags: Flags, folders: Folders, root: Table = {}): Draft {
  const draft: Draft = {
    kind: PROVIDER_KINDS.find(({ kind }) => kind === flags['provider'])?.kind,
    providerName: text(flags['providerName']),
    options: {},
    auth: {},
    source: {},
    field: text(flags['field']),
    credential: text(flags['credential']),
    makeDefault: flags['default'] === true,
    checkUrl: text(flags['checkUrl']),
    scope: flags['scope'] as Draft['scope'],
    service: flags['service'] === false ? false : undefined,
    guard: flags['guard'] === true ? true : undefined,
    switchClient: flags['switchClient'] === true ? true : undefined,
  };
  // Without a word of which one: the one that is served without a name.
  const isNamed = [draft.kind, draft.providerName, draft.credential].some((word) => word !== undefined);
  if (!isNamed && typeof root['default'] === 'string') draft.credential = root['default'];
  const present = presentFor(draft, root);
  draft.kind ??= present?.kind;
  for (const { ways } of PROVIDER_KINDS) {
    const way = ways && text(flags[ways.flag]);
    if (ways === undefined || way === undefined) continue;
    if (draft.kind !== undefined && kindOf(draft.kind).ways?.flag !== ways.flag) throw unfit(ways.flag, draft);
    draft[ways.into][ways.key] = way;
  }
  const isSameWay = present === undefined || (wayOf(draft) ?? present.way) === present.way;
  const ways = draft.kind && kindOf(draft.kind).ways;
  if (present?.way !== undefined && ways !== undefined) draft[ways.into][ways.key] ??= present.way;
  const fitting = questionsOf(draft);
  for (const question of everyQuestion()) {
    const answer = flagText(flags, question.flag);
    if (answer === undefined) continue;
    // The same flag may belong to several logins, under another key.
    const meant = fitting.find(({ flag }) => flag === question.flag);
    if (meant === undefined && draft.kind !== undefined) throw unfit(question.flag, draft);
    const { into, key } = meant ?? question;
    draft[into][key] = normalise(meant ?? question, answer, folders);
  }
  for (const question of fitting) {
    const value = valueAt(present?.tables[question.into], question.key.split('.'));
    if ((question.into === 'auth' && !isSameWay) || isAnswered(question, fitting, draft)) continue;
    if (typeof value === 'string' || typeof value === 'number') draft[question.into][question.key] = value;
  }
  return draft;
}

/** What is configured of the credential or provider that a draft names. */
export function presentFor({ kind, providerName, credential = DEFAULT_CREDENTIAL }: Draft, root: Table) {
  const source = tableAt(root, ['credentials', credential]);
  const name = providerName ?? (typeof source?.['provider'] === 'string' ? source['provider'] : undefined);
  const options = name === undefined ? undefined : tableAt(root, ['providers', name]);
  const found = options && kindOfTable(options);
  if (options === undefined || found === undefined || (kind ?? found) !== found) return undefined;
  const { ways } = kindOf(found);
  const auth = tableAt(options, ['auth']);
  const way = ways && (ways.into === 'auth' ? (auth?.[ways.key] ?? 'token') : options[ways.key]);
  return { kind: found, way: typeof way === 'string' ? way : undefined, tables: { options, auth, source } };
}

export function tableAt(root: Table, path: readonly string[]): Table | undefined {
  const value = valueAt(root, path);
  return isTable(value) ? value : undefined;
}

/** Where there is no terminal to ask at: what this machine knows is taken, and what is still missing is told all at once. */
export function completeWithoutAsking(draft: Draft, machine: Machine): void {
  const questions = questionsOf(draft);
  for (const question of questions) {
    const found = question.found?.(machine);
    if (found !== undefined && !isAnswered(question, questions, draft)) draft[question.into][question.key] = found;
  }
  const flags = missingFlags(draft);
  if (flags.length === 0) return;
  throw new BrokerError('ERR_USAGE', 'there is no terminal to ask at, and not every answer was given', {
    remedy: `add: ${flags.join(' ')}`,
  });
}

/** What the command line says of a flag; undefined: nothing. */
export function flagText(flags: Flags, flag: string): string | undefined {
  return text(flags[camelCase(flag)]);
}

/** What is needed and not there, as it is given at the command line. */
export function missingFlags(draft: Draft): readonly string[] {
  const questions = questionsOf(draft);
  const missing = questions.filter((question) => question.needed && !isAnswered(question, questions, draft));
  const flags = missing.map(({ flag, example }) => `--${flag} ${example ?? '…'}`);
  const ways = draft.kind && kindOf(draft.kind).ways;
  if (ways !== undefined && wayOf(draft) === undefined) {
    flags.push(`--${ways.flag} ${Object.keys(ways.choices).join('|')}`);
  }
  if (draft.kind === undefined) flags.push(`--provider ${PROVIDER_KINDS.map(({ kind }) => kind).join('|')}`);
  return flags;
}

/** Nothing says what is to be set up. */
export function isEmptyDraft({ kind, providerName, credential, options, auth, source }: Draft): boolean {
  const answers = [options, auth, source].flatMap((answered) => Object.keys(answered));
  return [kind, providerName, credential].every((word) => word === undefined) && answers.length === 0;
}

function camelCase(flag: string): string {
  return flag.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

export function questionsOf(draft: Draft): readonly Question[] {
  const { kind } = draft;
  return kind === undefined ? [] : [...connectionQuestions(kind, wayOf(draft)), ...kindOf(kind).source];
}

/** The login that was chosen, where there are several. */
export function wayOf({ kind, ...draft }: Draft): string | undefined {
  const ways = kind && kindOf(kind).ways;
  const way = ways && draft[ways.into][ways.key];
  return way === undefined ? undefined : String(way);
}

export function isAnswered(question: Question, questions: readonly Question[], draft: Draft): boolean {
  if (draft[question.into][question.key] !== undefined) return true;
  const other = questions.find(({ flag }) => flag === question.instead);
  return other !== undefined && draft[other.into][other.key] !== undefined;
}

function unfit(flag: string, draft: Draft): BrokerError {
  const way = wayOf(draft);
  const ways = draft.kind && kindOf(draft.kind).ways;
  const what = way === undefined ? `provider ${draft.kind}` : `provider ${draft.kind} with --${ways?.flag} ${way}`;
  const remedy = ways !== undefined && way === undefined ? `say how to log in with --${ways.flag}` : 'leave it out';
  return new BrokerError('ERR_USAGE', `--${flag} does not apply to ${what}`, { remedy });
}

function text(value: string | boolean | undefined): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}

export interface Folders {
  readonly homeDir: string;
  readonly cwd: string;
}

/** An answer as the configuration wants it: a number, an absolute path (below the home folder from `~`), or text. */
export function normalise(question: Question, answer: string, folders: Folders): string | number {
  const value = answer.trim();
  // What is not one is told where every answer is checked.
  if (question.isNumber) return /^\d{1,9}$/.test(value) ? Number(value) : value;
  return question.isFile ? absolute(value, folders) : value;
}

function absolute(file: string, { homeDir, cwd }: Folders): string {
  if (file.startsWith('~/')) return file;
  const full = path.resolve(cwd, file);
  return full.startsWith(`${homeDir}/`) && homeDir !== '/' ? `~${full.slice(homeDir.length)}` : full;
}

type Environment = Readonly<Record<string, string | undefined>>;
/** A variable exported once, for something else, must not make a daemon trust any certificate. */
const NEVER = new Set(['skip_verify']);

/**
 * What this shell's variables say of keys that no question is about: a namespace, certificates, the proxy on the way. A
 * daemon does not inherit them, so they have to be in the configuration.
 */
export function withEnvironment(kind: ProviderKind, options: Answers, env: Environment, folders: Folders): Answers {
  const asked = connectionQuestions(kind, undefined).filter(({ needed, asked }) => needed || asked === true);
  const left = new Set([...NEVER, ...asked.map(({ key }) => key)]);
  const filled: Record<string, string | number> = { ...options };
  for (const [key, contributed] of Object.entries(findDefinition(kindOf(kind).type)?.environmentDefaults ?? {})) {
    if (left.has(key) || key.includes('.') || filled[key] !== undefined) continue;
    const variables = 'variablesFor' in contributed ? contributed.variablesFor(filled, env) : contributed;
    const value = variables.map((name) => env[name]).find((text) => text !== undefined && text !== '');
    if (value !== undefined) filled[key] = key.endsWith('_file') ? absolute(value, folders) : value;
  }
  return filled;
}
