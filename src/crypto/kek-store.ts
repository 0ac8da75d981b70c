import type { KeyHome } from '../protocol/reports.ts';
import { KeyEncryptionKey } from './envelope.ts';

/**
 * A place that keeps key-encryption keys outside the database, by their ids; one file in crypto/ each. Nothing here
 * rejects, and nothing takes longer than a few seconds, however long the keyring of the operating system takes.
 */
export interface KekStore {
  readonly kind: KeyHome;
  /** For people: what and where. */
  readonly description: string;
  /** Whether the key of a new database may be kept here. Any store is asked for the key that a database names. */
  readonly isForNewKeys: boolean;

  find(id: string): Promise<KekReading>;
  /**
   * Keeps a key, durably; where another process keeps it, it was read back. Absent where only an administrator can put
   * one. Whatever else is kept here stays. @returns what is in the way; undefined: it is kept.
   */
  add?(kek: KeyEncryptionKey, options?: AddOptions): Promise<Obstacle | undefined>;
  /** Destroys a key that seals nothing any more; none there: nothing done. @returns what is in the way. */
  remove(id: string): Promise<Obstacle | undefined>;
  /**
   * Looks whether the key in use is still here, and puts it back if not; what took its place is moved out of the way under
   * this label. Absent where the operating system keeps keys: what is removed there was removed on purpose.
   */
  keep?(kek: KeyEncryptionKey, setAside: string): Promise<'kept' | 'restored' | Obstacle>;
  /**
   * A key that is here and not the one in use: put there by an administrator, or left by a database that is gone.
   * Absent where keys are found by their ids only.
   */
  spare?(inUse?: string): Promise<KekReading>;
}

/** What looking for a key found. */
export type KekReading = { readonly state: 'reachable'; readonly kek: KeyEncryptionKey } | NoKek;

/**
 * unreachable: the place cannot be looked at now (locked, refused, no service), or what is there must not be used as it
 * is. missing: the place can be looked at and does not hold the key. Neither is a reason to make another.
 */
export interface NoKek extends Obstacle {
  readonly state: 'unreachable' | 'missing';
}

export interface Obstacle {
  readonly reason: string;
  readonly remedy: string;
  /** Asking again may put another dialogue before a person, so it is not done soon. */
  readonly mayHavePrompted?: boolean;
}

export interface AddOptions {
  /** A keyring program that does not run may be started. Default: false. */
  readonly mayStart?: boolean;
  /** A person asked for this key, is there to answer a dialogue, and chose this home. */
  readonly byPerson?: true;
  /** What is here is not to be used: it is moved out of the way under this label, and not destroyed. */
  readonly setAside?: string;
}

interface NewKekOptions {
  /** A person gives up what is in our own places: it is set aside under this label. */
  readonly discarding?: string;
  /** Where a person wants it, whatever the configuration says. */
  readonly to?: KeyHome | undefined;
}

/** What a database says about a key. */
export interface RecordedKek {
  /** A string and not a KeyHome: a later version may have written one that this version does not know. */
  readonly home: string;
  readonly id: string;
}

export type KekFinding =
  | { readonly state: 'reachable'; readonly kek: KeyEncryptionKey; readonly home: KekStore }
  | NoKek;

/** Finds the key that a database says it was sealed with. */
export async function findRecordedKek(stores: readonly KekStore[], { home, id }: RecordedKek): Promise<KekFinding> {
  const store = stores.find(({ kind }) => kind === home);
  if (store !== undefined) return foundIn(store, await store.find(id));
  return {
    state: 'unreachable',
    reason: `the key lives in "${home}", which this version or machine does not know`,
    remedy: 'Run the version that sealed it, or give up what it sealed: broker rotate-key --discard',
  };
}

/**
 * The key for a database that has sealed nothing: one that is in a store already, else a new one in the first store
 * that takes it. A key that is there but cannot be reached is never bypassed.
 *
 * @param stores best first.
 */
export async function newKek(stores: readonly KekStore[], { discarding, to }: NewKekOptions = {}): Promise<KekFinding> {
  const wanted = stores.filter(({ kind, isForNewKeys }) => (to === undefined ? isForNewKeys : kind === to));
  let obstacle: Obstacle = { reason: 'there is no place to keep a key in', remedy: 'Give the daemon a state folder.' };
  let state: 'missing' | 'unreachable' = 'missing';
  for (const store of wanted) {
    if (store.spare === undefined || (discarding !== undefined && store.add !== undefined)) continue;
    const reading = await store.spare();
    if (reading.state !== 'missing') return foundIn(store, reading);
    obstacle = reading;
  }
  for (const store of wanted) {
    if (store.add === undefined) continue;
    const kek = KeyEncryptionKey.ephemeral();
    // Where another store would do as well, no program is started for it.
    const mayStart = wanted.length === 1 || discarding !== undefined;
    const refusal = await store.add(kek, { mayStart, ...(discarding !== undefined && { setAside: discarding }) });
    if (refusal === undefined) return { state: 'reachable', kek, home: store };
    const orElse = store.kind === 'keyring' ? '; or choose another home: [daemon] key_home = "file"' : '';
    [obstacle, state] = [{ ...refusal, remedy: refusal.remedy + orElse }, 'unreachable'];
  }
  return { ...obstacle, state };
}

function foundIn(home: KekStore, reading: KekReading): KekFinding {
  return reading.state === 'reachable' ? { ...reading, home } : reading;
}
