import { BrokerError } from '../errors.ts';
import type { Draft } from './draft.ts';
import type { Machine } from './machine.ts';
import { normalise, type Surroundings } from './normalise.ts';
import type { Question } from './question.ts';
import { connectionQuestions, everyQuestion, PROVIDER_KINDS, sourceQuestions } from './questions.ts';
import { VAULT_LOGINS } from './vault-questions.ts';

/** What the command line says, by the names that commander gives to flags. */
export type Flags = Readonly<Record<string, string | boolean | undefined>>;

export function draftOf(flags: Flags, surroundings: Surroundings): Draft {
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
    draft[into][key] = normalise(meant ?? question, answer, surroundings) as string;
  }
  return draft;
}

/** Where nobody can be asked: what this machine knows is taken, and what is still missing is told all at once. */
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

export function camelCase(flag: string): string {
  return flag.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function questionsOf({ kind, auth }: Draft): readonly Question[] {
  if (kind === undefined) return [];
  return [...connectionQuestions(kind, auth['method'] as string | undefined), ...sourceQuestions(kind)];
}

function isAnswered(question: Question, questions: readonly Question[], draft: Draft): boolean {
  if (draft[question.into][question.key] !== undefined) return true;
  const other = questions.find(({ flag }) => flag === question.instead);
  return other !== undefined && draft[other.into][other.key] !== undefined;
}

function unfit({ flag }: Question, { kind, auth }: Draft): BrokerError {
  const method = auth['method'];
  const what = kind === 'vault' && method !== undefined ? `provider vault with --auth ${method}` : `provider ${kind}`;
  const remedy = kind === 'vault' && method === undefined ? 'say how to log in with --auth' : 'leave it out';
  return new BrokerError('ERR_USAGE', `--${flag} says nothing to ${what}`, { remedy });
}

function text(value: string | boolean | undefined): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}
