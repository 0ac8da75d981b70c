import type { KeyVersion } from '../credential/key.ts';
import type { Login } from '../credential/life.ts';
import { type SecretBytes, wipeAll } from '../credential/secret.ts';
import type { Timeline } from '../platform/timeline.ts';
import type { RotationReport, RotationRequest } from '../protocol/reports.ts';
import type { CacheOptions } from './attach.ts';
import type {
  ArmedCheck,
  CacheHealth,
  ClientRecord,
  CredentialCache,
  LeaseEntry,
  SecretFields,
  StoredEvent,
} from './cache.ts';
import type { NumberedEvent } from './events.ts';
import { Memory } from './memory.ts';
import { Persistence } from './persistence.ts';
import { idOf, idWithin, type Kind, type RejectedMark, type Stored } from './records.ts';
import { refused } from './recovery.ts';
import { rotateKey } from './rotation.ts';
import type { SqliteStore } from './store.ts';

const IN_MEMORY: CacheHealth = {
  persistent: false,
  problem: undefined,
  remedy: undefined,
  keyEncryptionKeyHome: 'memory alone: cache = "memory"',
  keyHome: undefined,
};

/**
 * The cache: everything sealed in memory, written through to SQLite. Answers are given from memory, so neither a disk
 * that fails nor a database that is damaged reaches them. Without database or key-encryption key it works from memory
 * under a key of its own until `reach()` finds both, and then brings what it has into the database.
 */
export class SqliteCache implements CredentialCache {
  readonly #memory: Memory;
  /** Undefined: memory only, for good. */
  readonly #persistence: Persistence | undefined;

  private constructor(memory: Memory, persistence?: Persistence) {
    this.#memory = memory;
    this.#persistence = persistence;
  }

  static async open(options: CacheOptions): Promise<SqliteCache> {
    const memory = new Memory();
    return new SqliteCache(memory, await Persistence.open(options, memory));
  }

  static inMemory(): SqliteCache {
    return new SqliteCache(new Memory());
  }

  keys(): readonly KeyVersion[] {
    return this.#memory.records.all('key').map(({ facts }) => facts);
  }

  put(key: KeyVersion, secrets: SecretFields): void {
    this.#put(this.#memory.sealer.sealKey(key, secrets));
  }

  touch(key: KeyVersion): void {
    if (this.#memory.records.get('key', key.credential)?.facts.digest !== key.digest) return;
    const secrets = this.open(key.credential);
    if (secrets === undefined) return;
    try {
      this.put(key, secrets);
    } finally {
      wipeAll(secrets);
    }
  }

  open(credential: string): SecretFields | undefined {
    const stored = this.#memory.records.get('key', credential);
    return stored && this.#memory.sealer.openKey(stored.row);
  }

  remove(credential: string): void {
    this.#delete('key', [credential]);
  }

  digest(secrets: SecretFields): string {
    return this.#memory.sealer.digestKey.ofSecret(secrets);
  }

  markRejected(credential: string, digest: string, atMs: number): void {
    this.#put(this.#memory.sealer.seal('rejected', { credential, digest, atMs: requireTime(atMs) }));
  }

  rejectedMarks(credential: string): readonly string[] {
    return this.#marks((mark) => mark.credential === credential).map(({ digest }) => digest);
  }

  clearRejected(credential: string, digest?: string): void {
    this.#forgetMarks((mark) => mark.credential === credential && (digest === undefined || mark.digest === digest));
  }

  pruneRejected(beforeMs: number): void {
    requireTime(beforeMs);
    this.#forgetMarks(({ atMs }) => atMs < beforeMs);
  }

  saveClients(clients: readonly ClientRecord[]): void {
    this.#put(...clients.map((client) => this.#memory.sealer.seal('client', client)));
  }

  clients(): readonly ClientRecord[] {
    return this.#memory.records.all('client').map(({ facts }) => facts);
  }

  removeClients(ids: readonly string[]): void {
    if (ids.length > 0) this.#delete('client', ids);
  }

  saveArmedCheck(armed: ArmedCheck): void {
    this.#put(this.#memory.sealer.seal('check', armed));
  }

  armedCheck(credential: string): ArmedCheck | undefined {
    return this.#memory.records.get('check', credential)?.facts;
  }

  journalLease(entry: LeaseEntry): void {
    this.#put(this.#memory.sealer.seal('lease', entry));
  }

  forgetLease(provider: string, leaseId: string): void {
    this.#delete('lease', [idWithin(provider, leaseId)]);
  }

  leases(): readonly LeaseEntry[] {
    return this.#memory.records.all('lease').map(({ facts }) => facts);
  }

  saveLogin(provider: string, fingerprint: string, login: Login, token: SecretBytes): void {
    this.#put(this.#memory.sealer.seal('login', { provider, fingerprint, login }, token.bytes));
  }

  removeLogin(provider: string, loginId: string): void {
    this.#delete('login', [idWithin(provider, loginId)]);
  }

  logins(provider: string, fingerprint: string): readonly { login: Login; token: SecretBytes }[] {
    return this.#memory.records
      .all('login')
      .filter(({ facts }) => facts.provider === provider && facts.fingerprint === fingerprint)
      .flatMap(({ facts: { login }, row }) => {
        const opened = this.#memory.sealer.open(row);
        return opened === undefined ? [] : [{ login, token: opened.secret }];
      });
  }

  refusedLogins(account: string): readonly number[] {
    return this.#memory.records.get('refusals', account)?.facts.atMs ?? [];
  }

  saveRefusedLogins(account: string, atMs: readonly number[]): void {
    if (atMs.length === 0) this.#delete('refusals', [account]);
    else this.#put(this.#memory.sealer.seal('refusals', { account, atMs: atMs.map(requireTime) }));
  }

  appendEvents(events: readonly StoredEvent[]): void {
    if (events.length === 0) return;
    for (const event of events) requireTime(event.atMs);
    const journal = this.#memory.events;
    journal.add(events);
    this.#persistence?.write(
      (store) => journal.flush(store.events),
      () => journal.written(),
    );
    journal.trim();
  }

