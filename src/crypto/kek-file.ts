import { lstatSync, readdirSync, renameSync, rmSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { shellWord } from '../errors.ts';
import { type Flaw, flawOf, readRegularFile, replaceFile, syncFolder } from '../platform/files.ts';
import { KEY_BYTES, KeyEncryptionKey } from './envelope.ts';
import type { AddOptions, KekReading, KekStore, Obstacle } from './kek-store.ts';

/** More than there ever are: one, or two while one takes the place of the other. */
const MAX_BYTES = 64 * KEY_BYTES;
/** What a crash in the middle of a write leaves; see replaceFile. */
const LEFT_OVER = /^\.kek\.\d+\.broker-tmp$/;
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

  constructor(stateDir: string, isForNewKeys = true) {
    this.#path = join(stateDir, 'kek');
    this.description = `file ${this.#path}`;
    this.isForNewKeys = isForNewKeys;
  }

  async find(id: string): Promise<KekReading> {
    const reading = this.#read();
    return reading.state === 'read' ? pick(reading.keks, id, this.description) : reading;
  }

  async spare(inUse?: string): Promise<KekReading> {
    const reading = this.#read();
    if (reading.state !== 'read') return reading;
    const kek = reading.keks.find(({ id }) => id !== inUse);
    return kek === undefined ? this.#gone() : { state: 'reachable', kek };
  }

  async add(kek: KeyEncryptionKey, { setAside }: AddOptions = {}): Promise<Obstacle | undefined> {
    const reading = setAside === undefined ? this.#read() : this.#gone();
    if (reading.state === 'unreachable') return reading;
    return this.#attempt(() => {
      if (setAside !== undefined && lstatSync(this.#path, { throwIfNoEntry: false }) !== undefined)
        renameSync(this.#path, `${this.#path}.${setAside}`);
      this.#write(reading.state === 'read' ? [...reading.keks, kek] : [kek]);
    });
  }

  async remove(id: string): Promise<Obstacle | undefined> {
    const reading = this.#read();
    if (reading.state === 'missing') return undefined;
    if (reading.state === 'unreachable') return reading;
    const others = reading.keks.filter((kek) => kek.id !== id);
    return this.#attempt(() => {
      if (others.length === 0) {
        rmSync(this.#path);
        syncFolder(dirname(this.#path));
      } else if (others.length < reading.keks.length) this.#write(others);
    });
  }

  #read(): KeksReading | Exclude<KekReading, { state: 'reachable' }> {
    const uid = process.getuid?.() ?? 0;
    return readKeks(this.#path, (path, stats) => flawOf(path, stats, 'private', uid)) ?? this.#gone();
  }

  #gone(): Exclude<KekReading, { state: 'reachable' }> {
    return {
      state: 'missing',
      reason: `the key file ${this.#path} is gone`,
      remedy: `Put it back from a backup, or ${GIVE_UP}`,
    };
  }

  #write(keks: readonly KeyEncryptionKey[]): void {
    const folder = dirname(this.#path);
    for (const name of readdirSync(folder)) if (LEFT_OVER.test(name)) rmSync(join(folder, name));
    const bytes = Buffer.concat(keks.map((kek) => kek.lend((key) => Buffer.from(key))));
    try {
      replaceFile(this.#path, bytes, { mode: 0o600 });
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

interface KeksReading {
  readonly state: 'read';
  readonly keks: readonly KeyEncryptionKey[];
}

/** The keys in a file that passes `judge`; undefined: there is no file. */
export function readKeks(
  path: string,
  judge: (path: string, stats: Stats) => Flaw | undefined,
): KeksReading | Extract<KekReading, { state: 'unreachable' }> | undefined {
  const reading = readRegularFile(path, { maxBytes: MAX_BYTES, followLinks: false });
  if (reading.state === 'absent') return undefined;
  if (reading.state === 'refused') {
    const link = reading.why === 'link' ? judge(path, lstatSync(path)) : undefined;
    if (link !== undefined) return { state: 'unreachable', ...link };
    const size = reading.why === 'size' ? `; a key has exactly ${KEY_BYTES} bytes` : '';
    const remedy = reading.why === 'size' ? RESTORE : `Look at it: ls -l ${shellWord(path)}`;
    return { state: 'unreachable', reason: `${path} ${reading.fault}${size}`, remedy };
  }
  const { bytes, stats } = reading;
  try {
    const flaw = judge(path, stats);
    if (flaw !== undefined) return { state: 'unreachable', ...flaw };
    if (bytes.length === 0 || bytes.length % KEY_BYTES !== 0) {
      const reason = `${path} holds ${bytes.length} bytes; a key has exactly ${KEY_BYTES}`;
      return { state: 'unreachable', reason, remedy: RESTORE };
    }
    const count = bytes.length / KEY_BYTES;
    const keyAt = (at: number) => Buffer.from(bytes.subarray(at * KEY_BYTES, (at + 1) * KEY_BYTES));
    return { state: 'read', keks: Array.from({ length: count }, (_, at) => KeyEncryptionKey.fromBytes(keyAt(at))) };
  } finally {
    bytes.fill(0);
  }
}

const RESTORE = `Put the right file back from a backup, or ${GIVE_UP}`;

/** The key with this id among those that lie in one place. */
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
