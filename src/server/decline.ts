import { once } from 'node:events';
import type { BrokerError } from '../errors.ts';
import { loadHttp } from '../platform/builtins.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import { sendError } from './reply.ts';

/** So long after the last one, no more of those that were in line are expected. */
const QUIET_MS = 100;
const LONGEST_MS = 5_000;

/**
 * Tells whoever waits on an inherited socket why there will be no daemon. Else the service manager would see them
 * waiting, start the daemon again at once and so on until it gives the socket up; and they would hear nothing.
 */
export async function declineWaiting(fd: number, error: BrokerError, clock: Clock): Promise<void> {
  const server = loadHttp().createServer((request, response) => {
    response.shouldKeepAlive = false;
    sendError(request, response, error);
  });
  server.listen({ fd });
  await once(server, 'listening');
  await new Promise<void>((resolve) => {
    const longest = clock.after(LONGEST_MS, end);
    let quiet: Timer = clock.after(QUIET_MS, end);
    server.on('connection', () => {
      quiet.cancel();
      quiet = clock.after(QUIET_MS, end);
    });
    function end() {
      longest.cancel();
      quiet.cancel();
      server.close(() => resolve());
      server.closeAllConnections();
    }
  });
}
