import type { Socket } from 'node:net';

/**
 * The descriptor under a connection, for calls that Node has no API for (peer credentials). Only valid until the
 * connection closes, so ask at once when it comes in. Undefined if Node should ever hide it.
 */
export function socketFd(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) return undefined;
  const fd: unknown = Reflect.get(handle, 'fd');
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}
