import type { KekHome } from '../crypto/kek-store.ts';
import { type RotateOptions, type Rotation, type RotationHost, refused } from '../crypto/rotation.ts';
import { BrokerError } from '../errors.ts';
import { attach, type CacheOptions, databasePath } from './attach.ts';
import { describeEnvironment, setAside, timestamp } from './recovery.ts';

/**
 * Sets aside what a lost key sealed and begins anew, with what is in memory. Nothing is destroyed: the database, and a key file that is not the right one, are
 * renamed. Rejects with a BrokerError.
 */
export async function discard({ to }: RotateOptions, options: CacheOptions, host: RotationHost): Promise<Rotation> {
  const kekHomes = to === undefined ? options.kekHomes : options.kekHomes.filter(({ kind }) => kind === to).map(chosen);
  await requireHome(kekHomes);
  const stamp = timestamp(options.wallMs());
  let target: string;
  try {
    target = setAside(databasePath(options.stateDir), `discarded-${stamp}`);
    for (const { writer } of options.kekHomes) {
      writer?.setAside(stamp);
      writer?.clear('next');
    }
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    const { problem, remedy } = describeEnvironment(databasePath(options.stateDir), error);
    throw new BrokerError('ERR_IO', problem, { remedy, cause: error });
  }
  const found = attach({ ...options, kekHomes }, host.sealer());
  if (found.state === 'detached') throw refused(found.problem, found.remedy);
  options.log.warn({ setAside: target }, 'what a lost key had sealed was set aside');
  host.attach(found, options);
  const rewrapped = found.records.all('key').length + found.records.all('login').length;
  const { sealer, home } = found;
  return { kekId: sealer.kek.id, home: home.description, rewrapped, setAside: target, left: undefined };
}

/** A home that a person names is one for new keys, whatever the configuration says. */
function chosen(home: KekHome): KekHome {
  const { kind, description, writer, keeper } = home;
  const read: KekHome['read'] = (slot, id) => home.read(slot, id);
  return { kind, description, configured: true, read, ...(writer && { writer }), ...(keeper && { keeper }) };
}

/**
 * Makes sure that there will be a key, in the order of findOrCreateKek, before anything is set aside: a home that
 * cannot give one must not cost the old rows. @throws BrokerError
 */
async function requireHome(homes: readonly KekHome[]): Promise<void> {
  let lacking: { reason: string; remedy: string } = { reason: 'there is no place to keep a key in', remedy: '' };
  for (const home of homes.filter(({ configured }) => configured)) {
    // A file that holds the wrong key is moved out of the way.
    if (home.writer !== undefined) return;
    home.keeper?.forget();
    let reading = home.read('current');
    if (await home.keeper?.look(true)) reading = home.read('current');
    if (reading.state === 'reachable') return;
    if (reading.state === 'unreachable' && home.configured) throw refused(reading.reason, reading.remedy);
    lacking = reading;
  }
  throw refused(lacking.reason, lacking.remedy);
}
