import { confirm, isCancel, log, note, select, text } from '@clack/prompts';
import type { Terminal } from '../platform/process-io.ts';
import { NAME } from '../protocol/request.ts';
import { type Draft, type Folders, isAnswered, normalise, type SettingsScope } from './draft.ts';
import type { Machine } from './machine.ts';
import {
  connectionQuestions,
  PROVIDER_KINDS,
  type ProviderKind,
  type Question,
  sourceQuestions,
  VAULT_LOGINS,
} from './questions.ts';

/** The person said stop (Ctrl-C, Escape). */
export class Cancelled extends Error {
  constructor() {
    super('cancelled');
    this.name = 'Cancelled';
  }
}

/** Asks for what the draft leaves open. Every method throws Cancelled when the person stops. */
export class Interview {
  readonly #io: Terminal & { readonly signal: AbortSignal };
  readonly #machine: Machine;
  readonly #folders: Folders;

  constructor(terminal: Terminal, machine: Machine, folders: Folders, signal: AbortSignal) {
    this.#io = { ...terminal, signal };
    this.#machine = machine;
    this.#folders = folders;
  }

  tell(title: string, lines: readonly string[]): void {
    if (lines.length > 0) note(lines.join('\n'), title, { output: this.#io.output });
  }

  step(words: string): void {
    log.step(words, { output: this.#io.output });
  }

  fault(words: string): void {
    log.error(words, { output: this.#io.output });
  }

  async kind(draft: Draft): Promise<ProviderKind> {
    const { vault, aws } = this.#machine;
    const seemsAws = vault.address === undefined && !vault.hasTokenFile && aws.profiles.length > 0;
    draft.kind ??= await this.#answer<ProviderKind>(
      select({
        message: 'Where does the key live?',
        options: PROVIDER_KINDS.map(({ kind, label }) => ({ value: kind, label })),
        initialValue: seemsAws ? 'aws-secrets-manager' : 'vault',
        ...this.#io,
      }),
    );
    return draft.kind;
  }

  /** How to reach it and how to log in. */
  async connection(draft: Draft, kind: ProviderKind): Promise<void> {
    await this.#ask(connectionQuestions(kind, undefined), draft);
    if (kind !== 'vault') return;
    if (draft.auth['method'] === undefined) {
      draft.auth['method'] = await this.#answer<string>(
        select({
          message: 'How do you log in to it?',
          options: Object.entries(VAULT_LOGINS).map(([value, { label }]) => ({ value, label })),
          initialValue: this.#machine.vault.hasTokenFile ? 'token' : 'oidc',
          ...this.#io,
        }),
      );
    }
    await this.#ask(connectionQuestions(kind, String(draft.auth['method'])), draft);
    if (
      draft.auth['method'] === 'token' &&
      draft.auth['token_file'] === undefined &&
      !this.#machine.vault.hasTokenFile
    ) {
      const tokenFile = connectionQuestions(kind, 'token').find(({ key }) => key === 'token_file');
      if (tokenFile !== undefined) await this.#put({ ...tokenFile, example: '~/.vault-token' }, draft);
    }
  }

  source(draft: Draft, kind: ProviderKind): Promise<void> {
    return this.#ask(sourceQuestions(kind), draft);
  }

  field(names: readonly string[]): Promise<string> {
    return this.#answer<string>(
      select({
        message: 'Which value of the secret is the key?',
        options: names.map((value) => ({ value })),
        ...this.#io,
      }),
    );
  }

  async credential(taken: ReadonlySet<string>): Promise<string> {
    const initialValue = taken.has('anthropic') ? undefined : 'anthropic';
    const check = (value = '') => {
      if (!NAME.test(value)) return 'letters, digits, dots, dashes and underscores, please';
      return taken.has(value) ? 'there is one of this name already' : undefined;
    };
    return this.#answer<string>(
      text({
        message: 'Name for this credential?',
        ...(initialValue === undefined ? {} : { initialValue }),
        validate: check,
        ...this.#io,
      }),
    );
  }

  scope(): Promise<SettingsScope> {
    return this.#answer<SettingsScope>(
      select<SettingsScope>({
        message: 'Add apiKeyHelper to which settings?',
        options: [
          { value: 'user', label: 'mine, for every project (~/.claude/settings.json)' },
          { value: 'project-local', label: 'this project only, and only here (.claude/settings.local.json)' },
          { value: 'none', label: 'none: I do that myself' },
        ],
        ...this.#io,
      }),
    );
  }

  service(): Promise<boolean> {
    return this.yes('Install the daemon as a service, so that it runs from login on?');
  }

  guard(): Promise<boolean> {
    return this.yes('Only for Claude Code itself, not for what its agent runs? (broker help allow)', false);
  }

  yes(message: string, initialValue = true): Promise<boolean> {
    return this.#answer<boolean>(confirm({ message, initialValue, ...this.#io }));
  }

  /** After a test that failed. */
  async what(next: readonly { readonly value: 'login' | 'secret' | 'again' | 'stop'; readonly label: string }[]) {
    return this.#answer<'login' | 'secret' | 'again' | 'stop'>(
      select({ message: 'What now?', options: [...next], ...this.#io }),
    );
  }

  async #ask(questions: readonly Question[], draft: Draft): Promise<void> {
    for (const question of questions) {
      const wanted = question.needed || question.asked;
      if (wanted && !isAnswered(question, questions, draft)) await this.#put(question, draft);
    }
  }

  async #put(question: Question, draft: Draft): Promise<void> {
    const initialValue = question.found?.(this.#machine) ?? question.guess?.(this.#machine);
    const answer = await this.#answer<string | undefined>(
      text({
        message: question.ask,
        ...(question.example === undefined ? {} : { placeholder: question.example }),
        ...(initialValue === undefined ? {} : { initialValue }),
        validate: (value) => (question.needed && !value?.trim() ? 'this is needed' : undefined),
        ...this.#io,
      }),
    );
    if (!answer?.trim()) return;
    draft[question.into][question.key] = normalise(question, answer, this.#folders) as string;
  }

  async #answer<T>(asked: Promise<T | symbol>): Promise<T> {
    const answer = await asked;
    if (isCancel(answer) || this.#io.signal.aborted) throw new Cancelled();
    return answer as T;
  }
}
