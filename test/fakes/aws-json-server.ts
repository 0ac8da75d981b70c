import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { closeAtOnce, listenOnLoopback } from './loopback.ts';

/** How the server answers one request: `target` as in `secretsmanager.GetSecretValue`, or `Action` of the query protocol. */
export type Behaviour = (exchange: Exchange) => void;

export interface Exchange {
  readonly target: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export interface TlsIdentity {
  readonly cert: Buffer;
  readonly key: Buffer;
}

interface StoredSecret {
  readonly value: string;
  readonly version: number;
}

/**
 * Speaks AWS's JSON 1.1 protocol as the API references of Secrets Manager and Systems Manager describe it, for what
 * moto cannot do: to fail. `behaviour` replaces the regular answers while it is set.
 */
export class AwsJsonServer {
  readonly secrets = new Map<string, StoredSecret>();
  behaviour: Behaviour | undefined;
  /** Requests seen, oldest first. */
  readonly targets: string[] = [];
  #server: Server | undefined;
  #port = 0;
  readonly #tls: TlsIdentity | undefined;

  constructor(tls?: TlsIdentity) {
    this.#tls = tls;
  }

  get url(): string {
    return `${this.#tls === undefined ? 'http' : 'https'}://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const listener = (request: IncomingMessage, response: ServerResponse) => void this.#answer(request, response);
    this.#server = this.#tls === undefined ? createServer(listener) : createTlsServer(this.#tls, listener);
    this.#port = await listenOnLoopback(this.#server, this.#port);
  }

  /** Frees the port; `start()` takes the same one again. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) await closeAtOnce(server);
  }

  put(name: string, value: string): void {
    this.secrets.set(name, { value, version: (this.secrets.get(name)?.version ?? 0) + 1 });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const json = body.startsWith('{');
    const input = json ? JSON.parse(body) : Object.fromEntries(new URLSearchParams(body));
    const target = json ? String(request.headers['x-amz-target']) : String(input.Action);
    this.targets.push(target);
    (this.behaviour ?? ((exchange) => this.#regular(exchange)))({ target, input, request, response });
  }

  #regular({ target, input, response }: Exchange): void {
    const name = String(input['SecretId'] ?? input['Name']);
    const secret = this.secrets.get(name);
    if (target === 'secretsmanager.GetSecretValue' && secret !== undefined) {
      const VersionId = `00000000-0000-4000-8000-${String(secret.version).padStart(12, '0')}`;
      reply(response, 200, { Name: name, SecretString: secret.value, VersionId, VersionStages: ['AWSCURRENT'] });
    } else if (target === 'secretsmanager.GetSecretValue') {
      refuse(response, 400, 'ResourceNotFoundException', NOT_FOUND);
    } else if (target === 'AmazonSSM.GetParameter' && secret !== undefined) {
      const Parameter = { Name: name, Type: 'SecureString', Value: secret.value, Version: secret.version };
      reply(response, 200, { Parameter });
    } else {
      refuse(response, 400, target.startsWith('AmazonSSM') ? 'ParameterNotFound' : 'UnknownOperationException', '');
    }
  }
}

const NOT_FOUND = "Secrets Manager can't find the specified secret.";

export function reply(response: ServerResponse, status: number, body: object, headers: object = {}): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1', ...headers });
  response.end(JSON.stringify(body));
}

/** An error as the services write it. */
export function refuse(
  response: ServerResponse,
  status: number,
  type: string,
  message: string,
  headers: object = {},
): void {
  reply(response, status, { __type: type, Message: message, message }, headers);
}

export function page(response: ServerResponse, status: number, html: string): void {
  response.writeHead(status, { 'content-type': 'text/html' });
  response.end(html);
}
