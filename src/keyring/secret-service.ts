import { type KeyringTrouble, trouble } from '../crypto/keyring-port.ts';
import { BusError, SessionBus } from './session-bus.ts';

const NAME = 'org.freedesktop.secrets';
const ROOT = '/org/freedesktop/secrets';
const SERVICE = 'org.freedesktop.Secret.Service';
const COLLECTION = 'org.freedesktop.Secret.Collection';
/** What an alias that names no collection leads to (Secret Service API, ReadAlias). */
const NOWHERE = '/';

/**
 * Looks whether the Secret Service can be asked without a person: whether it runs, has a default collection that lasts,
 * and neither that nor the item is locked. Libraries unlock what is locked, which puts a dialogue before whoever sits
 * there, or hangs where nobody does; so this comes first, and nothing it calls ever prompts. Undefined: all is open.
 */
export async function findTrouble(request: {
  readonly bus: string;
  readonly uid: number;
  readonly mayStart: boolean;
  readonly attributes: Readonly<Record<string, string>>;
}): Promise<KeyringTrouble | undefined> {
  let bus: SessionBus;
  try {
    bus = await SessionBus.connect(request.bus, request.uid);
  } catch (error) {
    return trouble('no-bus', error instanceof Error ? error.message : '');
  }
  try {
    return await ask(bus, request.mayStart, request.attributes);
  } catch (error) {
    return error instanceof BusError && /\.(?:ServiceUnknown|Spawn\.\w+)$/.test(error.busName)
      ? trouble('no-service', error.message)
      : trouble('failed', error instanceof Error ? error.message : 'unknown error');
  } finally {
    bus.close();
  }
}

async function ask(
  bus: SessionBus,
  mayStart: boolean,
  attributes: Readonly<Record<string, string>>,
): Promise<KeyringTrouble | undefined> {
  if (!(await bus.knows(NAME, mayStart))) return trouble('no-service');
  const service = { destination: NAME, path: ROOT, interface: SERVICE };
  const [collection] = await bus.call({ ...service, member: 'ReadAlias', body: ['default'] });
  if (typeof collection !== 'string' || collection === NOWHERE) return trouble('no-collection');
  // GNOME's collection "session" is in memory only: a key in there is gone when the session ends.
  const [session] = await bus.call({ ...service, member: 'ReadAlias', body: ['session'] });
  if (collection === session) return trouble('no-collection', 'the default collection is that of the session only');
  const [isLocked] = await bus.call({
    destination: NAME,
    path: collection,
    interface: 'org.freedesktop.DBus.Properties',
    member: 'Get',
    body: [COLLECTION, 'Locked'],
  });
  if (isLocked !== false) return trouble('locked');
  const [, lockedItems] = await bus.call({ ...service, member: 'SearchItems', body: [attributes] });
  return Array.isArray(lockedItems) && lockedItems.length > 0 ? trouble('locked') : undefined;
}
