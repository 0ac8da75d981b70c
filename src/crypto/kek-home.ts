import type { KeyEncryptionKey } from './key-encryption-key.ts';

/** Recorded in the database: renaming one breaks what exists. */
export type KekHomeKind = 'file' | 'systemd-credential';

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
}

/**
 * A place that keeps a key-encryption key outside the database. One file in crypto/ each. Everything is synchronous:
 * a home is read once at start, and again only while it cannot be reached.
 */
export interface KekHome {
  readonly kind: KekHomeKind;
  /** For people: what and where. */
  readonly description: string;
  /** Whether this run was given the place at all. An unconfigured home is looked at only if the database names it. */
  readonly configured: boolean;
  /** Absent where only an administrator can put a key: such a home is read, never written. */
  readonly writer?: KekWriter;
  read(slot: KekSlot): KekReading;
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
