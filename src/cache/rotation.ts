import { KeyEncryptionKey } from '../crypto/envelope.ts';
import { type KekStore, newKek } from '../crypto/kek-store.ts';
import { BrokerError } from '../errors.ts';
import { timestamp } from '../platform/text.ts';
import type { RotationReport, RotationRequest } from '../protocol/reports.ts';
import type { Persistence } from './persistence.ts';
import { databasePath, describeEnvironment, refused, setAside } from './recovery.ts';

/**
 * A new key-encryption key, everything wrapped again in one transaction. With `discard` a database whose key is lost
 * is set aside first, and what is in memory goes into a new one. Rejects with a BrokerError if it cannot be done;
 * whatever happens, the database stays readable with the key that it names.
 */
export function rotateKey(cache: Persistence, { to, discard }: Partial<RotationRequest>): Promise<RotationReport> {
  return cache.inTurn(async () => {
    // A key is not given up because nothing has looked for it lately.
    if (cache.detached?.cause === 'key') await cache.reachInTurn(true);
    return discard && cache.detached?.cause === 'key' ? await startAgain(cache, to) : await rewrap(cache, to);
  });
}

/**
 * The new key is stored beside the old one; then one transaction, synced to the disk, wraps every record again and
 * names the new key; only then is the old one removed. A crash before the commit leaves the old state and an unused
 * key, one after it the new state and an unused key: a key is on record as unused before it is stored and until it is
 * removed.
 */
async function rewrap(cache: Persistence, to: string | undefined): Promise<RotationReport> {
  cache.requireWritten();
  const oldHome = cache.home?.kind ?? 'file';
  const home = storeNamed(cache, to ?? oldHome);
  const kek = await prepareKek(cache, home);
  // Answers went on meanwhile.
  cache.requireWritten();
  const old = { home: oldHome, id: cache.memory.sealer.kek.id };
  cache.rewrap(kek, home, old);
  const left = await cache.removeKek(old);
  const rewrapped = countSecrets(cache);
  cache.options.log.info({ home: home.description, rewrapped }, 'the key-encryption key was rotated');
  return { keyId: kek.id, home: home.description, rewrapped, setAside: null, left: left ?? null };
}

/** A store of ours gets a random key; in another one the administrator has put it. */
async function prepareKek(cache: Persistence, home: KekStore): Promise<KeyEncryptionKey> {
  if (home.add === undefined) {
    const reading = await home.spare?.(cache.memory.sealer.kek.id);
    if (reading?.state === 'reachable') return reading.kek;
    const { reason, remedy } = reading ?? { reason: 'nothing can be put there', remedy: '' };
    throw refused({ problem: `there is no new key in ${home.description}: ${reason}`, remedy });
  }
  const kek = KeyEncryptionKey.ephemeral();
  cache.noteUnusedKek({ home: home.kind, id: kek.id });
  const obstacle = await home.add(kek, { mayStart: true, byPerson: true });
  if (obstacle === undefined) return kek;
  throw refused({ problem: `cannot keep a key in the ${home.kind}: ${obstacle.reason}`, remedy: obstacle.remedy });
}

/**
 * Begins again with what is in memory. Nothing is destroyed: the database, and a key file that is not the right one, are
 * renamed; and nothing is touched before there is a new key.
 */
async function startAgain(cache: Persistence, to: string | undefined): Promise<RotationReport> {
  const { kekStores, stateDir, wallMs } = cache.options;
  const label = `discarded-${timestamp(wallMs())}`;
  const named = to === undefined ? undefined : storeNamed(cache, to).kind;
  const found = await newKek(kekStores, { discarding: label, to: named });
  if (found.state !== 'reachable') throw refused({ problem: found.reason, remedy: found.remedy });
  const { kek, home } = found;
  const target = setDatabaseAside(stateDir, label);
  cache.options.log.warn({ setAside: target }, 'what a lost key had sealed was set aside');
  cache.rewrap(kek, home);
  const rewrapped = countSecrets(cache);
  return { keyId: kek.id, home: home.description, rewrapped, setAside: target, left: null };
}

function setDatabaseAside(stateDir: string, label: string): string {
  const path = databasePath(stateDir);
  try {
    return setAside(path, label);
  } catch (error) {
    const { problem, remedy } = describeEnvironment(path, error);
    throw new BrokerError('ERR_IO', problem, { remedy, cause: error });
  }
}

function storeNamed({ options: { kekStores } }: Persistence, name: string): KekStore {
  const store = kekStores.find(({ kind }) => kind === name);
  if (store !== undefined) return store;
  const kinds = kekStores.map(({ kind }) => kind).sort();
  throw new BrokerError('ERR_USAGE', `"${name.slice(0, 40)}" is not a key store`, {
    remedy: `use ${kinds.slice(0, -1).join(', ')} or ${kinds.at(-1)}`,
  });
}

const countSecrets = ({ memory: { records } }: Persistence): number =>
  records.all('key').length + records.all('login').length;
