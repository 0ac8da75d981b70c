import { confirm, isCancel, log, note, select, text } from '@clack/prompts';
import type { Terminal } from '../platform/process-io.ts';
import { wrongWith, wrongWithCheck, wrongWithName } from './answers.ts';
import { type Draft, type Folders, isAnswered, normalise, type SettingsScope, wayOf } from './draft.ts';
import { connectionQuestions, kindOf, PROVIDER_KINDS } from './kinds.ts';
import type { Machine } from './machine.ts';
import { ANTHROPIC_CHECK } from './new-tables.ts';
import type { ProviderKind, Question, Wrong } from './questions.ts';
import { apiPath, type VaultFacts } from './vault-facts.ts';

/** The person said stop (Ctrl-C, Escape). */
export class Cancelled extends Error {
  constructor() {
    super('cancelled');
    this.name = 'Cancelled';
  }
}

/** What is looked at while a question is open. */
export interface Looker {
  /** @returns what is wrong with the address, the certificates and the way there; undefined if Vault answers. */
  wrongAddress(draft: Draft, address: string): Promise<Wrong | undefined>;
  /** What Vault tells without a login. */
  readonly visible: VaultFacts | undefined;
  /** The certificate of this address is not trusted. */
  readonly needsCa: boolean;
}

export type Next = 'login' | 'secret' | 'rest' | 'again' | 'stop';

