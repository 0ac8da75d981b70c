import { terminalDialogue } from '../cli/commands/login.ts';
import type { CliIo } from '../cli/io.ts';
import { configFile } from '../config/paths.ts';
import { BrokerError, ProviderError } from '../errors.ts';
import {
  type ConfigChange,
  type ConfigPlace,
  changeConfig,
  type Draft,
  type Existing,
  type Plan,
  providerNameFor,
  readExisting,
  type SettingsScope,
} from './config-change.ts';
import { completeWithoutAsking, draftOf, type Flags, type Surroundings, withEnvironment } from './flags.ts';
import { Cancelled, connectionQuestions, Interview, PROVIDER_KINDS, type ProviderKind } from './interview.ts';
import { describeMachine, lookAround, type Machine } from './machine.ts';
import type { Session } from './steps.ts';
import { type Trial, tryOut } from './trial.ts';

/** Everything is known and was tried; nothing is written yet. */
export interface Prepared {
  readonly plan: Plan;
  readonly place: ConfigPlace;
  readonly existing: Existing;
  readonly change: ConfigChange;
  readonly trial: Trial;
  readonly session: Session;
  readonly scope: SettingsScope;
  readonly service: boolean;
  readonly interview: Interview | undefined;
}

const DEFAULT_CREDENTIAL = 'anthropic';

/** From flags and, at a terminal, from questions to a plan that was tried out. @throws Cancelled, BrokerError. */
export async function prepare(io: CliIo, flags: Flags, cwd: string, session: Session): Promise<Prepared> {
  const place = { file: configFile(io), homeDir: io.homeDir, uid: io.uid };
  const existing = await readExisting(place);
  const machine = lookAround(io);
  const surroundings = { homeDir: io.homeDir, cwd };
  const draft = draftOf(flags, surroundings);
  const interview =
    io.terminal === undefined ? undefined : new Interview(io.terminal, machine, surroundings, io.signal);
  const tester = new Tester(io, flags, place, existing, session, surroundings);
  const tried =
    interview === undefined ? await tester.unasked(draft, machine) : await tester.asking(draft, machine, interview);
  const scope = draft.scope ?? (await interview?.scope()) ?? 'user';
  const service = draft.service ?? (flags['yes'] ? true : await interview?.service()) ?? true;
  return { ...tried, place, existing, session, scope, service, interview };
}

interface Tried {
  readonly plan: Plan;
  readonly change: ConfigChange;
  readonly trial: Trial;
}

/** Makes plans of drafts and tries them, until one works or nobody wants to go on. */
class Tester {
  readonly #io: CliIo;
  readonly #flags: Flags;
  readonly #place: ConfigPlace;
  readonly #existing: Existing;
  readonly #session: Session;
  readonly #surroundings: Surroundings;

  constructor(
    io: CliIo,
    flags: Flags,
    place: ConfigPlace,
    existing: Existing,
    session: Session,
    surroundings: Surroundings,
  ) {
    this.#session = session;
    this.#surroundings = surroundings;
    this.#io = io;
    this.#flags = flags;
    this.#place = place;
    this.#existing = existing;
  }

  async unasked(draft: Draft, machine: Machine): Promise<Tried> {
    completeWithoutAsking(draft, machine);
    const tried = await this.#try(draft);
    if (tried.trial.fingerprint !== undefined) return tried;
    throw new BrokerError('ERR_USAGE', 'the secret has several values', {
      remedy: `name the one that is the key: --field ${tried.trial.fields.join('|')}`,
    });
  }

  async asking(draft: Draft, machine: Machine, interview: Interview): Promise<Tried> {
    interview.tell('Found on this machine', draft.kind === undefined ? describeMachine(machine) : []);
    const kind = await interview.kind(draft);
    await interview.connection(draft, kind);
    await interview.source(draft, kind);
    draft.credential ??= await interview.credential(new Set(this.#existing.config?.credentials.keys()));
    for (;;) {
      interview.step('Logging in and reading the secret; nothing is written yet');
      try {
        const tried = await this.#try(draft);
        if (tried.trial.fingerprint !== undefined) {
          interview.step(`Works: the key is ${tried.trial.fingerprint}${tried.trial.leased ? ', leased' : ''}`);
          return tried;
        }
        draft.field = await interview.field(tried.trial.fields);
      } catch (error) {
        await this.#reconsider(error, draft, kind, interview);
      }
    }
  }

  /** Says what went wrong and asks anew for what may mend it. */
  async #reconsider(error: unknown, draft: Draft, kind: ProviderKind, interview: Interview): Promise<void> {
    if (this.#io.signal.aborted) throw new Cancelled();
    if (!(error instanceof BrokerError)) throw error;
    interview.fault(error.remedy === undefined ? error.message : `${error.message}\n${error.remedy}`);
    const isSecret = error instanceof ProviderError && ['denied', 'gone', 'misconfigured'].includes(error.kind);
    const login = { value: 'login', label: 'change where it is and how to log in' } as const;
    const secret = { value: 'secret', label: 'change which secret is read' } as const;
    const again = { value: 'again', label: 'try again: I have mended it elsewhere' } as const;
    const stop = { value: 'stop', label: 'stop here, and change nothing' } as const;
    const choice = await interview.what(isSecret ? [secret, login, again, stop] : [login, secret, again, stop]);
    if (choice === 'stop') throw new Cancelled();
    if (choice === 'again') return;
    draft.field = undefined;
    for (const key of Object.keys(draft.source)) delete draft.source[key];
    if (choice === 'login') {
      this.#session.end();
      for (const { into, key } of connectionQuestions(kind, draft.auth['method'] as string)) delete draft[into][key];
      delete draft.auth['method'];
      await interview.connection(draft, kind);
    }
    await interview.source(draft, kind);
  }

  async #try(draft: Draft): Promise<Tried> {
    const plan = this.#planOf(draft);
    const change = changeConfig(this.#existing, plan, this.#place);
    const { mfaMethod } = this.#flags;
    const dialogue = terminalDialogue(this.#io, {
      browser: this.#flags['browser'] !== false,
      passwordFromStdin: this.#flags['passwordStdin'] === true,
      passcodeFromStdin: this.#flags['passcodeStdin'] === true,
      mfaMethod: typeof mfaMethod === 'string' ? mfaMethod : undefined,
    });
    const { clock, env, homeDir, signal } = this.#io;
    const trial = await tryOut(change.loaded, plan, { clock, env, homeDir, signal, dialogue, session: this.#session });
    return { plan, change, trial };
  }

  #planOf({ kind, providerName, options, auth, source, field, credential }: Draft): Plan {
    if (kind === undefined) throw new TypeError('a draft without a provider');
    const found = withEnvironment(kind, options, this.#io.env, this.#surroundings);
    const rest = { kind, options: found, auth, source, field, credential: credential ?? DEFAULT_CREDENTIAL };
    const usual = PROVIDER_KINDS.find((each) => each.kind === kind)?.name ?? kind;
    return { ...rest, providerName: providerName ?? providerNameFor(this.#existing, rest, usual, this.#place) };
  }
}