  events({ afterId, limit }: { afterId?: number; limit: number }): readonly NumberedEvent[] {
    if (limit < 1) return [];
    const journal = this.#memory.events;
    const read = (store?: SqliteStore) =>
      afterId === undefined ? journal.newest(limit, store?.events) : journal.after(afterId, limit, store?.events);
    return this.#persistence === undefined ? read() : this.#persistence.read(read, read);
  }

  timeline(): Timeline | undefined {
    return this.#memory.records.get('timeline', '')?.facts ?? this.#persistence?.detached?.timeline;
  }

  saveTimeline(timeline: Timeline): void {
    this.#put(this.#memory.sealer.seal('timeline', timeline));
  }

  /** False: what is in it ends with this process, whatever the disk does. */
  get isOnDisk(): boolean {
    return this.#persistence !== undefined;
  }

  health(): CacheHealth {
    return this.#persistence?.health() ?? IN_MEMORY;
  }

  /** Tries again what could not be reached or written before; see Persistence. */
  async reach(): Promise<boolean> {
    return (await this.#persistence?.reach()) ?? false;
  }

  /** See Persistence. */
  async reachIfChanged(): Promise<boolean> {
    return (await this.#persistence?.reachIfChanged()) ?? false;
  }

  /** The database is open, and its files are still those at their path. */
  isInPlace(): boolean {
    return this.#persistence?.isInPlace() ?? true;
  }

  /** See Persistence. */
  async restoreDatabase(): Promise<boolean> {
    return (await this.#persistence?.restoreDatabase()) ?? false;
  }

  /** See Persistence. */
  async restoreKey(): Promise<boolean> {
    return (await this.#persistence?.restoreKey()) ?? false;
  }

  /** See rotation.ts. */
  async rotateKey(request: Partial<RotationRequest> = {}): Promise<RotationReport> {
    if (this.#persistence !== undefined) return await rotateKey(this.#persistence, request);
    throw refused({
      problem: 'with cache = "memory" the key ends with the daemon',
      remedy: 'Restart it for another: broker service restart',
    });
  }

  /** While nothing is asked for: what the database keeps at hand is read again when it is needed. */
  releaseMemory(): void {
    this.#persistence?.releaseMemory();
  }

  close(): void {
    this.#persistence?.close();
  }

  #put<K extends Kind>(...stored: readonly Stored<K>[]): void {
    for (const each of stored) this.#memory.records.put(each);
    this.#persistence?.write((store) => {
      for (const { row } of stored) store.put(row);
    });
  }

  #delete(kind: Kind, ids: readonly string[]): void {
    for (const id of ids) this.#memory.records.delete(kind, id);
    if (this.#persistence?.detached !== undefined) this.#memory.noteRemoved(kind, ids);
    this.#persistence?.write((store) => {
      for (const id of ids) store.remove(kind, id);
    });
  }

  #marks(concerned: (mark: RejectedMark) => boolean): RejectedMark[] {
    return this.#memory.records
      .all('rejected')
      .map(({ facts }) => facts)
      .filter(concerned);
  }

  #forgetMarks(concerned: (mark: RejectedMark) => boolean): void {
    const marks = this.#marks(concerned);
    this.#delete(
      'rejected',
      marks.map((mark) => idOf('rejected', mark)),
    );
  }
}

/** JSON has no NaN: it would become null and look like damage. */
function requireTime(ms: number): number {
  if (Number.isNaN(ms)) throw new TypeError('a time is not a number');
  return ms;
}
