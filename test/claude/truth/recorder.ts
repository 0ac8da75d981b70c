import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { closeAtOnce, listenOnLoopback, loopbackAddress } from '../../fakes/loopback.ts';

/** A request with which the client wanted an answer of a model. */
export interface ModelCall {
  readonly path: string;
  readonly apiKey: string | undefined;
  readonly authorization: string | undefined;
}

/** What an exchange of tokens (workload identity) ends in. */
export const EXCHANGED = 'exchanged-token-0123456789';

/** Every path that asks a model: of the API itself, and as Bedrock and Vertex write it. */
const MODEL_PATHS = /\/v1\/messages$|\/model\/[^/]+\/(invoke|converse)|:(streamR|r)awPredict$/;

/**
 * A server that takes any key and remembers who came: the Messages API, a gateway in front of a cloud, and the endpoint
 * that exchanges an identity token. The answer is a refusal, so that the client has seen enough and ends.
 */
export class Recorder {
  readonly calls: ModelCall[] = [];
  /** Every other request, for whoever wants to know what else the client asks. */
  readonly others: string[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<Recorder> {
    const recorder = new Recorder();
    await listenOnLoopback(recorder.#server);
    return recorder;
  }

  get url(): string {
    return loopbackAddress(this.#server);
  }

  stop(): Promise<void> {
    return closeAtOnce(this.#server);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for await (const _ of request);
    // A proxy is asked with the whole URL.
    const path = new URL(request.url ?? '/', 'http://api').pathname;
    if (request.method === 'POST' && MODEL_PATHS.test(decodeURIComponent(path))) {
      const { 'x-api-key': apiKey, authorization } = request.headers;
      this.calls.push({ path, apiKey: textOf(apiKey), authorization });
      return send(response, 400, { type: 'error', error: { type: 'invalid_request_error', message: 'seen enough' } });
    }
    this.others.push(`${request.method} ${path}`);
    if (request.method === 'POST' && path.endsWith('/oauth/token')) {
      return send(response, 200, { access_token: EXCHANGED, token_type: 'Bearer', expires_in: 3600 });
    }
    send(response, 404, { type: 'error', error: { type: 'not_found_error', message: 'not here' } });
  }
}

function textOf(header: string | string[] | undefined): string | undefined {
  return header === undefined || header === '' ? undefined : String(header);
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'request-id': 'req_test' });
  response.end(JSON.stringify(body));
}
