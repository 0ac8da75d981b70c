import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

const [SEQUENCE, SET, INTEGER, OCTETS, ENUMERATED] = [0x30, 0x31, 0x02, 0x04, 0x0a];
const [BIND, BIND_RESPONSE, UNBIND, SEARCH, ENTRY, SEARCH_DONE] = [0x60, 0x61, 0x42, 0x63, 0x64, 0x65];
const [SUCCESS, INVALID_CREDENTIALS, UNWILLING] = [0, 49, 53];

/** A directory that knows who may bind with which password, and finds each of them and no groups: what Vault's ldap method needs (RFC 4511). */
export class LdapDirectory {
  readonly #passwords = new Map<string, string>();
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#converse(socket));

  static async start(): Promise<LdapDirectory> {
    const directory = new LdapDirectory();
    directory.#server.listen(0, '127.0.0.1');
    await once(directory.#server, 'listening');
    return directory;
  }

  get address(): string {
    return `ldap://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** `dn`: cn=NAME,… */
  add(dn: string, password: string): void {
    this.#passwords.set(dn, password);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #converse(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
    let waiting = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      waiting = Buffer.concat([waiting, chunk]);
      for (let message = element(waiting); message !== undefined; message = element(waiting)) {
        waiting = waiting.subarray(message.size);
        this.#answer(message.content, socket);
      }
    });
  }

  #answer(message: Buffer, socket: Socket): void {
    const [id, operation] = elements(message);
    if (id === undefined || operation === undefined || operation.tag === UNBIND) return void socket.end();
    const say = (tag: number, ...parts: readonly Buffer[]) =>
      socket.write(encode(SEQUENCE, encode(INTEGER, id.content), encode(tag, ...parts)));
    const { tag, content } = operation;
    if (tag === SEARCH) {
      const dn = elements(content)[0]?.content ?? Buffer.alloc(0);
      const name = /^cn=([^,]+)/.exec(dn.toString('utf8'))?.[1] ?? '';
      const cn = encode(SEQUENCE, encode(OCTETS, Buffer.from('cn')), encode(SET, encode(OCTETS, Buffer.from(name))));
      if (this.#passwords.has(dn.toString('utf8'))) say(ENTRY, encode(OCTETS, dn), encode(SEQUENCE, cn));
    }
    const result = tag === BIND ? this.#bind(content) : tag === SEARCH ? SUCCESS : UNWILLING;
    const done = tag === BIND ? BIND_RESPONSE : tag === SEARCH ? SEARCH_DONE : tag + 1;
    say(done, encode(ENUMERATED, Buffer.of(result)), encode(OCTETS), encode(OCTETS));
  }

  #bind(content: Buffer): number {
    const [, dn, password] = elements(content);
    const known = this.#passwords.get(dn?.content.toString('utf8') ?? '');
    return known !== undefined && known === password?.content.toString('utf8') ? SUCCESS : INVALID_CREDENTIALS;
  }
}

interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** Tag and length included. */
  readonly size: number;
}

/** The first element of BER that is there as a whole (X.690, definite lengths). */
function element(bytes: Buffer): Element | undefined {
  const [tag, first] = bytes;
  if (tag === undefined || first === undefined) return undefined;
  const more = first < 0x80 ? 0 : first & 0x7f;
  if (bytes.length < 2 + more) return undefined;
  const length = more === 0 ? first : bytes.readUIntBE(2, more);
  const size = 2 + more + length;
  return bytes.length < size ? undefined : { tag, content: bytes.subarray(2 + more, size), size };
}

function elements(bytes: Buffer): readonly Element[] {
  const first = element(bytes);
  return first === undefined ? [] : [first, ...elements(bytes.subarray(first.size))];
}

function encode(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? Buffer.of(length) : Buffer.of(0x82, length >> 8, length & 0xff);
  return Buffer.concat([Buffer.of(tag), size, content]);
}
