import { isAxiosError } from 'axios';
import nodeVault from 'node-vault';
import { SecretBytes } from '../../credential/secret.ts';
import type { ProviderError } from '../../errors.ts';
import { type Contacted, certificateFailure, isCertificateFailure, presentedCertificate } from '../network.ts';
import type { HttpReply, Json } from './answer.ts';
import type { Asked } from './failures.ts';
import {
  codeOf,
  cutOff,
  tooLarge,
  unreachable,
  type VaultConnection,
  type VaultPlace,
  vaultTransport,
} from './transport.ts';

export interface ApiRequest {
  readonly what: Asked['what'];
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Without `/v1/`; each part already percent-encoded where that matters. */
  readonly path: string;
  readonly query?: string;
  readonly body?: Json;
  readonly token?: SecretBytes;
  /** undefined: the provider's own. */
  readonly namespace?: string | undefined;
  readonly wrapTtlMs?: number | undefined;
  /** Parts of the body that must never be shown, should the server repeat them. */
  readonly secrets?: readonly string[];
}

/** An answer, together with what `failures.ts` needs to know about the request. */
export interface VaultReply extends HttpReply {
  readonly asked: Asked;
}

/** One configured Vault, spoken to through node-vault over the transport of transport.ts. */
export class VaultClient {
  readonly #open: () => VaultConnection;
  #connection: VaultConnection;
  readonly place: VaultPlace;
  readonly #namespace: string | undefined;
  /** Enterprise clusters: the state we have seen, so that a standby that lags behind it says 412 instead of 404. */
  #index: string | undefined;

  /** @throws ProviderError misconfigured if `open` does. */
  constructor(open: () => VaultConnection, place: VaultPlace, namespace: string | undefined) {
    this.#open = open;
    this.#connection = open();
    this.place = place;
    this.#namespace = namespace;
  }

  /**
   * The answer, whatever its status.
   *
   * @throws ProviderError if there was none. The reason of the signal if that was aborted.
   */
  async send(request: ApiRequest, signal: AbortSignal): Promise<VaultReply> {
    const asked = this.#asked(request);
    const recorded: { answer?: HttpReply } = {};
    const query = request.query === undefined || request.query === '' ? '' : `?${request.query}`;
    try {
      await this.#vaultFor(request).request({
        method: request.method,
        path: `/${request.path}${query}`,
        headers: this.#headersOf(request),
        ...(request.body === undefined ? {} : { json: request.body }),
        signal,
        record: (answer: HttpReply) => {
          recorded.answer = answer;
        },
      });
    } catch (error) {
      signal.throwIfAborted();
      // node-vault throws for every status but 200; what it throws is dropped for what was recorded.
      if (recorded.answer === undefined) throw await this.#failure(error, signal);
    }
    if (recorded.answer === undefined) throw cutOff(this.place);
    this.#index = recorded.answer.headers['x-vault-index'] ?? this.#index;
    return { ...recorded.answer, asked };
  }

  /** Reads the certificates anew. What is under way goes on over the former connections, which end when they are idle. */
  reconnect(): void {
    this.#connection = this.#open();
  }

  close(): void {
    this.#connection.close();
  }

  #asked({ what, path, namespace = this.#namespace, token, secrets = [] }: ApiRequest): Asked {
    const unspeakable = token === undefined ? secrets : [...secrets, token.reveal()];
    return { ...this.place, what, path, namespace, secrets: unspeakable };
  }

  /** A client per request: node-vault keeps the token in itself. Everything it would else read from process.env is given. */
  #vaultFor(request: ApiRequest) {
    const vault = nodeVault({
      endpoint: this.#connection.endpoint,
      debug: () => {},
      'request-promise': vaultTransport(this.#connection),
    });
    const namespace = request.namespace ?? this.#namespace ?? '';
    return Object.assign(vault, { token: request.token?.reveal() ?? '', namespace, pathPrefix: '' });
  }

  #headersOf(request: ApiRequest): Record<string, string> {
    return {
      ...(this.#index === undefined ? {} : { 'X-Vault-Index': this.#index }),
      ...(request.wrapTtlMs === undefined ? {} : { 'X-Vault-Wrap-TTL': `${Math.ceil(request.wrapTtlMs / 1000)}s` }),
    };
  }

  /** What axios throws holds the token, the body and the sockets: only its code is taken. */
  async #failure(error: unknown, signal: AbortSignal): Promise<ProviderError> {
    const code = codeOf(error);
    if (isAxiosError(error) && /maxContentLength/.test(error.message)) return tooLarge(this.place);
    if (!isCertificateFailure(code)) return unreachable(error, this.place);
    const url = `${this.place.address}/v1/sys/health`;
    const presented = await presentedCertificate(url, this.#connection.inspectionAgent(), signal);
    return certificateFailure(code, contacted(this.place), presented);
  }
}

function contacted({ address, provider }: VaultPlace): Contacted {
  const table = `[providers.${provider}]`;
  return {
    who: `Vault at ${address}`,
    authorityRemedy: `name the authority's PEM file as ca_file in ${table}; in a public network, sign in to it first`,
    nameRemedy: `write that name in address, or as tls_server_name, in ${table}`,
    owner: "Vault's operators",
  };
}

/** Redeems a wrapping token, which works once. */
export async function unwrap(wrappingToken: string, client: VaultClient, signal: AbortSignal): Promise<VaultReply> {
  using token = SecretBytes.fromString(wrappingToken);
  return await client.send({ what: 'unwrap', method: 'POST', path: 'sys/wrapping/unwrap', token }, signal);
}

/** As much of a server's words as a message has room for. */
const LONGEST = 160;

/** The tokens of Vault (hvs.) and OpenBao (s.; b. in base64url), JWTs, and the UUIDs that secret-ids are. */
const SECRET_SHAPES =
  /\b(?:hv[sbr]\.[\w-]{8,}|[sbr]\.[\w-]{20,}|eyJ[\w-]{8,}(?:\.[\w-]*){1,2}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/gi;

/**
 * Vault's own `errors` (or `warnings`) as one harmless line: printable, bounded, and without anything that the request
 * held as a secret or that has a secret's shape. Undefined if there is nothing to say.
 */
export function serverWords(messages: readonly string[], secrets: readonly string[]): string | undefined {
  const plain = messages
    .flatMap((message) => message.replace(/^\d+ errors? occurred:/, '').split(/\n\s*\*\s*/))
    .map((part) => part.replaceAll(/[^\x20-\x7e]+/g, ' ').trim())
    .filter((part) => part !== '');
  let line = [...new Set(plain)].join('; ');
  for (const secret of secrets) if (secret.length >= 4) line = line.replaceAll(secret, '[redacted]');
  line = line.replaceAll(SECRET_SHAPES, '[redacted]').replaceAll(/\s+/g, ' ');
  if (line === '') return undefined;
  line = line.replace(/\.$/, '');
  return line.length > LONGEST ? `${line.slice(0, LONGEST - 3)}...` : line;
}
