import { isAxiosError } from 'axios';
import nodeVault from 'node-vault';
import { type Json, SecretBytes } from '../../credential/secret.ts';
import type { ProviderError } from '../../errors.ts';
import { Hedge, PATIENCE_MS } from '../hedge.ts';
import {
  type Contacted,
  certificateFailure,
  isCertificateFailure,
  networkCode,
  presentedCertificate,
} from '../network.ts';
import type { ProviderHost } from '../provider.ts';
import type { Asked, VaultPlace, VaultReply } from './answer.ts';
import type { VaultOptions } from './options.ts';
import {
  cutOff,
  openConnection,
  type TransportRequest,
  tooLarge,
  unreachable,
  type VaultConnection,
  vaultTransport,
} from './transport.ts';

export interface VaultRequest {
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
  /** Asking twice does no harm: it may be sent again if there is no answer. */
  readonly isRepeatable?: boolean;
}

/** A login may take the backend behind it some time, and its answer is a token: it is sent again when it would be tried again. */
const LOGIN_PATIENCE_MS = 10_000;

/** One configured Vault, spoken to through node-vault over the transport of transport.ts. Opens nothing before it is asked. */
export class VaultClient {
  readonly place: VaultPlace;
  readonly #options: VaultOptions;
  readonly #host: ProviderHost;
  readonly #hedge: Hedge;
  #connection: VaultConnection | undefined;
  /** Enterprise clusters: the state we have seen, so that a standby that lags behind it says 412 instead of 404. */
  #index: string | undefined;

  constructor(options: VaultOptions, host: ProviderHost) {
    this.#options = options;
    this.#host = host;
    this.place = { provider: host.name, address: options.address };
    this.#hedge = new Hedge(host.clock, options.address);
  }

  /** Whether the address has answered anybody since then. */
  hasAnsweredSince(ms: number): boolean {
    return this.#hedge.hasAnsweredSince(ms);
  }

  /**
   * The answer, whatever its status.
   *
   * @throws ProviderError if there was none. The reason of the signal if that was aborted.
   */
  async send(request: VaultRequest, signal: AbortSignal): Promise<VaultReply> {
    if (request.isRepeatable !== true) return await this.#exchange(request, signal);
    return await this.#hedge.send(
      signal,
      async (own, isAgain) => {
        // The connections that are kept may all have been cut.
        if (isAgain) this.#connection = undefined;
        return await this.#exchange(request, own);
      },
      request.what === 'read' ? PATIENCE_MS : LOGIN_PATIENCE_MS,
    );
  }

  async #exchange(request: VaultRequest, signal: AbortSignal): Promise<VaultReply> {
    this.#connection ??= openConnection(this.#options, this.#host);
    const connection = this.#connection;
    const recorded: TransportRequest['recorded'] = {};
    const query = request.query === undefined || request.query === '' ? '' : `?${request.query}`;
    try {
      await this.#vaultFor(request, connection).request({
        method: request.method,
        path: `/${request.path}${query}`,
        headers: {
          ...(this.#index === undefined ? {} : { 'X-Vault-Index': this.#index }),
          ...(request.wrapTtlMs === undefined ? {} : { 'X-Vault-Wrap-TTL': `${Math.ceil(request.wrapTtlMs / 1000)}s` }),
        },
        ...(request.body === undefined ? {} : { json: request.body }),
        signal,
        recorded,
      });
    } catch (error) {
      signal.throwIfAborted();
      // node-vault throws for every status but 200; what it throws gives way to what was recorded.
      if (recorded.answer === undefined) throw await this.#failure(error, connection, signal);
    }
    if (recorded.answer === undefined) throw cutOff(this.place);
    this.#hedge.answered();
    this.#index = recorded.answer.headers['x-vault-index'] ?? this.#index;
    const { what, path, namespace = this.#options.namespace, token, secrets = [] } = request;
    const unspeakable = token === undefined ? secrets : [...secrets, token.reveal()];
    return { ...recorded.answer, asked: { ...this.place, what, path, namespace, secrets: unspeakable } };
  }

  /**
   * The next request reads the certificates again and knows nothing of the cluster. What is under way goes on over the
   * former connections, which end when they are idle.
   */
  reconnect(): void {
    this.#connection = undefined;
    this.#index = undefined;
  }

  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }

  /** A client per request: node-vault keeps the token in itself. Everything it would else read from process.env is given. */
  #vaultFor({ namespace = this.#options.namespace ?? '', token }: VaultRequest, connection: VaultConnection) {
    const vault = nodeVault({
      endpoint: connection.endpoint,
      debug: () => {},
      'request-promise': vaultTransport(connection),
    });
    return Object.assign(vault, { token: token?.reveal() ?? '', namespace, pathPrefix: '' });
  }

  /** What axios throws holds the token, the body and the sockets: only its code is taken. */
  async #failure(error: unknown, connection: VaultConnection, signal: AbortSignal): Promise<ProviderError> {
    if (isAxiosError(error) && /maxContentLength/.test(error.message)) return tooLarge(this.place);
    const code = networkCode(error);
    if (code === undefined || !isCertificateFailure(code)) return unreachable(error, this.place, connection.proxy);
    const url = `${this.place.address}/v1/sys/health`;
    const presented = await presentedCertificate(url, connection.inspectionAgent(), signal);
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
