import { connect, type Socket } from 'node:net';
import { type BusCall, type BusReply, decodeReply, encodeCall, messageLength } from './bus-message.ts';

/** The bus or a service on it said no. `name` is that of the D-Bus error. */
export class BusError extends Error {
  readonly busName: string;

  constructor(busName: string, message: string) {
    super(message);
    this.busName = busName;
  }
}

const BUS = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
} as const;

/**
 * A connection to the user's session bus, for questions only. Sets no time limits: whoever uses it ends the process it
 * runs in.
 */
export class SessionBus {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, { resolve(reply: BusReply): void; reject(error: Error): void }>();
  #serial = 0;
  #unread: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** `address` as in DBUS_SESSION_BUS_ADDRESS. Rejects if no bus can be reached there. */
  static async connect(address: string, uid: number): Promise<SessionBus> {
    const path = socketPath(address);
    if (path === undefined) throw new Error(`no bus can be reached at the address ${address}`);
    const socket = connect(path);
    await once(socket, 'connect');
    await authenticate(socket, uid);
    const bus = new SessionBus(socket);
    bus.#listen();
    await bus.call({ ...BUS, member: 'Hello' });
    return bus;
  }

  /** The values of the answer. Rejects with a BusError if it is an error, with another if the connection ends. */
  async call(call: BusCall): Promise<readonly unknown[]> {
    this.#serial += 1;
    const serial = this.#serial;
    const { errorName, body } = await new Promise<BusReply>((resolve, reject) => {
      this.#waiting.set(serial, { resolve, reject });
      this.#socket.write(encodeCall(call, serial));
    });
    if (errorName !== undefined) throw new BusError(errorName, typeof body[0] === 'string' ? body[0] : errorName);
    return body;
  }

  /** Whether somebody on the bus goes by this name or, with `orCanStart`, can be started by it. */
  async knows(name: string, orCanStart: boolean): Promise<boolean> {
    const [isOwned] = await this.call({ ...BUS, member: 'NameHasOwner', body: [name] });
    if (isOwned === true || !orCanStart) return isOwned === true;
    const [names] = await this.call({ ...BUS, member: 'ListActivatableNames' });
    return Array.isArray(names) && names.includes(name);
  }

  close(): void {
    this.#socket.destroy();
  }

  #listen(): void {
    this.#socket.on('data', (chunk: Buffer) => {
      this.#unread = Buffer.concat([this.#unread, chunk]);
      try {
        this.#dispatch();
      } catch (error) {
        this.#socket.destroy(error instanceof Error ? error : undefined);
      }
    });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the bus closed the connection'));
      this.#waiting.clear();
    });
  }

  #dispatch(): void {
    for (;;) {
      const length = messageLength(this.#unread);
      if (length === undefined || this.#unread.length < length) return;
      const reply = decodeReply(this.#unread.subarray(0, length));
      this.#unread = this.#unread.subarray(length);
      if (!reply.isAnswer || reply.replyTo === undefined) continue;
      this.#waiting.get(reply.replyTo)?.resolve(reply);
      this.#waiting.delete(reply.replyTo);
    }
  }
}

/** D-Bus Specification, "Authentication Protocol": EXTERNAL is what the kernel says of the peer anyway. */
async function authenticate(socket: Socket, uid: number): Promise<void> {
  socket.write(`\0AUTH EXTERNAL ${Buffer.from(String(uid)).toString('hex')}\r\n`);
  let answer = '';
  while (!answer.includes('\r\n')) answer += String(await once(socket, 'data'));
  if (!answer.startsWith('OK ')) throw new Error('the bus does not take this user');
  socket.write('BEGIN\r\n');
}

function once(socket: Socket, event: 'connect' | 'data'): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const end = () => settle(() => reject(new Error('the bus closed the connection')));
    const fail = (error: Error) => settle(() => reject(error));
    const succeed = (value: unknown) => settle(() => resolve(value));
    const settle = (then: () => void) => {
      socket.off('close', end).off('error', fail).off(event, succeed);
      then();
    };
    socket.once('close', end).once('error', fail).once(event, succeed);
  });
}

/** Of the first address that is a socket (D-Bus Specification, "Server Addresses"); others would start a bus of their own. */
function socketPath(address: string): string | undefined {
  for (const one of address.split(';')) {
    const [, path, abstract] = /^unix:(?:.*,)?(?:path=([^,]+)|abstract=([^,]+))/.exec(one) ?? [];
    try {
      if (path !== undefined) return decodeURIComponent(path);
      if (abstract !== undefined) return `\0${decodeURIComponent(abstract)}`;
    } catch {
      // Escapes that are none: no address of ours.
    }
  }
  return undefined;
}
