import type { ServerResponse } from 'node:http';
// Faults are about real sockets: they take real time also where the Vault's own clock is a fake one.
import { setTimeout as delay } from 'node:timers/promises';

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
}

/** Faults waiting for the requests they will befall. */
export class Faults {
  readonly #planned: Planned[] = [];

  /** The next `times` requests whose path (without `/v1/`) matches fail like this. */
  plan(fault: Fault, options: { times?: number; path?: RegExp } = {}): void {
    this.#planned.push({ fault, left: options.times ?? 1, path: options.path ?? /^/ });
  }

  clear(): void {
    this.#planned.length = 0;
  }

  take(path: string): Fault | undefined {
    const found = this.#planned.find((each) => each.left > 0 && each.path.test(path));
    if (found === undefined) return undefined;
    found.left -= 1;
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
      response.socket?.resetAndDestroy();
      return false;
    case 'hang':
      return false;
  }
}

async function pour(bytes: number, response: ServerResponse): Promise<void> {
  const chunk = Buffer.alloc(65_536, 'x');
  response.writeHead(200, { 'content-type': 'application/json' });
  for (let sent = 0; sent < bytes && !response.destroyed; sent += chunk.length) {
    if (!response.write(chunk)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
  }
  response.end();
}

async function drip(everyMs: number, response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/json' });
  while (!response.destroyed) {
    response.write(' ');
    await delay(everyMs);
  }
}

function once(response: ServerResponse, event: string): Promise<void> {
  return new Promise((resolve) => response.once(event, () => resolve()));
}
