import { type Attached, type CacheOptions, type Detached, databasePath } from '../cache/attach.ts';
import { discard } from '../cache/discard.ts';
import type { Memory, Persistence } from '../cache/persistence.ts';
import type { Records } from '../cache/records.ts';
import { describeEnvironment, removeUnusedKek } from '../cache/recovery.ts';
import type { Sealer } from '../cache/sealer.ts';
import type { SqliteStore } from '../cache/store.ts';
import { BrokerError } from '../errors.ts';
import { KEY_HOMES, type KeyHome } from '../protocol/reports.ts';
import { KeyEncryptionKey } from './envelope.ts';
import type { RecordedKek } from './kek-locator.ts';
import type { KekHome } from './kek-store.ts';

export async function rotate(
  options: RotateOptions,
  cacheOptions: CacheOptions | undefined,
  host: RotationHost,
): Promise<Rotation> {
  if (cacheOptions === undefined) throw refused('a cache in memory has no key to rotate', 'Start the daemon.');
  const [contents, persistence] = [host.contents(), host.persistence()];
  if (contents !== undefined && persistence !== undefined) {
    return await rewrapAll(options, cacheOptions, host, contents, persistence);
  }
  const { problem, remedy, cause } = host.detached() ?? CLOSED;
  if (cause !== 'key' || !options.discard) throw refused(problem, remedy);
  return await discard(options, cacheOptions, host);
}

const CLOSED = { problem: 'the cache is closed', remedy: 'Start the daemon.', cause: 'closed' } as const;

/**
 * The new key is stored beside the old one; then one transaction, synced to the disk, wraps every record anew and
 * names the new key; only then is the old one removed. A crash before the commit leaves the old state and an unused
 * key, one after it the new state and an unused key. In a home with slots findRecordedKek settles both; a key that is
 * kept elsewhere by its id is on record as unused before it is made and until it is removed.
 */
async function rewrapAll(
  { to }: RotateOptions,
  options: CacheOptions,
  host: RotationHost,
  old: Memory,
  persistence: Persistence,
): Promise<Rotation> {
  const { kekHomes, log } = options;
  requireWritten(persistence, old);
  const home = kekHomes.find(({ kind }) => kind === (to ?? old.home.kind));
  if (home === undefined) throw refused(`there is no key home "${to}"`, `Choose one of: ${KEY_HOMES.join(', ')}.`);
  const kek = await prepareKek(home, old, host, persistence, options);
  // A keeper takes its time, and answers go on meanwhile.
  const now = host.contents();
  if (now === undefined) throw refused(CLOSED.problem, CLOSED.remedy);
  requireWritten(persistence, now);
  const sealer = now.sealer.under(kek);
  const records = now.records.map((row) => now.sealer.rewrap(row, kek));
  const isMoving = home.kind !== old.home.kind || home.keeper !== undefined;
  const unused = isMoving ? { home: old.home.kind, id: now.sealer.kek.id } : undefined;
  commit(persistence, options, (store) => {
    store.replaceAll({ records, sealer }, home);
    store.recordUnusedKek(unused);
  });
  host.replace({ records, sealer, home });
  host.unused(unused);
  try {
    home.writer?.promote();
  } catch (error) {
    // The database names the new key, which lies in `next`: the next start finds it there and finishes this.
    log.warn({ reason: error instanceof Error ? error.message : 'unknown' }, 'the new key is in use but not in place');
  }
  const left = unused && (await removeUnusedKek(unused, kek.id, options));
  if (unused !== undefined && left === undefined) host.unused(undefined);
  const rewrapped = records.all('key').length + records.all('login').length;
  log.info({ home: home.description, rewrapped }, 'the key-encryption key was rotated');
  return { kekId: kek.id, home: home.description, rewrapped, setAside: undefined, left };
}

function requireWritten(persistence: Persistence, contents: Memory): void {
  if (persistence.behind === undefined || persistence.catchUp(contents)) return;
  throw refused(persistence.behind.problem, persistence.behind.remedy);
}

function commit(persistence: Persistence, { stateDir }: CacheOptions, action: (store: SqliteStore) => void): void {
  try {
    persistence.durably(action);
  } catch (error) {
    const { problem, remedy } = describeEnvironment(databasePath(stateDir), error);
    throw new BrokerError('ERR_IO', `the key was not rotated: ${problem}`, { remedy, cause: error });
  }
}

/** A home of ours gets a random key; in another one the administrator has put it: as `next`, or as `current` of a new home. */
async function prepareKek(
  home: KekHome,
  old: Memory,
  host: RotationHost,
  persistence: Persistence,
  options: CacheOptions,
): Promise<KeyEncryptionKey> {
  if (home.keeper !== undefined) {
    const kek = KeyEncryptionKey.ephemeral();
    // On the disk before it is in the keyring, so that a crash leaves no key there that nobody knows of.
    const unused = { home: home.kind, id: kek.id };
    commit(persistence, options, (store) => store.recordUnusedKek(unused));
    host.unused(unused);
    await home.keeper.add(kek);
    return kek;
  }
  if (home.writer !== undefined) {
    home.writer.clear('next');
    return home.writer.create('next');
  }
  const reading = home.read(home.kind === old.home.kind ? 'next' : 'current');
  if (reading.state === 'reachable') return reading.kek;
  throw refused(`there is no new key in ${home.description}: ${reading.reason}`, reading.remedy);
}

export interface RotateOptions {
  /** Where the new key is to live; default: where the present one does. */
  readonly to?: KeyHome | undefined;
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
  sealer(): Sealer;
  contents(): Memory | undefined;
  persistence(): Persistence | undefined;
  attach(found: Attached, options: CacheOptions): void;
  replace(contents: { records: Records; sealer: Sealer; home: KekHome }): void;
  /** A key that seals nothing and has yet to be removed, as the database has it on record; undefined: it was removed. */
  unused(kek: RecordedKek | undefined): void;
}

export function refused(problem: string, remedy: string): BrokerError {
  return new BrokerError('ERR_IO', problem, { remedy });
}
