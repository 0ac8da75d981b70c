import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { codeOf, ProviderError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';

/** What the browser brought back, and the page that it waits for. */
interface CallbackVisit {
  /** `state`, `code` and `id_token`, as far as they are there. */
  readonly parameters: Readonly<Record<string, string>>;
  /** The whole query. */
  readonly query: string;
  respond(succeeded: boolean): void;
}

const PASSED_ON = ['state', 'code', 'id_token'];
const LARGEST_HEADERS = 65_536;

/** How long a person has. Login pages themselves forget a login that was begun after five to ten minutes. */
export const LOGIN_LIMIT_MS = 300_000;

export function tooLate(provider: string): ProviderError {
  return new ProviderError('login-expired', `nobody completed the login within ${LOGIN_LIMIT_MS / 60_000} minutes`, {
    remedy: `try again: broker login ${provider}`,
  });
}

/** Where the browser comes back to, as it is registered with the identity provider. */
export function callbackUri(port: number): string {
  return `http://localhost:${port}/oidc/callback`;
}

/** Whose login it is, and what to say if it fails. */
export interface CallbackOwner {
  readonly provider: string;
  /** The table that has `callback_port`: `[providers.NAME]`. */
  readonly table: string;
  /** The identity provider refused, with this word of RFC 6749 section 4.1.2.1 and its own words. */
  refused(error: string, description: string): ProviderError;
}

/**
 * Where the browser comes back to (RFC 8252 section 7.3): a server on loopback that takes exactly one visit with the
 * state of the login that was begun. Whatever else knocks is turned away and changes nothing.
 */
export class OidcCallback {
  readonly #server: Server;
  readonly #visit = Promise.withResolvers<CallbackVisit>();
  readonly #state: string;
  readonly #owner: CallbackOwner;
  #taken = false;

  private constructor(state: string, owner: CallbackOwner) {
    this.#state = state;
    this.#owner = owner;
    this.#visit.promise.catch(() => undefined);
    this.#server = createServer({ maxHeaderSize: LARGEST_HEADERS }, (request, response) =>
      this.#serve(request, response),
    );
  }

  /** @throws ProviderError misconfigured if the port is taken. */
  static async listen(port: number, state: string, owner: CallbackOwner): Promise<OidcCallback> {
    const callback = new OidcCallback(state, owner);
    try {
      await new Promise<void>((resolve, reject) => {
        callback.#server.once('error', reject).listen({ port, host: '127.0.0.1', exclusive: true }, resolve);
      });
    } catch (error) {
      throw new ProviderError(
        'misconfigured',
        `the browser cannot come back to port ${port} of this machine (${codeOf(error)})`,
        {
          remedy: `end the other login that is under way, or set another callback_port in ${owner.table} that is registered, too`,
        },
      );
    }
    return callback;
  }

  async next(clock: Clock, limitMs: number, signal: AbortSignal): Promise<CallbackVisit> {
    const timer = clock.after(limitMs, () => this.#visit.reject(tooLate(this.#owner.provider)));
    const onAbort = () => this.#visit.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      return await this.#visit.promise;
    } finally {
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
    }
  }

  close(): void {
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const url = URL.parse(request.url ?? '/', 'http://localhost');
    if (url?.pathname !== '/oidc/callback' || request.method !== 'GET') {
      page(response, 404, 'There is nothing here.');
      return;
    }
    if (this.#taken || this.#state === '' || url.searchParams.get('state') !== this.#state) {
      page(response, 400, 'This is not the login that was begun. Start again: broker login');
      return;
    }
    this.#taken = true;
    const problem = url.searchParams.get('error');
    if (problem !== null) {
      page(response, 200, 'The login was refused. You may close this page and go back to the terminal.');
      // Anything else could be foreign text.
      const word = /^[a-z_]{1,40}$/.test(problem) ? problem : 'unknown error';
      this.#visit.reject(this.#owner.refused(word, url.searchParams.get('error_description') ?? ''));
      return;
    }
    const pairs = PASSED_ON.flatMap((name) => {
      const value = url.searchParams.get(name);
      return value === null ? [] : [[name, value] as const];
    });
    this.#visit.resolve({
      parameters: Object.fromEntries(pairs),
      query: url.search,
      respond: (succeeded) =>
        page(
          response,
          succeeded ? 200 : 502,
          succeeded
            ? 'You are logged in. You may close this page.'
            : 'The login failed. The terminal says why; you may close this page.',
        ),
    });
  }
}

function page(response: ServerResponse, status: number, sentence: string): void {
  const body = `<!doctype html><html lang="en"><meta charset="utf-8"><title>broker</title><p>${sentence}</p></html>\n`;
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': "default-src 'none'",
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-store',
    connection: 'close',
  });
  response.end(body);
}
