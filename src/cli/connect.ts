import { BrokerClient } from '../client/broker-client.ts';
import { socketCandidates } from '../config/paths.ts';
import { BrokerError } from '../errors.ts';
import type { CliIo } from './cli-io.ts';

/** A client of the daemon that this user's environment points to. */
export function connect(io: CliIo): BrokerClient {
  return new BrokerClient({ places: socketCandidates(io), uid: acceptedUid(io), clock: io.clock });
}

/** In a container the daemon's socket may seem to belong to somebody else; only an explicit socket may, though. */
function acceptedUid({ env, uid }: CliIo): number {
  const named = env['BROKER_SERVER_UID'];
  if (named === undefined || named === '' || !env['BROKER_SOCKET']) return uid;
  if (/^\d{1,10}$/.test(named)) return Number(named);
  throw new BrokerError('ERR_CONFIG', `BROKER_SERVER_UID is no number: ${named.slice(0, 40)}`, {
    remedy: 'set it to the uid that the daemon runs as, or unset it',
  });
}
