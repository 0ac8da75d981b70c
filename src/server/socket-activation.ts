import { fstatSync } from 'node:fs';
import { BrokerError } from '../errors.ts';

/** sd_listen_fds(3): the first descriptor handed down. */
const FIRST_FD = 3;

/**
 * The listening socket that systemd handed down, if it was meant for this process. The variables are deleted from
 * `env` in any case, because children would take them for theirs. Further sockets are not used.
 *
 * Throws ERR_CONFIG if what was handed down is no socket.
 */
export function takeInheritedSocket(env: Record<string, string | undefined>, pid: number): number | undefined {
  const { LISTEN_PID, LISTEN_FDS } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID']) delete env[name];
  if (LISTEN_PID !== String(pid) || !/^[1-9]\d*$/.test(LISTEN_FDS ?? '')) return undefined;
  if (isSocket(FIRST_FD)) return FIRST_FD;
  throw new BrokerError('ERR_CONFIG', 'the service manager handed down a descriptor that is no socket', {
    remedy: 'look at the socket unit: systemctl --user cat broker.socket',
  });
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}
