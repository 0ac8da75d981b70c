import { configFile } from '../config/paths.ts';
import { valueAt } from '../config/walk.ts';
import { BrokerError, ProviderError } from '../errors.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import { Service } from '../service/service.ts';
import { checkFlags } from './answers.ts';
import { describeChange, replaces } from './change.ts';
import { type Comparison, compare, guardObstacle, type Surrounding } from './comparison.ts';
import { readExisting } from './config-file.ts';
import { completeWithoutAsking, type Draft, draftOf, type Flags, isEmptyDraft, missingFlags } from './draft.ts';
import { Cancelled, Interview, type Next } from './interview.ts';
import { describeMachine, lookAround, type Machine } from './machine.ts';
import type { ProviderKind } from './questions.ts';
import { fieldIn, type LoginOfPerson, Tester, withoutTables } from './tester.ts';
import type { Session, Trial } from './trial.ts';
import { listed } from './vault-facts.ts';

/** Everything is known and was tried; nothing is written yet. */
export interface Prepared extends Comparison {
  readonly trial: Trial;
  readonly session: Session;
}

/** What is there, beside what the flags say; nothing is asked, tried or written. @throws BrokerError. */
export async function compareOnly(io: ProcessIo, flags: Flags): Promise<Comparison> {
  const { around, machine } = await lookUp(io, flags);
  const draft = draftOf(flags, around.folders, around.existing.root);
  await checkFlags(flags, draft, { machine, folders: around.folders, wantsFiles: false });
  completeWithoutAsking(draft, machine);
  return await compare(draft, around);
}

/**
 * From flags and, at a terminal, from questions to a plan that was tried out. Where nothing is to be done nothing is tried, nor
 * where something would be replaced and nobody can say yes.
 *
 * @throws Cancelled, BrokerError.
 */
export async function prepare(io: ProcessIo, flags: Flags, person: LoginOfPerson): Promise<Prepared | Comparison> {
  const { around, machine } = await lookUp(io, flags);
  const { existing, folders } = around;
  const draft = draftOf(flags, folders, existing.root);
  await checkFlags(flags, draft, { machine, folders, wantsFiles: true });
  const tester = new Tester({ ...around, ...person, machine, hasKey: flags['keyStdin'] === true });
  if (io.terminal === undefined) {
    completeWithoutAsking(draft, machine);
    const found = await compare(draft, around);
    if (found.line.change !== undefined) found.line.check();
    const mayReplace = flags['yes'] === true || flags['dryRun'] === true;
    if (found.changes.length === 0 || (found.changes.some(replaces) && !mayReplace)) return found;
    return { ...found, trial: await tester.unasked(draft), session: person.session };
  }
  const interview = new Interview(io.terminal, machine, folders, io.signal);
  const asked = await new Conversation(around, machine, interview, tester, flags).from(draft);
  return 'trial' in asked ? { ...asked, session: person.session } : asked;
}

async function lookUp(io: ProcessIo, flags: Flags): Promise<{ around: Surrounding; machine: Machine }> {
  const place = { file: configFile(io), homeDir: io.homeDir, uid: io.uid };
  const existing = await readExisting(place);
  const folders = { homeDir: io.homeDir, cwd: process.cwd() };
  const project = typeof flags['project'] === 'string' ? flags['project'] : undefined;
  return { around: { io, place, existing, folders, project, force: flags['force'] === true }, machine: lookAround(io) };
}

/** What is asked at a terminal, in its order. */
class Conversation {
  readonly #around: Surrounding;
  readonly #machine: Machine;
  readonly #interview: Interview;
  readonly #tester: Tester;
  readonly #flags: Flags;

  constructor(around: Surrounding, machine: Machine, interview: Interview, tester: Tester, flags: Flags) {
    this.#around = around;
    this.#machine = machine;
    this.#interview = interview;
    this.#tester = tester;
    this.#flags = flags;
  }

