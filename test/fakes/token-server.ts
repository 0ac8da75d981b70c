import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { closeAtOnce, listenOnLoopback } from './loopback.ts';

/** How the server answers one request to its token endpoint. */
export type TokenBehaviour = (exchange: TokenExchange) => void;

export interface TokenExchange {
  readonly form: URLSearchParams;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** A login of a person: a chain of refresh tokens, of which only the last one is good. */
interface Chain {
  current: string;
  /** Used already, with the time of that. */
  readonly used: Map<string, number>;
  isOver: boolean;
}

/**
 * An OAuth server for what real ones cannot do on demand: to fail, to answer late, and to count. Client credentials with a
 * secret, RFC 7523 and RFC 8693 with any assertion that is in `assertions`, and refresh tokens that are replaced at every use.
 * `behaviour` replaces the regular answers while it is set.
 */
export class TokenServer {
  behaviour: TokenBehaviour | undefined;
  clientSecret = 'secret';
  /** Added to what it tells of itself. */
  metadata: object = {};
  /** Part of every token that it gives. */
  mark = '';
  lastsSeconds = 3600;
  /** In its answer to the begin of a device login, after what is regular. */
  device: object = {};
  /** In every answer with tokens, after what is regular. */
  more: object = {};
  /** Assertions that it takes. */
  readonly assertions = new Set<string>();
  /** How long a refresh token may be used again, as many servers allow for answers that were lost. 0: the login is over then. */
  leewayMs = 0;
  /** What was asked at the token endpoint, oldest first. */
  readonly asked: URLSearchParams[] = [];
  /** Uses of refresh tokens that were used before. */
  reuses = 0;
  /** Awaited when a refresh token has come in, before it is looked at. */
  beforeUse: (() => Promise<void>) | undefined;
  /** Awaited when a refresh token has been used up, before that is answered. */
  beforeAnswer: (() => Promise<void>) | undefined;
  readonly #chains = new Map<string, Chain>();
  #server: Server | undefined;
  #port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#port = await listenOnLoopback(this.#server, this.#port);
  }

  /** Frees the port; `start()` takes the same one again. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) await closeAtOnce(server);
  }

  /** Somebody logs in. @returns their first refresh token. */
  logIn(): string {
    const current = this.#mint('refresh');
    this.#chains.set(current, { current, used: new Map(), isOver: false });
    return current;
  }

  /** Whether the login that began with this token still lives. */
  isLoggedIn(first: string): boolean {
    return this.#chains.get(first)?.isOver === false;
  }

  logOut(first: string): void {
    const chain = this.#chains.get(first);
    if (chain !== undefined) chain.isOver = true;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    const form = new URLSearchParams(await text(request));
    if (request.url === '/.well-known/openid-configuration') return this.#tellOfItself(response);
    if (request.url === '/device') {
      const page = `${this.url}/page`;
      // As often as a test wants.
      return answerJson(response, 200, {
        ...DEVICE,
        verification_uri: page,
        verification_uri_complete: `${page}?code=ABCD`,
        ...this.device,
      });
    }
    if (request.url === '/revoke') {
      this.#revoke(form.get('token') ?? '');
      return answerJson(response, 200, {});
    }
    this.asked.push(form);
    if (this.behaviour !== undefined) return this.behaviour({ form, request, response });
    const secret = form.get('client_secret') ?? basicSecretIn(request);
    if (secret !== this.clientSecret) return refuseToken(response, 401, 'invalid_client', 'no such client');
    switch (form.get('grant_type')) {
      case 'client_credentials':
        return this.#give(response);
      case 'refresh_token':
        return await this.#refresh(form.get('refresh_token') ?? '', response);
      default: {
        const assertion = form.get('assertion') ?? form.get('subject_token') ?? '';
        if (this.assertions.has(assertion)) return this.#give(response);
        return refuseToken(response, 400, 'invalid_grant', `the assertion ${assertion} is not good`);
      }
    }
  }

  async #refresh(token: string, response: ServerResponse): Promise<void> {
    await this.beforeUse?.();
    const chain = [...this.#chains.values()].find(({ current, used }) => current === token || used.has(token));
    const usedAt = chain?.used.get(token);
    if (usedAt !== undefined) this.reuses += 1;
    const isLate = usedAt !== undefined && Date.now() - usedAt > this.leewayMs;
    if (chain !== undefined && isLate) chain.isOver = true;
    if (chain === undefined || chain.isOver) return refuseToken(response, 400, 'invalid_grant', 'grant is over');
    if (usedAt === undefined) chain.used.set(token, Date.now());
    chain.current = this.#mint('refresh');
    await this.beforeAnswer?.();
    this.#give(response, { refresh_token: chain.current });
  }

  #revoke(token: string): void {
    for (const chain of this.#chains.values()) if (chain.current === token) chain.isOver = true;
  }

  #give(response: ServerResponse, more: object = {}): void {
    const tokens = { access_token: this.#mint('access'), token_type: 'Bearer', expires_in: this.lastsSeconds };
    answerJson(response, 200, { ...tokens, ...more, ...this.more });
  }

  #tellOfItself(response: ServerResponse): void {
    answerJson(response, 200, {
      issuer: this.url,
      token_endpoint: `${this.url}/token`,
      authorization_endpoint: `${this.url}/authorize`,
      revocation_endpoint: `${this.url}/revoke`,
      device_authorization_endpoint: `${this.url}/device`,
      ...this.metadata,
    });
  }

  #mint(kind: string): string {
    return `${kind}-${this.mark}-${randomBytes(12).toString('hex')}`;
  }
}

const DEVICE = { device_code: 'canary-device', user_code: 'ABCD', expires_in: 60, interval: 0.01 };

function basicSecretIn({ headers }: IncomingMessage): string {
  const [, encoded = ''] = /^Basic (.+)$/.exec(headers.authorization ?? '') ?? [];
  return decodeURIComponent(Buffer.from(encoded, 'base64').toString().split(':')[1] ?? '');
}

export function answerJson(response: ServerResponse, status: number, body: object, headers: object = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

/** An error as RFC 6749 section 5.2 has it. */
export function refuseToken(
  response: ServerResponse,
  status: number,
  error: string,
  description: string,
  headers: object = {},
): void {
  answerJson(response, status, { error, error_description: description }, headers);
}
