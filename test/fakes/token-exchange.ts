import { createPrivateKey, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { closeAtOnce, listenOnLoopback, loopbackAddress } from './loopback.ts';

/** The rule, the organization and the account that the endpoint knows. */
export const RULE = 'fdrl_01Test';
export const ORGANIZATION = '11111111-2222-3333-4444-555555555555';
export const ACCOUNT = 'svac_01Test';

export interface SeenExchange {
  readonly path: string;
  readonly method: string;
  readonly headers: IncomingMessage['headers'];
  /** As it was sent. */
  readonly text: string;
  readonly form: Readonly<Record<string, unknown>>;
  readonly status: number;
}

/** Issuers round, and clocks differ. */
const LEEWAY_SECONDS = 5;

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * `POST /v1/oauth/token` of Anthropic, as its reference, its SDKs and anthropics/claude-code#89095 describe it: the identity
 * token has to be of this issuer, for this rule, valid now, and not used before.
 */
export class TokenExchange {
  readonly seen: SeenExchange[] = [];
  /** Tokens that were issued and are good. */
  readonly issued = new Set<string>();
  /** In seconds. */
  lifeSeconds = 600;
  /** Whether each identity token is taken once only, as the real endpoint was seen to do. */
  takesOnce = true;
  issuer = 'https://idp.example.com';
  /** What a token begins with; the canary of the conformance suite goes there. */
  prefix = 'sk-ant-oat01-';
  /** Instead of an answer. */
  fault: Handler | undefined;
  /** The same for one workspace only. */
  readonly faults = new Map<string, Handler>();
  readonly #used = new Set<string>();
  #count = 0;

  /** Answers one request whose body was read. */
  answer(request: IncomingMessage, text: string, response: ServerResponse): void {
    const { method = '', url = '', headers } = request;
    const form = parse(text);
    const note = (status: number) => this.seen.push({ path: url, method, headers, text, form, status });
    const fault = this.faults.get(String(form['workspace_id'])) ?? this.fault;
    if (fault !== undefined) {
      note(0);
      fault(request, response);
      return;
    }
    const refused = this.#refusal(method, headers, form);
    if (refused !== undefined) {
      const [status, type, message] = refused;
      note(status);
      send(response, status, { type: 'error', error: { type, message }, request_id: 'req_test' });
      return;
    }
    this.#used.add(String(form['assertion']));
    this.#count += 1;
    const token = `${this.prefix}${this.#count}-${randomUUID()}`;
    this.issued.add(token);
    note(200);
    send(response, 200, {
      access_token: token,
      token_type: 'Bearer',
      expires_in: this.lifeSeconds,
      scope: 'inference',
    });
  }

  /** Somebody else has exchanged it. */
  spend(assertion: string): void {
    this.#used.add(assertion);
  }

  #refusal(
    method: string,
    headers: IncomingMessage['headers'],
    form: Readonly<Record<string, unknown>>,
  ): readonly [number, string, string] | undefined {
    const betas = String(headers['anthropic-beta'] ?? '').split(',');
    if (method !== 'POST' || !betas.includes('oidc-federation-2026-04-01'))
      return [404, 'not_found_error', 'Not found'];
    if (form['grant_type'] !== 'urn:ietf:params:oauth:grant-type:jwt-bearer')
      return [400, 'invalid_request_error', 'unsupported grant_type'];
    const assertion = String(form['assertion'] ?? '');
    if (assertion.length > 16 * 1024) return [400, 'invalid_request_error', 'assertion: exceeds 16 KiB'];
    if (form['organization_id'] !== ORGANIZATION || form['federation_rule_id'] !== RULE)
      return [401, 'authentication_error', 'Authentication failed: no matching federation rule'];
    if (form['service_account_id'] !== ACCOUNT)
      return [403, 'permission_error', 'not allowed for this service account'];
    const claims = parse(Buffer.from(assertion.split('.')[1] ?? '', 'base64url').toString());
    const now = Date.now() / 1000;
    const isGood =
      claims['iss'] === this.issuer &&
      Number(claims['exp']) > now &&
      Number(claims['nbf'] ?? claims['iat'] ?? 0) <= now + LEEWAY_SECONDS;
    if (!isGood || (this.takesOnce && this.#used.has(assertion)))
      return [401, 'authentication_error', 'Authentication failed'];
    return undefined;
  }
}

/** The endpoint on a port of its own. */
export class TokenExchangeServer {
  readonly exchange = new TokenExchange();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      this.exchange.answer(request, Buffer.concat(chunks).toString('utf8'), response);
    });
  }

  static async start(): Promise<TokenExchangeServer> {
    const started = new TokenExchangeServer();
    await listenOnLoopback(started.#server);
    return started;
  }

  get url(): string {
    return loopbackAddress(this.#server);
  }

  stop(): Promise<void> {
    return closeAtOnce(this.#server);
  }
}

/** An identity provider that signs with a key of its own. */
export class IdentityIssuer {
  readonly #key: KeyObject;

  constructor() {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#key = createPrivateKey(privateKey.export({ format: 'pem', type: 'pkcs8' }));
  }

  token(claims: Readonly<Record<string, unknown>> = {}): string {
    const now = Math.floor(Date.now() / 1000);
    const payload = {
      iss: 'https://idp.example.com',
      sub: 'system:serviceaccount:dev:claude',
      aud: 'https://api.anthropic.com',
      iat: now,
      exp: now + 3600,
      jti: randomUUID(),
      ...claims,
    };
    const signed = [{ alg: 'ES256', typ: 'JWT' }, payload]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const signature = sign('sha256', Buffer.from(signed), { key: this.#key, dsaEncoding: 'ieee-p1363' });
    return `${signed}.${signature.toString('base64url')}`;
  }
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'request-id': 'req_test' });
  response.end(JSON.stringify(body));
}
