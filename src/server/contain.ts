import type { Socket } from 'node:net';
import type { Log } from '../platform/log.ts';

/** The peer went away before it was looked at: nobody is left to miss anything. */
const GONE: ReadonlySet<unknown> = new Set(['ENOTCONN', 'ECONNRESET', 'EPIPE']);

/**
 * The wall around a connection: an error in what is done for it closes it, and ends nothing else. Whatever Node calls
 * because of a connection goes through here (listeners, callbacks), for what is thrown there would end the daemon.
 */
export function contain(socket: Socket, log: Log, work: () => void | Promise<void>): void {
  const fail = (error: unknown) => {
    socket.destroy();
    if (!GONE.has((error as NodeJS.ErrnoException | undefined)?.code))
      log.error({ err: error }, 'a connection was closed because of an error');
  };
  try {
    work()?.catch(fail);
  } catch (error) {
    fail(error);
  }
}
