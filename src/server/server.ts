import type { Server, Socket } from 'node:net';
import type { BrokerApi } from '../broker/api.ts';
import { BrokerError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import { net, socketFd } from '../platform/native.ts';
import { type ClientConnection, Connections, closeFor, contain, type DirectTransfer } from './connections.ts';
import { HelperLane, LONGEST_REQUEST, readHelperRequest } from './fast-path.ts';
import { BASIC_FORMATS, type Formatter } from './formats.ts';
import { HttpLane } from './http.ts';
import { DEFAULT_LIMITS, rawProblem, type ServerLimits } from './limits.ts';
import type { PeerCredentials, PeerIdentity } from './peer.ts';
import type { Administration } from './routes.ts';

export interface BrokerServerOptions {
  readonly service: BrokerApi;
  readonly clock: Clock;
  readonly log: Log;
  /** The only uid that is served. */
  readonly uid: number;
  readonly peers: PeerIdentity;
  /** Reads and writes connections without Node in between, which takes a fifth less time for an answer; undefined without the addon. */
  readonly direct?: DirectTransfer | undefined;
  /** What a person may do to the daemon itself; without it these requests are answered with 404. */
  readonly administration?: Administration;
  /** Besides raw and json. */
  readonly formats?: ReadonlyMap<string, Formatter>;
  readonly limits?: Partial<ServerLimits>;
  readonly firstRemedy?: () => string | undefined;
}

/**
 * The broker's server: admits connections and, with the first packet, sends each down its lane. It is bound by
 * listener.ts, which knows about sockets and paths.
 */
export class BrokerServer {
  readonly socket: Server;
  readonly #options: BrokerServerOptions;
  readonly #limits: ServerLimits;
  readonly #formats: ReadonlyMap<string, Formatter>;
  readonly #connections: Connections;
  readonly #helperLane: HelperLane;
  /** What of a connection was there when it was accepted: longer than any request of the helper. */
  readonly #packet = Buffer.alloc(LONGEST_REQUEST + 1);
  #httpLane: HttpLane | undefined;
  #onRequest: (nowMs: number) => void = () => {};

  constructor(options: BrokerServerOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#formats = new Map([...BASIC_FORMATS, ...(options.formats ?? [])]);
    this.#connections = new Connections({
      clock,
      log,
      limits: this.#limits,
      direct: options.direct,
      begin: (exchange, connection) => contain(connection.socket, log, () => this.#http.answer(exchange, connection)),
    });
    this.#helperLane = new HelperLane({ ...options, formats: this.#formats });
    this.socket = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, this.#accept.bind(this));
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Called with every request and when it came in. */
  onRequest(listener: (nowMs: number) => void): void {
    this.#onRequest = listener;
  }

  /**
   * Takes no new connections and lets answers under way be finished; after `graceMs` they are cut off. The listening
   * socket itself is closed, its path left to the listener.
   */
  close(graceMs: number): Promise<void> {
    this.#httpLane?.stop();
    return new Promise((resolve) => {
      const cutOff = this.#options.clock.after(graceMs, () => this.#connections.cutOff());
      this.socket.close(() => {
        cutOff.cancel();
        resolve();
      });
      this.#connections.stop();
    });
  }

  #accept(socket: Socket): void {
    const { peers, uid, log, direct } = this.#options;
    socket.on('error', ignore);
    try {
      // It is only sure to be there at this moment.
      const fd = socketFd(socket);
      let peer: PeerCredentials | undefined;
      if (peers.peerCredentials !== undefined) {
        peer = fd === undefined ? undefined : peers.peerCredentials(fd);
        if (peer?.uid !== uid) {
          this.#refusePeer(socket, peer);
          return;
        }
      }
      const connection = this.#connections.admit(socket, peer);
      if (connection === undefined) return;
      const length = fd === undefined ? 0 : (direct?.receiveNow(fd, this.#packet) ?? 0);
      if (length > 0) {
        this.#begin(connection, this.#packet.subarray(0, length));
        return;
      }
      socket.once('data', this.#begin.bind(this, connection));
      connection.read();
    } catch (error) {
      closeFor(error, socket, log);
    }
  }

  /** The first packet says which lane it takes. */
  #begin(connection: ClientConnection, packet: Buffer): void {
    const { clock, log } = this.#options;
    try {
      const request = readHelperRequest(packet);
      if (request === undefined) {
        connection.readByHttp();
        this.#http.take(connection, Buffer.from(packet));
        // It may be the first part of a login, and the buffer is the next connection's as well.
        packet.fill(0);
        return;
      }
      const at = clock.read();
      this.#onRequest(at.nowMs);
      void this.#helperLane.answer(connection, request, at);
    } catch (error) {
      closeFor(error, connection.socket, log);
    }
  }

  /** Made for the first request that needs it. */
  get #http(): HttpLane {
    this.#httpLane ??= new HttpLane({
      ...this.#options,
      administration: this.#options.administration,
      formats: this.#formats,
      limits: this.#limits,
      connections: this.#connections,
      onRequest: () => this.#onRequest(this.#options.clock.now()),
    });
    return this.#httpLane;
  }

  #refusePeer(socket: Socket, peer: PeerCredentials | undefined): void {
    this.#options.log.warn({ pid: peer?.pid, uid: peer?.uid }, 'refused a connection of another user');
    const error = new BrokerError('ERR_PEER_REFUSED', 'this daemon serves another user', {
      remedy: 'start a daemon of your own: broker daemon',
    });
    // What is not read when it is closed would be a reset for the peer.
    socket.resume();
    socket.end(rawProblem(error, 403, 'Forbidden'));
    socket.destroySoon();
  }
}

/** A peer that goes away says so in 'close' as well. */
function ignore(): void {}
