import type { KekHome, KekHomeKind } from '../crypto/kek-home.ts';
import type { RecordedKek } from '../crypto/kek-locator.ts';
import { BrokerError } from '../errors.ts';
import type { Attached, CacheOptions, Detached } from './attach.ts';
import type { Contents, Persistence } from './persistence.ts';
import type { Records } from './records.ts';
import type { Sealer } from './sealer.ts';

export interface RotateOptions {
  /** Where the new key is to live; default: where the present one does. */
  readonly to?: KekHomeKind | undefined;
  /** If the key is lost: set aside what it sealed and begin anew. Without effect on a key that can be reached. */
  readonly discard?: boolean;
}

export interface Rotation {
  /** The new key's id and the home it lives in, for people. */
  readonly kekId: string;
  readonly home: string;
  /** How many records were wrapped anew. */
  readonly rewrapped: number;
  /** Where a database whose key was lost has been moved to. */
  readonly setAside: string | undefined;
  /** Why the old key, which seals nothing any more, is still in its home: it is removed as soon as it can be. */
  readonly left: string | undefined;
}

/** What a rotation needs to know and to change of the cache it works for. */
export interface RotationHost {
  detached(): Detached | undefined;
  contents(): Contents | undefined;
  persistence(): Persistence | undefined;
  attach(found: Attached, options: CacheOptions): void;
  replace(contents: { records: Records; sealer: Sealer; home: KekHome }): void;
  /** A key that seals nothing and has yet to be removed, as the database has it on record; undefined: it was removed. */
  unused(kek: RecordedKek | undefined): void;
}

export function refused(problem: string, remedy: string): BrokerError {
  return new BrokerError('ERR_IO', problem, { remedy });
}
