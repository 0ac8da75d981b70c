import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { crc32 } from 'node:zlib';
import { closeAtOnce, listenOnLoopback, loopbackAddress } from './loopback.ts';

/** Somebody came with a key. */
interface Presented {
  /** On the clock of `performance.now()`. */
  readonly atMs: number;
  readonly key: string;
  readonly accepted: boolean;
}

/**
 * What the client's other helpers have their keys for, one on a loopback port: a proxy, a collector of telemetry, an MCP server
 * or Bedrock. Each takes one key at a time and writes down which it was shown.
 */
export class HelperTarget {
  readonly presented: Presented[] = [];
  /** When the key that it takes was changed last. */
  changedMs = performance.now();
  #accepted: string;
  readonly #server = createServer((incoming, response) => void this.#serve(incoming, response));
  readonly #tunnels = new Set<Socket>();
  readonly #upstream: URL;

  private constructor(accepted: string, upstream: string) {
    this.#accepted = accepted;
    this.#upstream = new URL(upstream);
    this.#server.on('connect', (incoming, client: Socket) => this.#tunnel(incoming, client));
  }

  /** @param upstream where the proxy takes everything, whatever host was meant. */
  static async start(accepted: string, upstream = 'http://127.0.0.1'): Promise<HelperTarget> {
    const target = new HelperTarget(accepted, upstream);
    await listenOnLoopback(target.#server);
    return target;
  }

  get url(): string {
    return loopbackAddress(this.#server);
  }

  /** From now on it takes this key and no other. */
  change(accepted: string): void {
    this.#accepted = accepted;
    this.changedMs = performance.now();
  }

  /** When it was first shown what it accepts, after `sinceMs`. */
  firstAcceptedMs(sinceMs: number): number | undefined {
    return this.presented.find(({ atMs, accepted }) => accepted && atMs >= sinceMs)?.atMs;
  }

  async stop(): Promise<void> {
    for (const tunnel of this.#tunnels) tunnel.destroy();
    await closeAtOnce(this.#server);
  }

  #judge(key: string): boolean {
    const accepted = key === this.#accepted;
    this.presented.push({ atMs: performance.now(), key, accepted });
    return accepted;
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = incoming.url ?? '/';
    if (url.startsWith('http://')) return this.#forward(incoming, response);
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    if (url.startsWith('/model/')) return this.#bedrock(incoming, url, response);
    if (!this.#judge(String(incoming.headers['x-api-key'] ?? '')))
      return json(response, 401, { error: 'unauthorized' });
    if (url === '/mcp') return mcp(Buffer.concat(chunks).toString('utf8'), response);
    json(response, 200, {});
  }

  #forward(incoming: IncomingMessage, response: ServerResponse): void {
    if (!this.#judge(bearer(incoming.headers['proxy-authorization']))) {
      incoming.resume();
      response.writeHead(407, { 'proxy-authenticate': 'Bearer' }).end();
      return;
    }
    const { host, port } = this.#upstream;
    const { pathname, search } = new URL(incoming.url ?? '/', this.#upstream);
    const headers = { ...incoming.headers, host };
    const outgoing = request(
      { host: '127.0.0.1', port, path: pathname + search, method: incoming.method, headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    outgoing.on('error', () => response.destroy());
    incoming.pipe(outgoing);
  }

  #tunnel(incoming: IncomingMessage, client: Socket): void {
    client.on('error', () => client.destroy());
    if (!this.#judge(bearer(incoming.headers['proxy-authorization']))) {
      client.end(
        'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n',
      );
      return;
    }
    const upstream = connect(Number(this.#upstream.port), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      upstream.pipe(client).pipe(upstream);
    });
    upstream.on('error', () => client.destroy());
    client.on('close', () => upstream.destroy());
    this.#tunnels.add(client);
  }

  /** Signed with SigV4: the access key's id is in the open, and stands for all of it. */
  #bedrock(incoming: IncomingMessage, url: string, response: ServerResponse): void {
    const id = /Credential=([^/]+)\//.exec(incoming.headers.authorization ?? '')?.[1] ?? '';
    if (!this.#judge(id)) {
      response.setHeader('x-amzn-errortype', 'ExpiredTokenException');
      json(response, 403, { message: 'The security token included in the request is expired' });
      return;
    }
    const message = {
      id: 'msg_test',
      type: 'message',
      role: 'assistant',
      model: 'test',
      content: [{ type: 'text', text: 'pong' }],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: { input_tokens: 1, output_tokens: 1 },
    };
    if (!url.endsWith('-stream')) {
      json(response, 200, message);
      return;
    }
    response.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream' });
    const { content, stop_reason, usage, ...rest } = message;
    const [block] = content;
    for (const event of [
      { type: 'message_start', message: { ...rest, content: [], stop_reason: null, usage } },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: block?.text } },
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 1 } },
      { type: 'message_stop' },
    ]) {
      response.write(chunkEvent(event));
    }
    response.end();
  }
}

function bearer(header: string | undefined): string {
  return header?.replace(/^Bearer /, '') ?? '';
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

/** As much of the Model Context Protocol as makes a server that has no tools. */
function mcp(body: string, response: ServerResponse): void {
  const { id, method, params } = JSON.parse(body || '{}');
  if (id === undefined) return void response.writeHead(202).end();
  const { protocolVersion = '2025-06-18' } = params ?? {};
  const result =
    method === 'initialize'
      ? { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'test', version: '1' } }
      : { tools: [] };
  json(response, 200, { jsonrpc: '2.0', id, result });
}

/** One message of application/vnd.amazon.eventstream: lengths, headers, payload, each part with its CRC-32. */
function chunkEvent(event: object): Buffer {
  const headers = Buffer.concat(
    Object.entries({
      ':event-type': 'chunk',
      ':content-type': 'application/json',
      ':message-type': 'event',
    }).map(([name, value]) => {
      const head = Buffer.from([name.length, ...Buffer.from(name), 7, 0, value.length]);
      return Buffer.concat([head, Buffer.from(value)]);
    }),
  );
  const bytes = Buffer.from(JSON.stringify(event)).toString('base64');
  const payload = Buffer.from(JSON.stringify({ bytes }));
  const prelude = Buffer.alloc(8);
  prelude.writeUInt32BE(headers.length + payload.length + 16, 0);
  prelude.writeUInt32BE(headers.length, 4);
  const body = Buffer.concat([prelude, u32(crc32(prelude)), headers, payload]);
  return Buffer.concat([body, u32(crc32(body))]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}
