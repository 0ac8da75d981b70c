import { configFile } from '../config/paths.ts';
import { BrokerError, ProviderError } from '../errors.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import type { LoginDialogue } from '../providers/provider.ts';
import {
  type ConfigChange,
  type ConfigPlace,
  changeConfig,
  type Existing,
  providerNameFor,
  readExisting,
} from './config-change.ts';
import {
  completeWithoutAsking,
  type Draft,
  draftOf,
  type Flags,
  type Folders,
  type Plan,
  type SettingsScope,
  withEnvironment,
} from './draft.ts';
import { Cancelled, Interview } from './interview.ts';
import { describeMachine, lookAround, type Machine } from './machine.ts';
import { connectionQuestions, PROVIDER_KINDS, type ProviderKind } from './questions.ts';
import { type Session, type Trial, tryOut } from './trial.ts';

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
  readonly guard: boolean;
  readonly interview: Interview | undefined;
}

const DEFAULT_CREDENTIAL = 'anthropic';

/** The person at this terminal, for logins: how to ask them, and the login that they have made. */
interface LoginOfPerson {
  readonly dialogue: LoginDialogue;
  readonly session: Session;
}

/** From flags and, at a terminal, from questions to a plan that was tried out. @throws Cancelled, BrokerError. */
export async function prepare(io: ProcessIo, flags: Flags, person: LoginOfPerson): Promise<Prepared> {
  const place = { file: configFile(io), homeDir: io.homeDir, uid: io.uid };
  const existing = await readExisting(place);
  const machine = lookAround(io);
  const folders = { homeDir: io.homeDir, cwd: process.cwd() };
  const draft = draftOf(flags, folders);
  const interview = io.terminal === undefined ? undefined : new Interview(io.terminal, machine, folders, io.signal);
  const tester = new Tester({ io, place, existing, folders, ...person });
  const tried =
    interview === undefined ? await tester.unasked(draft, machine) : await tester.asking(draft, machine, interview);
  const scope = draft.scope ?? (await interview?.scope()) ?? 'user';
  const guard = await guardWanted(io, draft, scope, flags['yes'] ? undefined : interview);
  const service = draft.service ?? (flags['yes'] ? true : await interview?.service()) ?? true;
  return { ...tried, place, existing, session: person.session, scope, service, guard, interview };
}

/** @throws BrokerError ERR_USAGE where it cannot be. */
async function guardWanted({ platform }: ProcessIo, { guard }: Draft, scope: SettingsScope, interview?: Interview) {
  const obstacle = platform === 'linux' ? (scope === 'none' ? 'with --scope none' : undefined) : `on ${platform}`;
  if (obstacle === undefined) return guard ?? (await interview?.guard()) ?? false;
  if (guard !== true) return false;
  throw new BrokerError('ERR_USAGE', `--guard does not work ${obstacle}`, { remedy: 'leave it out' });
}

interface Tried {
  readonly plan: Plan;
  readonly change: ConfigChange;
  readonly trial: Trial;
}

interface TesterParts extends LoginOfPerson {
  readonly io: ProcessIo;
  readonly place: ConfigPlace;
  readonly existing: Existing;
  readonly folders: Folders;
}

/** Makes plans of drafts and tries them, until one works or the person stops. */
class Tester {
  readonly #parts: TesterParts;

  constructor(parts: TesterParts) {
    this.#parts = parts;
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
    draft.credential ??= await interview.credential(new Set(this.#parts.existing.config?.credentials.keys()));
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

  /** Says what went wrong and asks again for what may fix it. */
  async #reconsider(error: unknown, draft: Draft, kind: ProviderKind, interview: Interview): Promise<void> {
    if (this.#parts.io.signal.aborted) throw new Cancelled();
    if (!(error instanceof BrokerError)) throw error;
    interview.fault(error.remedy === undefined ? error.message : `${error.message}\n${error.remedy}`);
    const isSecret = error instanceof ProviderError && ['denied', 'gone', 'misconfigured'].includes(error.kind);
    const login = { value: 'login', label: 'change where it is and how to log in' } as const;
    const secret = { value: 'secret', label: 'change which secret is read' } as const;
    const again = { value: 'again', label: 'try again: I have fixed it elsewhere' } as const;
    const stop = { value: 'stop', label: 'stop here, and change nothing' } as const;
    const choice = await interview.what(isSecret ? [secret, login, again, stop] : [login, secret, again, stop]);
    if (choice === 'stop') throw new Cancelled();
    if (choice === 'again') return;
    draft.field = undefined;
    for (const key of Object.keys(draft.source)) delete draft.source[key];
    if (choice === 'login') {
      this.#parts.session.end();
      for (const { into, key } of connectionQuestions(kind, draft.auth['method'] as string)) delete draft[into][key];
      delete draft.auth['method'];
      await interview.connection(draft, kind);
    }
    await interview.source(draft, kind);
  }

  async #try(draft: Draft): Promise<Tried> {
    const { io, place, existing, session, dialogue } = this.#parts;
    const plan = await this.#planOf(draft);
    const change = await changeConfig(existing, plan, place);
    const { clock, env, homeDir, signal } = io;
    const trial = await tryOut(change.loaded, plan, { clock, env, homeDir, signal, dialogue, session });
    return { plan, change, trial };
  }

  async #planOf({ kind, providerName, options, auth, source, field, credential }: Draft): Promise<Plan> {
    if (kind === undefined) throw new TypeError('a draft without a provider');
    const { io, place, existing, folders } = this.#parts;
    const found = withEnvironment(kind, options, io.env, folders);
    const rest = { kind, options: found, auth, source, field, credential: credential ?? DEFAULT_CREDENTIAL };
    const usual = PROVIDER_KINDS.find((each) => each.kind === kind)?.name ?? kind;
    return { ...rest, providerName: providerName ?? (await providerNameFor(existing, rest, usual, place)) };
  }
}
