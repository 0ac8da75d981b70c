import { lstatSync, renameSync, rmSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { shellWord } from '../errors.ts';
import { identityOf, readRegularFile, removeUnfinished, replaceFile, syncFolder } from '../platform/files.ts';
import { type Flaw, flawOf } from '../platform/place-rules.ts';
import { KEY_BYTES, KeyEncryptionKey } from './envelope.ts';
import type { AddOptions, KekReading, KekStore, NoKek, Obstacle } from './kek-store.ts';

/** More than there ever are: one, or two while one takes the place of the other. */
const MAX_BYTES = 64 * KEY_BYTES;
const GIVE_UP = 'give up what it sealed: broker rotate-key --discard';

/**
 * The key in a 0600 file beside the database: the honest default of a machine that has nothing better. It keeps other
 * users out, and those who read only the database; who gets the whole folder has both. While a rotation goes on there are
 * two keys in it, one after the other.
 */
export class KekFile implements KekStore {
  readonly kind = 'file';
  readonly description: string;
  readonly isForNewKeys: boolean;
  readonly #path: string;
  /** The file in which the key in use was found last. */
  #verified: string | undefined;

  readonly #onWritten: (path: string) => void;

  /** `onWritten`: told of each new file of that path. */
  constructor(stateDir: string, isForNewKeys = true, onWritten: (path: string) => void = () => {}) {
    this.#onWritten = onWritten;
    this.#path = join(stateDir, 'kek');
    this.description = `file ${this.#path}`;
    this.isForNewKeys = isForNewKeys;
  }

  async find(id: string): Promise<KekReading> {
    const keks = this.#read();
    if ('state' in keks) return keks;
    return keks.length === 0 ? this.#gone() : pick(keks, id, this.description);
  }

  async spare(inUse?: string): Promise<KekReading> {
    const keks = this.#read();
    if ('state' in keks) return keks;
    const kek = keks.find(({ id }) => id !== inUse);
    return kek === undefined ? this.#gone() : { state: 'reachable', kek };
  }

  async add(kek: KeyEncryptionKey, { setAside }: AddOptions = {}): Promise<Obstacle | undefined> {
    const keks = setAside === undefined ? this.#read() : [];
    if ('state' in keks) return keks;
    return this.#attempt(() => {
      if (setAside !== undefined && lstatSync(this.#path, { throwIfNoEntry: false }) !== undefined)
        renameSync(this.#path, `${this.#path}.${setAside}`);
      this.#write([...keks, kek]);
    });
  }

  async keep(kek: KeyEncryptionKey, setAside: string): Promise<'kept' | 'restored' | Obstacle> {
    const identity = identityOf(this.#path);
    if (identity !== '-' && identity === this.#verified) return 'kept';
    const found = await this.find(kek.id);
    if (found.state === 'reachable') {
      this.#verified = identity;
      return 'kept';
    }
    const stats = lstatSync(this.#path, { throwIfNoEntry: false });
    const flaw = stats?.isFile() ? flawOf(this.#path, stats, 'private', process.getuid?.() ?? 0) : undefined;
    // What is in it may be right: its owner is asked to close it, and it stays.
    if (flaw !== undefined) return flaw;
    return (await this.add(kek, { setAside })) ?? 'restored';
  }

  async remove(id: string): Promise<Obstacle | undefined> {
    const keks = this.#read();
    if ('state' in keks) return keks;
    return this.#attempt(() => this.#write(keks.filter((kek) => kek.id !== id)));
  }

  #read(): readonly KeyEncryptionKey[] | NoKek {
    // Copies of keys that a crash kept from taking their place.
    removeUnfinished(this.#path);
    const uid = process.getuid?.() ?? 0;
    return readKeks(this.#path, (path, stats) => flawOf(path, stats, 'private', uid));
  }

  #gone(): NoKek {
    return {
      state: 'missing',
      reason: `the key file ${this.#path} is gone`,
      remedy: `Put it back from a backup, or ${GIVE_UP}`,
    };
  }

  #write(keks: readonly KeyEncryptionKey[]): void {
    if (keks.length === 0) {
      rmSync(this.#path, { force: true });
      syncFolder(dirname(this.#path));
      return;
    }
    const bytes = Buffer.alloc(keks.length * KEY_BYTES);
    try {
      for (const [at, kek] of keks.entries()) kek.lend((key) => bytes.set(key, at * KEY_BYTES));
      replaceFile(this.#path, bytes, { mode: 0o600 });
      this.#onWritten(this.#path);
    } finally {
      bytes.fill(0);
    }
  }

  #attempt(action: () => void): Obstacle | undefined {
    try {
      action();
      return undefined;
    } catch (error) {
      const folder = shellWord(dirname(this.#path));
      return {
        reason: `the key file ${this.#path} cannot be written: ${error instanceof Error ? error.message : 'unknown error'}`,
        remedy: `Check space and permissions: df -h ${folder}; ls -la ${folder}`,
      };
    }
  }
}

/** The keys in a file that passes `judge`; none if there is no file. */
export function readKeks(
  path: string,
  judge: (path: string, stats: Stats) => Flaw | undefined,
): readonly KeyEncryptionKey[] | NoKek {
  const reading = readRegularFile(path, { maxBytes: MAX_BYTES, followLinks: false });
  if (reading.state === 'absent') return [];
  if (reading.state === 'refused') {
    const link = reading.why === 'link' ? judge(path, lstatSync(path)) : undefined;
    if (link !== undefined) return { state: 'unreachable', ...link };
    if (reading.why === 'size') return wrongSize(path, reading.fault);
    return { state: 'unreachable', reason: `${path} ${reading.fault}`, remedy: `Look at it: ls -l ${shellWord(path)}` };
  }
  const { bytes, stats } = reading;
  try {
    const flaw = judge(path, stats);
    if (flaw !== undefined) return { state: 'unreachable', ...flaw };
    const count = bytes.length / KEY_BYTES;
    if (count === 0 || !Number.isInteger(count)) return wrongSize(path, `holds ${bytes.length} bytes`);
    const keyAt = (at: number) => Buffer.from(bytes.subarray(at * KEY_BYTES, (at + 1) * KEY_BYTES));
    return Array.from({ length: count }, (_, at) => KeyEncryptionKey.fromBytes(keyAt(at)));
  } finally {
    bytes.fill(0);
  }
}

function wrongSize(path: string, fault: string): NoKek {
  return {
    state: 'unreachable',
    reason: `${path} ${fault}; a key has exactly ${KEY_BYTES}`,
    remedy: `Put the right file back from a backup, or ${GIVE_UP}`,
  };
}

/** The key with this id among those in one place. */
export function pick(keks: readonly KeyEncryptionKey[], id: string, place: string): KekReading {
  const kek = keks.find((each) => each.id === id);
  if (kek !== undefined) return { state: 'reachable', kek };
  const others = keks.map((each) => each.id).join(', ');
  return {
    state: 'missing',
    reason: `the key in ${place} (${others}) is not the one that sealed the database (${id})`,
    remedy: `Put the right key back from a backup, or ${GIVE_UP}`,
  };
}
