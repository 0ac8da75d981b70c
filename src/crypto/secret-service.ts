import { connect, type Socket } from 'node:net';
import { type KeyringTrouble, trouble } from './kek-keyring.ts';

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

/** The bus or a service on it said no. `name` is that of the D-Bus error. */
class BusError extends Error {
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

/**
 * Messages of D-Bus in the little-endian wire format (D-Bus Specification, "Message Protocol"): as much of it as
 * asking a Secret Service what it holds takes. Nothing here is ever a secret.
 */
interface BusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** Strings, and dictionaries of strings. */
  readonly body?: readonly (string | Readonly<Record<string, string>>)[];
  /** Do not start the service if nobody owns the name. */
  readonly noAutoStart?: boolean;
}

interface BusReply {
  readonly replyTo: number | undefined;
  /** The name of a D-Bus error; undefined: what was called returned. */
  readonly errorName: string | undefined;
  readonly isAnswer: boolean;
  readonly body: readonly unknown[];
}

const [METHOD_CALL, METHOD_RETURN, ERROR] = [1, 2, 3];
const NO_AUTO_START = 0x2;
const FIELD = { path: 1, interface: 2, member: 3, errorName: 4, replySerial: 5, destination: 6, signature: 8 } as const;
const FIXED_HEADER = 16;
/** A service that answers more than this to such questions is none that we know. */
const MAX_BYTES = 1 << 20;

export function encodeCall(call: BusCall, serial: number): Buffer {
  const body = new Writer();
  let signature = '';
  for (const value of call.body ?? []) {
    signature += typeof value === 'string' ? 's' : 'a{ss}';
    if (typeof value === 'string') body.string(value);
    else body.dictionary(value);
  }
  const bytes = body.bytes();
  const head = new Writer();
  head
    .byte('l'.charCodeAt(0))
    .byte(METHOD_CALL)
    .byte(call.noAutoStart ? NO_AUTO_START : 0)
    .byte(1);
  head.uint32(bytes.length).uint32(serial);
  head.array(8, () => {
    head.field(FIELD.path, 'o', call.path).field(FIELD.interface, 's', call.interface);
    head.field(FIELD.member, 's', call.member).field(FIELD.destination, 's', call.destination);
    if (signature !== '') head.field(FIELD.signature, 'g', signature);
  });
  return Buffer.concat([head.align(8).bytes(), bytes]);
}

/** How many bytes the message at the beginning of `bytes` has; undefined: its header is not there yet. @throws RangeError */
export function messageLength(bytes: Buffer): number | undefined {
  if (bytes.length < FIXED_HEADER) return undefined;
  if (bytes[0] !== 'l'.charCodeAt(0)) throw new RangeError('the bus does not speak little-endian');
  const length = FIXED_HEADER + roundUp(bytes.readUInt32LE(12), 8) + bytes.readUInt32LE(4);
  if (length > MAX_BYTES) throw new RangeError('a message on the bus is too long');
  return length;
}

/** @throws RangeError if it is no message. */
export function decodeReply(message: Buffer): BusReply {
  const head = new Reader(message, 12);
  const fields = new Map(head.value('a(yv)') as [number, unknown][]);
  const signature = fields.get(FIELD.signature);
  head.align(8);
  const body: unknown[] = [];
  if (typeof signature === 'string') for (const type of typesOf(signature)) body.push(head.value(type));
  const [replyTo, errorName] = [fields.get(FIELD.replySerial), fields.get(FIELD.errorName)];
  return {
    replyTo: typeof replyTo === 'number' ? replyTo : undefined,
    errorName: message[1] === ERROR ? String(errorName) : undefined,
    isAnswer: message[1] === METHOD_RETURN || message[1] === ERROR,
    body,
  };
}

const roundUp = (length: number, to: number): number => Math.ceil(length / to) * to;

class Writer {
  #bytes: number[] = [];

  bytes(): Buffer {
    return Buffer.from(this.#bytes);
  }

  align(to: number): this {
    while (this.#bytes.length % to !== 0) this.#bytes.push(0);
    return this;
  }

  byte(value: number): this {
    this.#bytes.push(value);
    return this;
  }

  uint32(value: number): this {
    this.align(4).#bytes.push(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
    return this;
  }

  string(text: string): this {
    const bytes = Buffer.from(text, 'utf8');
    this.uint32(bytes.length).#bytes.push(...bytes, 0);
    return this;
  }

  signature(text: string): this {
    this.byte(text.length).#bytes.push(...Buffer.from(text, 'latin1'), 0);
    return this;
  }

  field(code: number, type: 's' | 'o' | 'g', value: string): this {
    this.align(8).byte(code).signature(type);
    return type === 'g' ? this.signature(value) : this.string(value);
  }

  dictionary(entries: Readonly<Record<string, string>>): this {
    return this.array(8, () => {
      for (const [key, value] of Object.entries(entries)) this.align(8).string(key).string(value);
    });
  }

  /** The length counts neither itself nor the padding before the first element. */
  array(alignment: number, write: () => void): this {
    this.uint32(0);
    const at = this.#bytes.length - 4;
    const start = this.align(alignment).#bytes.length;
    write();
    const length = Buffer.alloc(4);
    length.writeUInt32LE(this.#bytes.length - start);
    this.#bytes.splice(at, 4, ...length);
    return this;
  }
}

class Reader {
  readonly #message: Buffer;
  #at: number;

  constructor(message: Buffer, at: number) {
    this.#message = message;
    this.#at = at;
  }

  align(to: number): void {
    this.#at = roundUp(this.#at, to);
  }

  /** One value of one complete type. */
  value(type: string): unknown {
    switch (type[0]) {
      case 'y':
        return this.#message.readUInt8(this.#at++);
      case 'b':
        return this.#uint32() !== 0;
      case 'u':
        return this.#uint32();
      case 's':
      case 'o':
        return this.#text(this.#uint32());
      case 'g':
        return this.#text(this.#message.readUInt8(this.#at++));
      case 'v':
        return this.value(this.#text(this.#message.readUInt8(this.#at++)));
      case 'a':
        return this.#array(type.slice(1));
      case '(':
      case '{':
        this.align(8);
        return typesOf(type.slice(1, -1)).map((inner) => this.value(inner));
      default:
        throw new RangeError(`a value of type "${type}" on the bus is not understood`);
    }
  }

  #uint32(): number {
    this.align(4);
    this.#at += 4;
    return this.#message.readUInt32LE(this.#at - 4);
  }

  #text(length: number): string {
    const end = this.#at + length;
    if (end >= this.#message.length) throw new RangeError('a message on the bus is cut off');
    const text = this.#message.toString('utf8', this.#at, end);
    this.#at = end + 1;
    return text;
  }

  #array(element: string): unknown[] {
    const length = this.#uint32();
    this.align(/^[({]/.test(element) ? 8 : /^[ygv]/.test(element) ? 1 : 4);
    const end = this.#at + length;
    const values: unknown[] = [];
    while (this.#at < end) {
      const before = this.#at;
      values.push(this.value(element));
      if (this.#at === before) throw new RangeError('an array on the bus has elements of no length');
    }
    return values;
  }
}

/** A signature's complete types: "a{ss}o" has two. */
function typesOf(signature: string): string[] {
  const types: string[] = [];
  let start = 0;
  let depth = 0;
  for (const [index, character] of [...signature].entries()) {
    if (character === '(' || character === '{') depth += 1;
    if (character === ')' || character === '}') depth -= 1;
    if (character === 'a' || depth > 0) continue;
    types.push(signature.slice(start, index + 1));
    start = index + 1;
  }
  return types;
}
