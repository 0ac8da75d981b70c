import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * The little of RabbitMQ's management API that Vault's rabbitmq engine calls: users and their permissions are put and
 * deleted. It is the one dynamic engine with renewable leases, in Vault and OpenBao alike, whose other side is so small.
 */
export class RabbitManagement {
  readonly users = new Set<string>();
  readonly #server = createServer((request, response) => {
    const user = /^\/api\/users\/([^/]+)$/.exec(request.url ?? '')?.[1];
    if (user !== undefined && request.method === 'PUT') this.users.add(user);
    if (user !== undefined && request.method === 'DELETE') this.users.delete(user);
    request.resume().on('end', () => response.writeHead(request.method === 'PUT' ? 201 : 204).end());
  });

  static async start(): Promise<RabbitManagement> {
    const rabbit = new RabbitManagement();
    rabbit.#server.listen(0, '127.0.0.1');
    await once(rabbit.#server, 'listening');
    return rabbit;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
