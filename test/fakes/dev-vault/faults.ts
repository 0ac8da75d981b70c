import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';

// Faults are about real sockets: they take real time also where the Vault's own clock is a fake one.

/**
 * Something going wrong between client and Vault.
 * answer: this instead of Vault's own · huge: a body of so many bytes · drip: one byte at a time, never ending ·
 * hang: no answer ever · reset: the connection is torn down before an answer · cut: in the middle of one ·
 * slow: the right answer, late.
 */
export type Fault =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly body?: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'huge'; readonly bytes: number }
  | { readonly kind: 'drip'; readonly everyMs: number }
  | { readonly kind: 'hang' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'cut' }
  | { readonly kind: 'slow'; readonly byMs: number };

interface Planned {
  readonly fault: Fault;
  readonly path: RegExp;
  left: number;
  readonly reach: () => void;
}

interface PlannedFault {
  /** Resolves when a request has run into it. */
  readonly reached: Promise<void>;
  clear(): void;
}

/** Faults waiting for the requests they will befall. */
export class Faults {
  #planned: Planned[] = [];

  /** The next `times` requests (default 1) whose path, without `/v1/`, matches fail like this. */
  plan(fault: Fault, options: { times?: number; path?: RegExp } = {}): PlannedFault {
    const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
    const planned: Planned = { fault, left: options.times ?? 1, path: options.path ?? /^/, reach };
    this.#planned.push(planned);
    const clear = () => {
      this.#planned = this.#planned.filter((each) => each !== planned);
    };
    return { reached, clear };
  }

  clear(): void {
    this.#planned = [];
  }

  take(path: string): Fault | undefined {
    const found = this.#planned.find((each) => each.left > 0 && each.path.test(path));
    if (found === undefined) return undefined;
    found.left -= 1;
    found.reach();
    return found.fault;
  }
}

/** Lets the fault happen to this answer. Resolves true if the right answer is still to be given. */
export async function inflict(fault: Fault, response: ServerResponse): Promise<boolean> {
  switch (fault.kind) {
    case 'slow':
      await delay(fault.byMs);
      return true;
    case 'answer':
      response.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers });
      response.end(fault.body ?? '');
      return false;
    case 'huge':
      await pour(fault.bytes, response);
      return false;
    case 'drip':
      await drip(fault.everyMs, response);
      return false;
    case 'cut':
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' });
      response.write('{"request_id":"', () => response.destroy());
      return false;
    case 'reset':
      // Node resets plain sockets only; a TLS connection that ends without a word is as good.
      if (response.socket instanceof TLSSocket) response.socket.destroy();
      else response.socket?.resetAndDestroy();
      return false;
    case 'hang':
      return false;
  }
}

async function pour(bytes: number, response: ServerResponse): Promise<void> {
  const chunk = Buffer.alloc(65_536, 'x');
  const client = clientOf(response);
  response.writeHead(200, { 'content-type': 'application/json' });
  for (let sent = 0; sent < bytes && !client.left; sent += chunk.length) {
    if (!response.write(chunk)) await Promise.race([drained(response), client.leaves]);
  }
  response.end();
}

async function drip(everyMs: number, response: ServerResponse): Promise<void> {
  const client = clientOf(response);
  response.writeHead(200, { 'content-type': 'application/json' });
  while (!client.left) {
    response.write(' ');
    await Promise.race([delay(everyMs), client.leaves]);
  }
}

/** When the client has hung up, which a response says in its 'close' event only. */
function clientOf(response: ServerResponse): { readonly left: boolean; readonly leaves: Promise<void> } {
  const client = {
    left: false,
    leaves: new Promise<void>((resolve) => {
      response.once('close', () => {
        client.left = true;
        resolve();
      });
    }),
  };
  return client;
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => response.once('drain', () => resolve()));
}
