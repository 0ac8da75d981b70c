import type { KeyVersion } from '../credential/key.ts';
import type { Client } from '../platform/process-tree.ts';
import type { Ask, BrokerPorts } from './api.ts';
import { type CredentialSet, type CredentialSpec, ManagedCredential } from './credentials.ts';
import type { EventLog } from './event-log.ts';
import type { LeaseKeeper } from './leases.ts';
import type { Refresher } from './refresher.ts';

/** New leases for sessions in a minute, of all credentials together; further clients get the shared one. */
const SESSIONS_A_MINUTE = 30;
const MINUTE_MS = 60_000;
/** At a time; each takes a descriptor. */
const MOST_SESSIONS = 256;
/** Clients that have been told that they share a lease; more than that are told again. */
const MOST_TOLD = 1_000;

interface Session {
  readonly base: string;
  readonly credential: ManagedCredential;
  readonly stopWatching: () => void;
}

interface SessionDeps {
  readonly credentials: CredentialSet;
  readonly events: EventLog;
  readonly leases: LeaseKeeper;
  readonly refresher: Refresher;
}

/**
 * Credentials with `scope = "session"`: each client process has a credential of its own, with a lease that nobody else is given
 * and that ends with the process. Its name, `NAME@PID.START`, which no configured one can have, is that of its key in the cache
 * and of its lease in the journal, so that the next daemon knows whose they were.
 */
export class Sessions {
  readonly #ports: BrokerPorts;
  readonly #deps: SessionDeps;
  readonly #sessions = new Map<string, Session>();
  /** Those whose provider returned something without a lease: to ask once for each client would be of no use. */
  readonly #leaseless = new Set<string>();
  readonly #told = new Set<string>();
  #openedAtMs: number[] = [];

  constructor(ports: BrokerPorts, deps: SessionDeps) {
    this.#ports = ports;
    this.#deps = deps;
  }