  async from(adopted: Draft): Promise<Comparison | (Comparison & { readonly trial: Trial })> {
    const { existing, folders } = this.#around;
    const isSaid = this.#flags['yes'] === true || this.#flags['dryRun'] === true;
    const plain = draftOf(this.#flags, folders);
    const names = Object.keys(existing.root['credentials'] ?? {});
    let draft = adopted;
    let isChange = false;
    if (names.length > 0 && isEmptyDraft(plain)) {
      const name = await this.#interview.purpose(names);
      isChange = name !== undefined;
      draft = isChange ? draftOf({ ...this.#flags, credential: name }, folders, existing.root) : plain;
      if (name !== undefined) draft.credential = name;
    } else if (missingFlags(adopted).length === 0) {
      const found = await compare(adopted, this.#around);
      if (found.changes.length === 0) return found;
      // A name that nobody has said is not taken from what is there.
      if (plain.credential === undefined && plain.providerName === undefined && !isSaid) draft = plain;
    }
    let trial = await this.#settle(draft, isChange);
    await this.#rest(draft, isSaid);
    for (;;) {
      const found = await compare(draft, this.#around);
      if (found.changes.length === 0 && !this.#tester.hasLogin) return found;
      if (found.changes.length === 0 || isSaid || (await this.#confirm(found))) return { ...found, trial };
      const choice = await this.#interview.what([REST, SECRET, LOGIN, STOP]);
      if (choice === 'stop') throw new Cancelled();
      if (choice === 'rest') await this.#rest(draft, false, true);
      else {
        const { field } = draft;
        await this.#change(draft, choice);
        trial = await this.#untilItWorks(draft, await this.#untilItReads(draft), field);
      }
    }
  }

  async #confirm({ changes, place, line, scope }: Comparison): Promise<boolean> {
    const left = line.asksFor === undefined ? [] : [`client: ${line.file} goes on asking for ${line.asksFor}`];
    const none = scope === 'none' ? ['client: the settings of Claude Code stay as they are'] : [];
    const lines = [...changes.map((change) => describeChange(change)), ...left, ...none];
    this.#interview.tell(`This is going to be done (configuration: ${place.file})`, lines);
    return await this.#interview.yes('Go ahead?');
  }

  /** Where the key is, and that it can be had. */
  async #settle(draft: Draft, isChange: boolean): Promise<Trial> {
    const { existing } = this.#around;
    const interview = this.#interview;
    interview.tell('Found on this machine', draft.kind === undefined ? describeMachine(this.#machine) : []);
    const kind = await interview.kind(draft);
    await interview.connection(draft, kind, this.#tester, isChange);
    await this.#logIn(draft, kind);
    await interview.source(draft, kind, this.#tester.known, isChange);
    const former = fieldIn(draft, this.#around);
    const field = draft.field ?? former;
    const read = await this.#untilItReads(draft);
    draft.credential ??= await interview.credential(new Set(Object.keys(existing.root['credentials'] ?? {})));
    const trial = await this.#untilItWorks(draft, read, field);
    // What has only one value has no use for the name of the former one.
    if (former !== undefined) draft.field ??= null;
    return trial;
  }

  /** Asks Vault for its mounts with the login itself, so that a login that fails is told here and not at the secret. */
  async #logIn(draft: Draft, kind: ProviderKind): Promise<void> {
    if (kind !== 'vault') return;
    for (;;) {
      this.#interview.step('Logging in and reading what is mounted; nothing is written yet');
      try {
        await this.#tester.logIn(draft);
        const mounted = listed(this.#tester.known?.engines ?? new Map());
        if (mounted !== '') this.#interview.step(`Logged in; mounted here: ${mounted}`);
        return;
      } catch (error) {
        await this.#reconsider(error, draft, false);
      }
    }
  }

  /** The secret is there, whichever value of it is the key. */
  async #untilItReads(draft: Draft): Promise<Trial> {
    for (;;) {
      this.#interview.step('Logging in and reading the secret; nothing is written yet');
      try {
        return await this.#tester.try(draft);
      } catch (error) {
        if ((await this.#reconsider(error, draft, true)) === 'login') await this.#logIn(draft, draft.kind ?? 'vault');
      }
    }
  }

  /** @param field chosen the last time. */
  async #untilItWorks(draft: Draft, read: Trial, field: Draft['field']): Promise<Trial> {
    let trial = read;
    while (trial.fingerprint === undefined) {
      draft.field = await this.#interview.field(trial.fields, field ?? undefined);
      trial = await this.#untilItReads(draft);
    }
    this.#interview.step(`Works: the key is ${trial.fingerprint}${trial.leased ? ', leased' : ''}`);
    return trial;
  }

  /** Says what went wrong and asks again for what may fix it; every other answer stays. */
  async #reconsider(error: unknown, draft: Draft, isRead: boolean): Promise<Next> {
    if (this.#around.io.signal.aborted) throw new Cancelled();
    if (!(error instanceof BrokerError)) throw error;
    const known = isRead && this.#tester.known !== undefined ? listed(this.#tester.known.engines) : '';
    const mounted = known === '' ? [] : [`mounted here: ${known}`];
    const remedy = error.remedy === undefined ? [] : [withoutTables(error.remedy)];
    this.#interview.fault([withoutTables(error.message), ...remedy, ...mounted].join('\n'));
    const choice = await this.#interview.what(this.#choices(error, draft, isRead));
    if (choice === 'stop') throw new Cancelled();
    if (choice !== 'again') await this.#change(draft, choice);
    return choice;
  }

  #choices(error: BrokerError, draft: Draft, isRead: boolean): { value: Next; label: string }[] {
    const isSecret = isRead && error instanceof ProviderError && error.concerns === 'secret';
    // Nobody has fixed a password elsewhere: it was typed wrong.
    const isTyped = isPasswordTyped(draft) && error instanceof ProviderError && error.kind === 'login-expired';
    if (isTyped) return [{ value: 'again', label: 'try again: type the password once more' }, LOGIN, STOP];
    return isSecret ? [SECRET, LOGIN, AGAIN, STOP] : [LOGIN, ...(isRead ? [SECRET] : []), AGAIN, STOP];
  }

  async #change(draft: Draft, choice: Next): Promise<void> {
    const kind = draft.kind ?? 'vault';
    if (choice === 'login') {
      await this.#tester.forget();
      await this.#interview.connection(draft, kind, this.#tester, true);
    } else {
      draft.field = undefined;
      await this.#interview.source(draft, kind, this.#tester.known, true);
    }
  }

  /** What is done with the key. @param again ask for what is answered, too. */
  async #rest(draft: Draft, isSaid: boolean, again = false): Promise<void> {
    const { io, existing } = this.#around;
    const interview = this.#interview;
    const isOpen = (answer: unknown) => again || (answer === undefined && !isSaid);
    const isNew = valueAt(existing.root, ['credentials', draft.credential ?? '']) === undefined;
    if (isNew && isOpen(draft.checkUrl)) draft.checkUrl = await interview.check(draft.checkUrl);
    const { line, plan } = await compare({ ...draft, guard: false, switchClient: false, scope: 'user' }, this.#around);
    const other = (draft.scope ?? 'user') === 'user' ? line.asksFor : undefined;
    if (other !== undefined) {
      if (isOpen(draft.switchClient)) draft.switchClient = await interview.switchClient(other, plan.credential);
    } else if (line.change !== undefined && (again || draft.scope === undefined))
      draft.scope = await interview.scope(draft.scope);
    const isOffered = guardObstacle(io, draft.scope ?? 'user') === undefined && other === undefined;
    if (!isOffered) draft.guard = draft.guard && !again;
    else if (isNew && isOpen(draft.guard)) draft.guard = await interview.guard(draft.guard);
    const service = new Service(io);
    const isQuestion = service.manager.kind !== 'none' && !(await service.state()).installed;
    if (isQuestion && isOpen(draft.service)) draft.service = await interview.service();
  }
}

const REST = { value: 'rest', label: 'change what is done with the key: check, settings, guard, service' } as const;
const SECRET = { value: 'secret', label: 'change which secret is read' } as const;
const LOGIN = { value: 'login', label: 'change where it is and how to log in' } as const;
const AGAIN = { value: 'again', label: 'try again: I have fixed it elsewhere' } as const;
const STOP = { value: 'stop', label: 'stop here, and change nothing' } as const;

function isPasswordTyped({ auth }: Draft): boolean {
  return (auth['method'] === 'userpass' || auth['method'] === 'ldap') && auth['password_file'] === undefined;
}
