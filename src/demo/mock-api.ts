import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An API that accepts exactly one key, as far as the demo's client can tell the real thing. Loopback only. */
export class MockApi {
  readonly #server: Server;
  acceptedKey = '';

  constructor() {
    this.#server = createServer((request, response) => {
      const accepted = request.headers['x-api-key'] === this.acceptedKey;
      response.writeHead(accepted ? 200 : 401, { 'content-type': 'application/json', connection: 'close' });
      response.end(accepted ? '{"type":"message"}' : '{"type":"error","error":{"type":"authentication_error"}}');
    });
  }

  start(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', () => {
        resolve(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
      });
    });
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
