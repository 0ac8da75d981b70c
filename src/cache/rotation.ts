import { rewrapEnvelope } from '../crypto/envelope.ts';
import type { KekHome, KekHomeKind } from '../crypto/kek-home.ts';
import type { KeyEncryptionKey } from '../crypto/key-encryption-key.ts';
import { BrokerError } from '../errors.ts';
import { type Attached, attach, type CacheOptions, type Detached, databasePath } from './attach.ts';
import { describeEnvironment } from './database-failure.ts';
import type { Contents, Persistence } from './persistence.ts';
import { Records } from './records.ts';
import type { Sealer } from './sealer.ts';
import { setAside, timestamp } from './set-aside.ts';

export interface RotateOptions {
  /** Where the new key is to live; default: where the present one does. */
  readonly to?: KekHomeKind;
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
}

/** What a rotation needs to know and to change of the cache it works for. */
export interface RotationHost {
  readonly detached: Detached | undefined;
  readonly contents: Contents | undefined;
  readonly persistence: Persistence | undefined;
  attach(found: Attached, options: CacheOptions): void;
  replace(contents: { records: Records; sealer: Sealer; home: KekHome }): void;
}

export function rotate(options: RotateOptions, cacheOptions: CacheOptions | undefined, host: RotationHost): Rotation {
  if (cacheOptions === undefined) throw refused('a cache in memory has no key to rotate', 'Start the daemon.');
  if (host.contents !== undefined && host.persistence !== undefined) {
    return rewrapAll(options, cacheOptions, host, host.contents, host.persistence);
  }
  const { problem, remedy, cause } = host.detached ?? { problem: 'the cache is closed', remedy: 'Start the daemon.' };
  if (cause !== 'key' || !options.discard) throw refused(problem, remedy);
  return discard(cacheOptions, host);
}

/**
 * The new key is stored beside the old one; then one transaction, synced to the disk, wraps every record anew and
 * names the new key; then the new key takes the old one's place. A crash before the commit leaves the old state and
 * an unused key, one after it leaves a database that names the key in `next`: findRecordedKek settles both.
 */
function rewrapAll(
  { to }: RotateOptions,
  { kekHomes, log, stateDir }: CacheOptions,
  host: RotationHost,
  old: Contents,
  persistence: Persistence,
): Rotation {
  if (persistence.behind !== undefined && !persistence.catchUp(old)) {
    throw refused(persistence.behind.problem, persistence.behind.remedy);
  }
  const home = kekHomes.find(({ kind }) => kind === (to ?? old.home.kind));
  if (home === undefined) throw refused(`there is no key home "${to}"`, 'Choose one of: file, systemd-credential.');
  const kek = prepareKek(home, old);
  const sealer = old.sealer.rewrapped(kek);
  const records = rewrapRecords(old.records, old.sealer.kek, kek);
  try {
    persistence.durably((store) => store.replaceAll(records, sealer, home));
  } catch (error) {
    const { problem, remedy } = describeEnvironment(databasePath(stateDir), error);
    throw new BrokerError('ERR_IO', `the key was not rotated: ${problem}`, { remedy, cause: error });
  }
  host.replace({ records, sealer, home });
  try {
    if (home.writer !== undefined) home.writer.promote();
    if (home !== old.home) old.home.writer?.clear('current');
  } catch (error) {
    // The database names the new key, which lies in `next`: the next start finds it there and finishes this.
    log.warn({ reason: error instanceof Error ? error.message : 'unknown' }, 'the new key is in use but not in place');
  }
  const rewrapped = records.keys.size + records.logins.size;
  log.info({ home: home.description, rewrapped }, 'the key-encryption key was rotated');
  return { kekId: kek.id, home: home.description, rewrapped, setAside: undefined };
}

/** A writable home gets a random key; in another one the administrator has put it: as `next`, or as `current` of a new home. */
function prepareKek(home: KekHome, old: Contents): KeyEncryptionKey {
  if (home.writer !== undefined) {
    home.writer.clear('next');
    return home.writer.create('next');
  }
  const reading = home.read(home === old.home ? 'next' : 'current');
  if (reading.state === 'reachable') return reading.kek;
  throw refused(`there is no new key in ${home.description}: ${reading.reason}`, reading.remedy);
}

function rewrapRecords(old: Records, from: KeyEncryptionKey, to: KeyEncryptionKey): Records {
  const records = new Records();
  for (const { key, sealed } of old.keys.values()) {
    const rewrapped = rewrapEnvelope(from, to, sealed);
    if (rewrapped !== undefined) records.addKey({ key, sealed: rewrapped });
  }
  for (const login of old.logins.values()) {
    const sealed = rewrapEnvelope(from, to, login.sealed);
    if (sealed !== undefined) records.addLogin({ ...login, sealed });
  }
  for (const entry of old.leases.values()) records.addLease(entry);
  for (const mark of old.rejectedMarks()) records.addRejected(mark);
  records.timeline = old.timeline;
  return records;
}

/** Nothing is destroyed: the database, and a key file that is not the right one, are renamed. */
function discard(options: CacheOptions, host: RotationHost): Rotation {
  const stamp = timestamp(options.wallMs());
  let target: string;
  try {
    target = setAside(databasePath(options.stateDir), `discarded-${stamp}`);
    for (const home of options.kekHomes) {
      home.writer?.setAside(stamp);
      home.writer?.clear('next');
    }
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    const { problem, remedy } = describeEnvironment(databasePath(options.stateDir), error);
    throw new BrokerError('ERR_IO', problem, { remedy, cause: error });
  }
  const found = attach(options);
  if (found.state === 'detached') throw refused(found.problem, found.remedy);
  options.log.warn({ setAside: target }, 'what a lost key had sealed was set aside');
  host.attach(found, options);
  const rewrapped = found.records.keys.size + found.records.logins.size;
  return { kekId: found.sealer.kek.id, home: found.home.description, rewrapped, setAside: target };
}

function refused(problem: string, remedy: string): BrokerError {
  return new BrokerError('ERR_IO', problem, { remedy });
}
