import { createServer } from 'node:http';
import { closeAtOnce, listenOnLoopback, loopbackAddress } from './loopback.ts';

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
    await listenOnLoopback(rabbit.#server);
    return rabbit;
  }

  get address(): string {
    return loopbackAddress(this.#server);
  }

  stop(): Promise<void> {
    return closeAtOnce(this.#server);
  }
}
