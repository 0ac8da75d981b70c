import path from 'node:path';
import { BrokerError } from '../errors.ts';
import { findDefinition } from '../providers/registry.ts';
import type { Machine } from './machine.ts';
import {
  connectionQuestions,
  everyQuestion,
  PROVIDER_KINDS,
  type ProviderKind,
  type Question,
  sourceQuestions,
  VAULT_LOGINS,
} from './questions.ts';

/** What a person wants set up, as far as it is known. Keys are those of the configuration file. */
export interface Draft {
  kind: ProviderKind | undefined;
  /** Of `[providers.NAME]`; undefined: a free one is chosen. */
  providerName: string | undefined;
  /** The provider's own keys but `auth`. */
  readonly options: Record<string, string>;
  /** `[providers.NAME.auth]`; without a method there is no such table. */
  readonly auth: Record<string, string | number>;
  /** Where the secret is. */
  readonly source: Record<string, string>;
  field: string | undefined;
  credential: string | undefined;
  scope: SettingsScope | undefined;
  service: boolean | undefined;
  /** `allow`: the key is for the client's own helper calls only. */
  guard: boolean | undefined;
}

/** Whose settings get the `apiKeyHelper` line. */
export type SettingsScope = 'user' | 'project-local' | 'none';

/** A draft in which nothing is missing. */
export interface Plan {
  readonly kind: ProviderKind;
  readonly providerName: string;
  readonly options: Readonly<Record<string, string>>;
  readonly auth: Readonly<Record<string, string | number>>;
  readonly source: Readonly<Record<string, string>>;
  readonly field: string | undefined;
  readonly credential: string;
}

/** What the command line says, by the names that commander gives to flags. */
export type Flags = Readonly<Record<string, string | boolean | undefined>>;

export function draftOf(flags: Flags, folders: Folders): Draft {
  const draft: Draft = {
    kind: PROVIDER_KINDS.find(({ kind }) => kind === flags['provider'])?.kind,
    providerName: text(flags['providerName']),
    options: {},
    auth: {},
    source: {},
    field: text(flags['field']),
    credential: text(flags['credential']),
    scope: flags['scope'] as Draft['scope'],
    service: flags['service'] === false ? false : undefined,
    guard: flags['guard'] === true ? true : undefined,
  };
  const method = text(flags['auth']);
  if (method !== undefined) draft.auth['method'] = method;
  const fitting = questionsOf(draft);
  for (const question of everyQuestion()) {
    const answer = text(flags[camelCase(question.flag)]);
    if (answer === undefined) continue;
    // The same flag may belong to several logins, under another key.
    const meant = fitting.find(({ flag }) => flag === question.flag);
    if (meant === undefined && draft.kind !== undefined) throw unfit(question, draft);
    const { into, key } = meant ?? question;
    draft[into][key] = normalise(meant ?? question, answer, folders) as string;
  }
  return draft;
}

/** Where there is no terminal to ask at: what this machine knows is taken, and what is still missing is told all at once. */
export function completeWithoutAsking(draft: Draft, machine: Machine): void {
  const questions = questionsOf(draft);
  for (const question of questions) {
    const found = question.found?.(machine);
    if (found !== undefined) draft[question.into][question.key] ??= found;
  }
  const missing = questions.filter((question) => question.needed && !isAnswered(question, questions, draft));
  const flags = missing.map(({ flag, example }) => `--${flag} ${example ?? '…'}`);
  if (draft.kind === 'vault' && draft.auth['method'] === undefined) {
    flags.push(`--auth ${Object.keys(VAULT_LOGINS).join('|')}`);
  }
  if (draft.kind === undefined) flags.push(`--provider ${PROVIDER_KINDS.map(({ kind }) => kind).join('|')}`);
  if (flags.length === 0) return;
  throw new BrokerError('ERR_USAGE', 'there is no terminal to ask at, and not every answer was given', {
    remedy: `add: ${flags.join(' ')}`,
  });
}

function camelCase(flag: string): string {
  return flag.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function questionsOf({ kind, auth }: Draft): readonly Question[] {
  if (kind === undefined) return [];
  return [...connectionQuestions(kind, auth['method'] as string | undefined), ...sourceQuestions(kind)];
}

export function isAnswered(question: Question, questions: readonly Question[], draft: Draft): boolean {
  if (draft[question.into][question.key] !== undefined) return true;
  const other = questions.find(({ flag }) => flag === question.instead);
  return other !== undefined && draft[other.into][other.key] !== undefined;
}

function unfit({ flag }: Question, { kind, auth }: Draft): BrokerError {
  const method = auth['method'];
  const what = kind === 'vault' && method !== undefined ? `provider vault with --auth ${method}` : `provider ${kind}`;
  const remedy = kind === 'vault' && method === undefined ? 'say how to log in with --auth' : 'leave it out';
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
  if (question.isNumber) {
    if (/^\d{1,9}$/.test(value)) return Number(value);
    throw new BrokerError('ERR_USAGE', `--${question.flag} takes a number`, {
      remedy: `write --${question.flag} 8250`,
    });
  }
  return question.isFile ? absolute(value, folders) : value;
}

function absolute(file: string, { homeDir, cwd }: Folders): string {
  if (file.startsWith('~/')) return file;
  const full = path.resolve(cwd, file);
  return full.startsWith(`${homeDir}/`) && homeDir !== '/' ? `~${full.slice(homeDir.length)}` : full;
}

type Environment = Readonly<Record<string, string | undefined>>;
type Options = Readonly<Record<string, string>>;

/** A variable exported once, for something else, must not make a daemon trust any certificate. */
const NEVER = new Set(['skip_verify']);

/**
 * What this shell's variables say of keys that no question is about: a namespace, certificates, the proxy on the way. A
 * daemon does not inherit them, so they have to be in the configuration.
 */
export function withEnvironment(kind: ProviderKind, options: Options, env: Environment, folders: Folders): Options {
  const asked = connectionQuestions(kind, undefined).filter(({ needed, asked }) => needed || asked);
  const left = new Set([...NEVER, ...asked.map(({ key }) => key)]);
  const filled: Record<string, string> = { ...options };
  for (const [key, contributed] of Object.entries(findDefinition(kind)?.environmentDefaults ?? {})) {
    if (left.has(key) || key.includes('.') || filled[key] !== undefined) continue;
    const variables = 'variablesFor' in contributed ? contributed.variablesFor(filled, env) : contributed;
    const value = variables.map((name) => env[name]).find((text) => text !== undefined && text !== '');
    if (value !== undefined) filled[key] = key.endsWith('_file') ? absolute(value, folders) : value;
  }
  return filled;
}
