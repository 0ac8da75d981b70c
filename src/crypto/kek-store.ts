import type { KeyHome } from '../protocol/reports.ts';
import type { KeyEncryptionKey } from './envelope.ts';

/**
 * `next` holds a new key while a rotation goes on; it becomes `current` when the database has been committed under
 * it. Whichever of the two the database names is the right one, so that a crash at any point loses nothing.
 */
export type KekSlot = 'current' | 'next';

/** What looking for a key found. Unreachable and missing are different things, and neither is a reason to make a key. */
export type KekReading =
  | { readonly state: 'reachable'; readonly kek: KeyEncryptionKey }
  | KekUnreachable
  /** The place can be looked at and holds no key. */
  | { readonly state: 'missing'; readonly reason: string; readonly remedy: string };

/** The place cannot be looked at now (locked, refused, no service) or what lies there must not be used as it is. */
export interface KekUnreachable {
  readonly state: 'unreachable';
  readonly reason: string;
  readonly remedy: string;
  /** Nobody has looked yet: `look` of the home's keeper does. */
  readonly notYet?: boolean;
}

/**
 * A place that keeps a key-encryption key outside the database. One file in crypto/ each. It is read once at start, and
 * again only while it cannot be reached. Reading is synchronous; a home that other processes keep has a keeper, which
 * looks asynchronously, and tells of what that saw.
 */
export interface KekHome {
  readonly kind: KeyHome;
  /** For people: what and where. */
  readonly description: string;
  /** Whether this run was given the place at all. An unconfigured home is looked at only if the database names it. */
  readonly configured: boolean;
  /** Absent where only an administrator can put a key, and where a keeper does. */
  readonly writer?: KekWriter;
  readonly keeper?: KekKeeper;
  /**
   * `id` is that of the key that is wanted; undefined: a key for a database that has sealed nothing. Only a home that
   * keeps its keys by their ids needs it.
   */
  read(slot: KekSlot, id?: string): KekReading;
}

/** A home behind another process, the keyring of the operating system: it keeps any number of keys by their ids. */
export interface KekKeeper {
  /**
   * Looks for what `read` was asked for in vain; false if there was nothing to look for, or it is too early to try
   * again. Never rejects, and never takes longer than a few seconds.
   * @param now although it is too early: a person asked for it.
   */
  look(now?: boolean): Promise<boolean>;
  /** What was seen may be out of date: `read` tells of nothing until the next look. */
  forget(): void;
  /** Keeps a key, durably: it was read back. Rejects with a BrokerError. */
  add(kek: KeyEncryptionKey): Promise<void>;
  /** Destroys a key that seals nothing any more; none there: nothing done. Rejects with a BrokerError. */
  remove(id: string): Promise<void>;
}

export interface KekWriter {
  /** Makes a random key in the slot, durably. Throws a BrokerError if it cannot or if the slot is taken. */
  create(slot: KekSlot): KeyEncryptionKey;
  /** `next` replaces `current`, atomically. Throws a BrokerError. */
  promote(): void;
  /** Destroys what is in the slot, if anything: for a key that seals nothing any more. */
  clear(slot: KekSlot): void;
  /** Moves `current` out of the way without destroying it; `stamp` tells several apart. Nothing there: nothing done. */
  setAside(stamp: string): void;
}
