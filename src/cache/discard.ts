import type { KekHome } from '../crypto/kek-home.ts';
import { BrokerError } from '../errors.ts';
import { attach, type CacheOptions, databasePath } from './attach.ts';
import { describeEnvironment } from './database-failure.ts';
import { type RotateOptions, type Rotation, type RotationHost, refused } from './rotation-host.ts';
import { setAside, timestamp } from './set-aside.ts';

/**
 * Sets aside what a lost key sealed and begins anew, with what is in memory. Nothing is destroyed: the database, and a key file that is not the right one, are
 * renamed. Rejects with a BrokerError.
 */
export async function discard({ to }: RotateOptions, options: CacheOptions, host: RotationHost): Promise<Rotation> {
  const kekHomes = to === undefined ? options.kekHomes : options.kekHomes.filter(({ kind }) => kind === to).map(chosen);
  await requireOpenKeepers(kekHomes);
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
  const found = attach({ ...options, kekHomes });
  if (found.state === 'detached') throw refused(found.problem, found.remedy);
  options.log.warn({ setAside: target }, 'what a lost key had sealed was set aside');
  host.attach(found, options);
  const rewrapped = found.records.keys.size + found.records.logins.size;
  const { sealer, home } = found;
  return { kekId: sealer.kek.id, home: home.description, rewrapped, setAside: target, left: undefined };
}

/** A home that a person names is one for new keys, whatever the configuration says. */
function chosen(home: KekHome): KekHome {
  const { kind, description, writer, keeper } = home;
  const read: KekHome['read'] = (slot, id) => home.read(slot, id);
  return { kind, description, configured: true, read, ...(writer && { writer }), ...(keeper && { keeper }) };
}

/** Has new keys made where a keeper has to, before anything is set aside: one that cannot must not cost the old rows. */
async function requireOpenKeepers(homes: readonly KekHome[]): Promise<void> {
  for (const home of homes) {
    if (home.keeper === undefined || !home.configured) continue;
    home.keeper.forget();
    home.read('current');
    await home.keeper.look(true);
    const reading = home.read('current');
    if (reading.state !== 'reachable' && home.configured) throw refused(reading.reason, reading.remedy);
  }
}
