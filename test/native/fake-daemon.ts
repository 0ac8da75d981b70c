import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** What the fake does with one connection once a whole request has come. */
export type Script = (connection: net.Socket, request: string) => void;

export const KEY = 'sk-ant-test-0123456789';

/** What the real daemon answers, as short as it may be. */
export const GOOD_REPLY = reply('200 OK', KEY, ['Broker-Key-State: fresh']);

export function reply(status: string, body: string, headers: readonly string[] = []): string {
  const head = [`HTTP/1.1 ${status}`, 'Content-Type: text/plain', `Content-Length: ${body.length}`, ...headers];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

/** Sends these bytes and closes in good order. */
export function sends(bytes: string | Buffer): Script {
  return (connection) => connection.end(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
}

/** A server of scripted bytes on a real Unix socket in a folder of its own. */
export class FakeDaemon implements AsyncDisposable {
  readonly folder: string;
  readonly socket: string;
  /** Whole requests, in the order in which they came. */
  readonly requests: string[] = [];
  readonly #server: net.Server;
  readonly #connections = new Set<net.Socket>();

  private constructor(folder: string, scripts: readonly Script[]) {
    this.folder = folder;
    this.socket = path.join(folder, 'broker.sock');
    let connected = 0;
    this.#server = net.createServer({ allowHalfOpen: true }, (connection) => {
      const script = scripts[Math.min(connected++, scripts.length - 1)];
      let request = '';
      this.#connections.add(connection);
      connection.on('error', () => {});
      connection.on('close', () => this.#connections.delete(connection));
      connection.on('data', (bytes) => {
        request += bytes.toString('latin1');
        if (!request.endsWith('\r\n\r\n')) return;
        this.requests.push(request);
        script?.(connection, request);
      });
    });
  }

  /** The nth connection gets the nth script, and all further ones the last. */
  static async start(...scripts: Script[]): Promise<FakeDaemon> {
    return await FakeDaemon.startIn(mkdtempSync(path.join(tmpdir(), 'broker-key-')), ...scripts);
  }

  static async startIn(folder: string, ...scripts: Script[]): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(folder, scripts);
    await new Promise<void>((resolve) => daemon.#server.listen(daemon.socket, resolve));
    chmodSync(daemon.socket, 0o600);
    return daemon;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) connection.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
