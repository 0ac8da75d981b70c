import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import { loadNative } from '../../src/platform/native.ts';
import { bindSocket, type Listener } from '../../src/server/listener.ts';
import { anonymousPeers } from '../../src/server/peer.ts';
import { BrokerServer, type BrokerServerOptions } from '../../src/server/server.ts';
import { FakeClock } from './fake-clock.ts';
import { ScriptedBroker, START_MS } from './scripted-broker.ts';

export const UID = process.getuid?.() ?? 0;

export interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** The real server on a real socket in a folder of its own, with a scripted broker behind it. */
export class TestServer {
  readonly folder = mkdtempSync(join(tmpdir(), 'broker-server-'));
  readonly path = join(this.folder, 'broker.sock');
  readonly broker = new ScriptedBroker();
  readonly clock: FakeClock | Clock;
  readonly server: BrokerServer;
  listener: Listener | undefined;
  readonly #sockets = new Set<net.Socket>();

  private constructor(options: Partial<BrokerServerOptions>) {
    this.clock = options.clock ?? new FakeClock(START_MS);
    this.server = new BrokerServer({
      service: this.broker,
      clock: this.clock,
      log: silentLog,
      uid: UID,
      peers: anonymousPeers,
      direct: loadNative(),
      ...options,
    });
  }

  static async start(options: Partial<BrokerServerOptions> = {}): Promise<TestServer> {
    const started = new TestServer(options);
    const { folder, path } = started;
    started.listener = await bindSocket(started.server.socket, { path, folder, uid: UID }, loadNative());
    return started;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const closed = this.server.close(0);
    if (this.clock instanceof FakeClock) await this.clock.advance(0);
    await closed;
    this.listener?.unlink();
    rmSync(this.folder, { recursive: true, force: true });
  }

  request(method: string, path: string, headers: http.OutgoingHttpHeaders = {}, body?: string): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const request = http.request({ socketPath: this.path, method, path, headers, agent: false }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        );
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  get(path: string, headers: http.OutgoingHttpHeaders = {}): Promise<Reply> {
    return this.request('GET', path, headers);
  }

  /** A connection to misbehave on. */
  connect(options: Partial<net.IpcNetConnectOpts> = {}): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ path: this.path, ...options });
      this.#sockets.add(socket);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new RawConnection(socket));
      });
    });
  }
}

export class RawConnection {
  readonly socket: net.Socket;
  received = '';
  /** Resolves when the server closed, whichever way. */
  readonly closed: Promise<void>;
  #onData: (() => void) | undefined;

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      this.#onData?.();
    });
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
  }

  send(text: string): this {
    this.socket.write(text);
    return this;
  }

  /** Resolves as soon as what was received satisfies the test. */
  until(satisfied: (received: string) => boolean): Promise<void> {
    if (satisfied(this.received)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onData = () => {
        if (satisfied(this.received)) resolve();
      };
    });
  }
}