/**
 * Asks for what the draft leaves open, and checks every answer at its question. What is gray is what Enter takes; of a question
 * that is asked again that is the answer of before. Every method throws Cancelled when the person stops.
 */
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

  /** Where something is set up already. @returns the credential to change; undefined: another one is added. */
  async purpose(names: readonly string[]): Promise<string | undefined> {
    const options: { value: string; label: string }[] = [{ value: '', label: 'set up another credential' }];
    for (const name of names) options.push({ value: `=${name}`, label: `change "${name}"` });
    options.push({ value: 'stop', label: 'stop here, and change nothing' });
    const choice = await this.#choose('There is a configuration already. What do you want?', options, '');
    if (choice === 'stop') throw new Cancelled();
    return choice === '' ? undefined : choice.slice(1);
  }

  async kind(draft: Draft): Promise<ProviderKind> {
    const { vault, aws } = this.#machine;
    const seemsAws = vault.address === undefined && !vault.hasTokenFile && aws.profiles.length > 0;
    const options = PROVIDER_KINDS.map(({ kind, label }) => ({ value: kind, label }));
    draft.kind ??= await this.#choose('Where does the key live?', options, seemsAws ? 'aws-secrets-manager' : 'vault');
    return draft.kind;
  }

  /** How to reach it and how to log in. @param again ask for what is answered, too. */
  async connection(draft: Draft, kind: ProviderKind, looker: Looker, again = false): Promise<void> {
    const { ways, connection } = kindOf(kind);
    await this.#ask(connection, draft, again, (question, value) =>
      kind === 'vault' && question.key === 'address' ? looker.wrongAddress(draft, value) : Promise.resolve(undefined),
    );
    const authority = connection.find(({ key }) => key === 'ca_file');
    if (looker.needsCa && authority !== undefined && draft.options['ca_file'] === undefined) {
      await this.#put(
        { ...authority, ask: 'PEM file with the authority that signed it', needed: true },
        draft,
        async (value) => {
          const { wrongAddress } = looker;
          return await wrongAddress.call(
            looker,
            { ...draft, options: { ...draft.options, ca_file: value } },
            String(draft.options['address']),
          );
        },
      );
    }
    if (ways === undefined) return;
    const before = wayOf(draft);
    if (before === undefined || again) {
      const logins = [...(looker.visible?.logins ?? [])];
      const mounted = (method: string) => logins.filter(([, type]) => type === method).map(([path]) => `${path}/`);
      const options = Object.entries(ways.choices).map(([value, { label }]) => {
        const at = mounted(value).join(', ');
        return { value, label, ...(at === '' ? {} : { hint: `mounted at ${at}` }) };
      });
      const likely = options.find(({ hint }) => hint !== undefined)?.value;
      const usual =
        ways.flag === 'auth' ? (this.#machine.vault.hasTokenFile ? 'token' : (likely ?? 'oidc')) : undefined;
      const chosen = await this.#choose(ways.ask, options, before ?? usual ?? options[0]?.value ?? '');
      if (before !== undefined && chosen !== before) dropWay(draft, kind, before, chosen);
      draft[ways.into][ways.key] = chosen;
      const [only, ...more] = mounted(chosen);
      if (only !== undefined && more.length === 0 && only !== `${chosen}/`)
        draft.auth['mount'] ??= only.replace(/\/$/, '');
    }
    const own = connectionQuestions(kind, wayOf(draft)).filter((question) => !connection.includes(question));
    await this.#ask(own, draft, again);
    await this.#tokenFile(draft, own);
  }

  async #tokenFile(draft: Draft, questions: readonly Question[]): Promise<void> {
    const { hasTokenFile, hasTokenVariable } = this.#machine.vault;
    if (draft.auth['method'] !== 'token' || draft.auth['token_file'] !== undefined || hasTokenFile) return;
    const tokenFile = questions.find(({ key }) => key === 'token_file');
    const hint = hasTokenVariable ? ': VAULT_TOKEN is of this shell, and the daemon does not see it' : '';
    if (tokenFile !== undefined) await this.#put({ ...tokenFile, ask: `${tokenFile.ask}${hint}`, needed: true }, draft);
  }

  /** Where the secret is. */
  async source(draft: Draft, kind: ProviderKind, facts: VaultFacts | undefined, again = false): Promise<void> {
    await this.#ask(kindOf(kind).source, draft, again);
    const written = draft.source['path'];
    if (facts === undefined || typeof written !== 'string') return;
    const right = apiPath(written, facts);
    if (right === written) return;
    draft.source['path'] = right;
    this.step(`KV version 2 has data/ after its mount: ${right}`);
  }

  /** @param before chosen the last time. */
  field(names: readonly string[], before: string | undefined): Promise<string> {
    const options = names.map((value) => ({ value, label: value }));
    const usual = before !== undefined && names.includes(before) ? before : (names[0] ?? '');
    return this.#choose('Which value of the secret is the key?', options, usual);
  }

  credential(taken: ReadonlySet<string>): Promise<string> {
    const free = taken.has('anthropic') ? undefined : 'anthropic';
    return this.#text('Name for this credential?', { usual: free }, async (name) => {
      if (!taken.has(name)) return wrongWithName(name);
      return {
        message: 'there is one of this name',
        remedy: `another name; to change it: broker setup --credential ${name}`,
      };
    });
  }

  /** @returns the address that the API is asked at; undefined: it is not asked. */
  async check(before: string | undefined): Promise<string | undefined> {
    const options = [
      { value: '', label: 'no' },
      { value: ANTHROPIC_CHECK, label: "yes, Anthropic's (api.anthropic.com)" },
      { value: 'other', label: 'yes, at another address' },
    ];
    const choice = await this.#choose(
      'Let the API itself say whether a key is good? (broker help rejection)',
      options,
      before === undefined ? '' : before === ANTHROPIC_CHECK ? before : 'other',
    );
    if (choice !== 'other') return choice === '' ? undefined : choice;
    const example = 'https://gateway.example.com/v1/models';
    return await this.#text('Address that answers 2xx to a good key', { example, usual: before }, (url) =>
      wrongWithCheck(url, this.#folders.homeDir),
    );
  }

  scope(before: SettingsScope = 'user'): Promise<SettingsScope> {
    const options: { value: SettingsScope; label: string }[] = [
      { value: 'user', label: 'mine, for every project (~/.claude/settings.json)' },
      { value: 'project-local', label: 'this project only, and only here (.claude/settings.local.json)' },
      { value: 'none', label: 'none: I do that myself' },
    ];
    return this.#choose('Add apiKeyHelper to which settings?', options, before);
  }

  switchClient(from: string, to: string): Promise<boolean> {
    return this.yes(`Claude Code asks for "${from}" today. Let it ask for "${to}" instead?`, false);
  }

  service(): Promise<boolean> {
    return this.yes('Install the daemon as a service, so that it runs from login on?');
  }

  guard(before = false): Promise<boolean> {
    return this.yes('Only for Claude Code itself, not for what its agent runs? (broker help allow)', before);
  }

  yes(message: string, initialValue = true): Promise<boolean> {
    return this.#answer<boolean>(confirm({ message, initialValue, ...this.#io }));
  }

  /** After a trial that failed, or before the first step: what to ask again. */
  what(next: readonly { readonly value: Next; readonly label: string }[]): Promise<Next> {
    return this.#choose('What now?', [...next], next[0]?.value ?? 'stop');
  }

  async #ask(questions: readonly Question[], draft: Draft, again: boolean, look?: Look): Promise<void> {
    for (const question of questions) {
      const isOpen = (question.needed || question.asked === true) && !isAnswered(question, questions, draft);
      const isAgain = again && (question.needed || question.asked || draft[question.into][question.key] !== undefined);
      if (!isOpen && !isAgain) continue;
      await this.#put(question, draft, look && ((value) => look(question, value)));
    }
  }

  async #put(question: Question, draft: Draft, look?: (value: string) => Promise<Wrong | undefined>): Promise<void> {
    const { into, key } = question;
    const before = draft[into][key];
    const usual = before === undefined ? (question.found ?? question.guess)?.(this.#machine) : String(before);
    const around = { machine: this.#machine, homeDir: this.#folders.homeDir };
    const check = async (written: string) => {
      const value = normalise(question, written, this.#folders);
      return (await wrongWith(question, value, draft, around)) ?? (await look?.(String(value)));
    };
    const answer = await this.#text(question.ask, { ...question, usual }, check);
    if (answer === '') delete draft[into][key];
    else draft[into][key] = normalise(question, answer, this.#folders);
  }

  /** @returns what was typed, else what was gray; empty where neither is and nothing is needed. */
  async #text(
    message: string,
    about: {
      readonly usual?: string | undefined;
      readonly example?: string;
      readonly needed?: true;
      readonly asked?: Question['asked'];
    },
    check: (answer: string) => Promise<Wrong | undefined>,
  ): Promise<string> {
    const { usual, example } = about;
    const mayBeEmpty = about.needed !== true && about.asked !== undefined;
    const like = example === undefined || usual !== undefined ? '' : `, like ${example}`;
    const none = mayBeEmpty && usual !== undefined ? ' (- for none)' : '';
    const meant = (typed: string | undefined) =>
      none !== '' && typed?.trim() === '-' ? '' : typed?.trim() || (usual ?? '');
    let failure: unknown;
    const answer = await this.#answer<string | undefined>(
      text({
        message: `${message}${like}${none}`,
        ...(usual === undefined ? {} : { placeholder: usual, defaultValue: usual }),
        validate: async (typed) => {
          const value = meant(typed);
          if (value === '') return mayBeEmpty ? undefined : `Type it${like}`;
          try {
            const wrong = await check(value);
            return wrong === undefined ? undefined : `${wrong.message}: ${wrong.remedy}`;
          } catch (error) {
            // The prompt does not catch what its validator throws.
            failure = error;
            return undefined;
          }
        },
        ...this.#io,
      }),
    );
    if (failure !== undefined) throw failure;
    return meant(answer);
  }

  #choose<Value extends string>(
    message: string,
    options: { value: Value; label: string; hint?: string }[],
    initialValue: Value,
  ): Promise<Value> {
    return this.#answer<Value>(
      select<string>({ message, options, initialValue, ...this.#io }) as Promise<Value | symbol>,
    );
  }

  async #answer<T>(asked: Promise<T | symbol>): Promise<T> {
    const answer = await asked;
    if (isCancel(answer) || this.#io.signal.aborted) throw new Cancelled();
    return answer as T;
  }
}

type Look = (question: Question, value: string) => Promise<Wrong | undefined>;

/** What only the login that is not chosen any more has a place for. */
function dropWay(draft: Draft, kind: ProviderKind, before: string, chosen: string): void {
  const kept = new Set(connectionQuestions(kind, chosen).map(({ into, key }) => `${into}.${key}`));
  for (const { into, key } of connectionQuestions(kind, before)) {
    if (!kept.has(`${into}.${key}`) || key === 'mount') delete draft[into][key];
  }
}
