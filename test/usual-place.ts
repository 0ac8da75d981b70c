import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { stateDir } from '../src/config/paths.ts';
import { loadNative } from '../src/platform/native.ts';
import { processIo } from '../src/platform/process-io.ts';

/** Every client that is not told of a socket comes here before it gives up. */
const FOLDER = `/tmp/broker-${process.getuid?.()}`;
const SOCKET = `${FOLDER}/broker.sock`;

let isOurs = false;
let decoy: Server | undefined;
const callers: string[] = [];

/**
 * A test that reaches the place of the user's own broker would ask it for keys, rotate its key and stop it. Where this user has
 * no broker that could be disturbed, a decoy lies there, and whoever comes to it fails the run.
 */
export async function setup(): Promise<void> {
  if (existsSync(stateDir(processIo()))) return skip('this user has a broker');
  isOurs = mkdirSync(FOLDER, { recursive: true, mode: 0o700 }) !== undefined;
  const server = createServer((connection) => {
    connection.on('error', () => undefined).resume();
    const caller = callerOf(connection);
    if (caller !== undefined) callers.push(caller);
    connection.end('HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n', () => connection.destroy());
  });
  try {
    await once(server.listen(SOCKET), 'listening');
    // Clients trust no other.
    chmodSync(SOCKET, 0o600);
    decoy = server;
  } catch (error) {
    skip(String(error));
  }
}

export async function teardown(): Promise<void> {
  if (decoy === undefined) return;
  const isThere = existsSync(SOCKET);
  await new Promise((resolve) => decoy?.close(resolve));
  const left = existsSync(FOLDER) ? readdirSync(FOLDER) : [];
  if (isOurs && isThere && left.length === 0) rmdirSync(FOLDER);
  const faults = callers.map((caller) => `asked by ${caller}`);
  if (!isThere) faults.push('its socket was removed');
  if (left.length > 0) faults.push(`left there: ${left.join(', ')}`);
  if (faults.length === 0) return;
  throw new Error(
    `tests touched ${FOLDER}, where a user's own broker listens; give them a BROKER_SOCKET:\n${faults.join('\n')}`,
  );
}

/** undefined: not of this run, but of another one on this machine, or of a person. */
function callerOf(connection: Socket & { readonly _handle?: { readonly fd: number } }): string | undefined {
  const native = loadNative();
  if (native === undefined) return 'somebody';
  const { pid } = native.peerCredentials(connection._handle?.fd ?? -1);
  let parent = pid;
  while (parent > 1 && parent !== process.pid) parent = native.parentPid(parent);
  return parent === process.pid ? `pid ${pid} (${native.processInfo(pid)?.argv.join(' ')})` : undefined;
}

function skip(why: string): void {
  console.warn(`not watched for tests that come there: ${FOLDER}: ${why}`);
}