  *[Symbol.iterator](): Iterator<ManagedCredential> {
    for (const { credential } of this.#sessions.values()) yield credential;
  }

  get(name: string): ManagedCredential | undefined {
    return this.#sessions.get(name)?.credential;
  }

  of(base: string): readonly ManagedCredential[] {
    return [...this.#sessions.values()].filter((each) => each.base === base).map(({ credential }) => credential);
  }

  /** Where only sessions have keys, one of them stands for all in the status: one that fails, if there is one. */
  exampleOf(shared: ManagedCredential): ManagedCredential {
    if (shared.living !== undefined) return shared;
    const sessions = this.of(shared.name);
    return sessions.find(({ failure }) => failure !== undefined) ?? sessions[0] ?? shared;
  }

  /** Of one with scope = "session": the asker's own one, or the shared one where it cannot have one. */
  credentialFor(shared: ManagedCredential, { client, at }: Ask): ManagedCredential {
    if (this.#leaseless.has(shared.name)) return shared;
    if (client === undefined) return this.#share(shared, 'nobody', 'nothing shows which process asks');
    const known = this.#sessions.get(nameOf(shared, client));
    if (known !== undefined) return known.credential;
    this.#openedAtMs = this.#openedAtMs.filter((openedAtMs) => at.nowMs - openedAtMs < MINUTE_MS);
    if (this.#openedAtMs.length >= SESSIONS_A_MINUTE) {
      return this.#share(shared, client.id, `there were ${SESSIONS_A_MINUTE} new sessions within a minute`);
    }
    if (this.#sessions.size >= MOST_SESSIONS) {
      return this.#share(shared, client.id, `there are ${MOST_SESSIONS} sessions already`);
    }
    const session = this.#open(shared, client);
    if (session === undefined) return this.#share(shared, client.id, 'its exit cannot be watched on this machine');
    this.#openedAtMs.push(at.nowMs);
    this.#deps.events.add('session-opened', session.name, { client: client.name, pid: client.pid });
    return session;
  }

  /** What was read for it turned out to be the same for everybody. */
  answered(credential: ManagedCredential, key: KeyVersion): void {
    const session = this.#sessions.get(credential.name);
    if (session === undefined || key.lease !== undefined) return;
    this.#leaseless.add(session.base);
    const remedy = 'remove scope from the credential: what its provider returns has no lease';
    this.#ports.log.warn({ credential: session.base, remedy }, 'scope = "session" has no effect');
    this.endAll(session.base);
  }

  /** After a change of the configuration or of the cache: sessions of what is no longer configured end, stored ones go on. */
  adopt(): void {
    this.#leaseless.clear();
    for (const [name, { base, credential }] of this.#sessions) {
      const shared = this.#deps.credentials.get(base);
      if (shared === undefined || !isSame(shared, credential)) this.#end(name);
      else credential.turnMarginMs = shared.turnMarginMs;
    }
    for (const key of this.#ports.cache.keys()) {
      if (isSessionName(key.credential) && !this.#restore(key)) this.#ports.cache.remove(key.credential);
    }
  }

  /** At the start, once leases are resumed: those of processes that have exited meanwhile. */
  endLeftOvers(): void {
    const names = new Set(this.#ports.cache.leases().map(({ credential }) => credential));
    for (const name of names) if (isSessionName(name) && !this.#sessions.has(name)) void this.#deps.leases.endOf(name);
  }

  /** A person drops the key: each session gets another with its next ask. */
  endAll(base: string): void {
    for (const { name } of this.of(base)) this.#end(name);
  }

  /** Nothing is watched any more; what there is stays for the next daemon. */
  stop(): void {
    for (const { stopWatching } of this.#sessions.values()) stopWatching();
  }

  #restore(key: KeyVersion): boolean {
    const name = key.credential;
    if (this.#sessions.has(name)) return true;
    const [, base = '', pid = '', startTime = ''] = SESSION_NAME.exec(name) ?? [];
    const shared = this.#deps.credentials.get(base);
    if (shared?.spec.config.scope !== 'session' || shared.spec.sourceFingerprint !== key.sourceFingerprint)
      return false;
    const session = this.#open(shared, { pid: Number(pid), startTime });
    if (session === undefined) return false;
    session.key = key;
    return true;
  }

  /** undefined: the process is gone already, or cannot be watched. */
  #open(shared: ManagedCredential, client: Pick<Client, 'pid' | 'startTime'>): ManagedCredential | undefined {
    const name = nameOf(shared, client);
    const stopWatching = this.#ports.watchExit(client, () => this.#end(name));
    if (stopWatching === undefined) return undefined;
    const credential = new ManagedCredential(specFor(shared.spec, name, client), shared.gate, shared.turnMarginMs);
    this.#sessions.set(name, { base: shared.name, credential, stopWatching });
    return credential;
  }

  #end(name: string): void {
    const session = this.#sessions.get(name);
    if (session === undefined) return;
    this.#sessions.delete(name);
    session.stopWatching();
    const { flight } = session.credential;
    this.#deps.refresher.retire(session.credential);
    this.#deps.events.add('session-ended', name);
    const { leases } = this.#deps;
    void leases.endOf(name);
    // What is on its way is journaled when it arrives.
    flight?.done.then(
      () => leases.endOf(name),
      () => leases.endOf(name),
    );
  }

  #share(shared: ManagedCredential, asker: string, reason: string): ManagedCredential {
    const id = `${shared.name}\n${asker}`;
    if (this.#told.has(id)) return shared;
    if (this.#told.size >= MOST_TOLD) this.#told.clear();
    this.#told.add(id);
    this.#ports.log.warn({ credential: shared.name, reason }, 'a client is given the shared lease, not one of its own');
    this.#deps.events.add('session-shared', shared.name, { reason });
    return shared;
  }
}

const SESSION_NAME = /^([^@]+)@(\d+)\.(.+)$/;

export function isSessionName(name: string): boolean {
  return SESSION_NAME.test(name);
}

function nameOf({ name }: ManagedCredential, { pid, startTime }: Pick<Client, 'pid' | 'startTime'>): string {
  return `${name}@${pid}.${startTime}`;
}

/** No two sessions share a read. */
function specFor(shared: CredentialSpec, name: string, client: Pick<Client, 'pid' | 'startTime'>): CredentialSpec {
  const words = { client: String(client.pid), session: `${client.pid}.${client.startTime}` };
  const source = shared.sourceOf?.(words) ?? shared.config.source;
  return { ...shared, config: { ...shared.config, name, source }, readId: `${shared.readId}\n${name}` };
}

function isSame(shared: ManagedCredential, session: ManagedCredential): boolean {
  const { spec, gate } = shared;
  return (
    spec.config.scope === 'session' &&
    gate === session.gate &&
    spec.sourceFingerprint === session.spec.sourceFingerprint
  );
}
