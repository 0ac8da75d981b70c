import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { closeAtOnce, listenOnLoopback, loopbackAddress } from './loopback.ts';

interface SeenResponse {
  /** On the clock of `performance.now()`. */
  readonly atMs: number;
  readonly key: string;
  readonly status: 200 | 401;
}

/** As much of OpenAI's Responses API as Codex needs for a turn, on loopback: bearer tokens that are accepted or not. */
export class ResponsesApi {
  readonly acceptedKeys = new Set<string>();
  /** Calls of `POST /v1/responses`, in the order of their answers. */
  readonly calls: SeenResponse[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(...acceptedKeys: string[]): Promise<ResponsesApi> {
    const api = new ResponsesApi();
    api.acceptOnly(...acceptedKeys);
    await listenOnLoopback(api.#server);
    return api;
  }

  /** With the path that Codex appends to. */
  get url(): string {
    return `${loopbackAddress(this.#server)}/v1`;
  }

  acceptOnly(...keys: string[]): void {
    this.acceptedKeys.clear();
    for (const key of keys) this.acceptedKeys.add(key);
  }

  stop(): Promise<void> {
    return closeAtOnce(this.#server);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for await (const _ of request);
    const path = new URL(request.url ?? '/', 'http://api').pathname;
    const key = (request.headers.authorization ?? '').replace(/^Bearer /, '');
    const status = this.acceptedKeys.has(key) ? 200 : 401;
    const isTurn = request.method === 'POST' && path === '/v1/responses';
    if (isTurn) this.calls.push({ atMs: performance.now(), key, status });
    if (status === 401) {
      const error = { message: 'Incorrect API key provided', type: 'invalid_request_error', code: 'invalid_api_key' };
      return send(response, 401, { error });
    }
    if (isTurn) return stream(response);
    send(response, path === '/v1/models' ? 200 : 404, { models: [] });
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

/** https://platform.openai.com/docs/api-reference/responses-streaming: the events that Codex waits for. */
function stream(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const emit = (type: string, data: object) =>
    response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
  const content = [{ type: 'output_text', text: 'pong' }];
  const usage = { input_tokens: 1, input_tokens_details: null, output_tokens: 1, output_tokens_details: null };
  emit('response.created', { response: { id: 'resp_test' } });
  emit('response.output_item.done', { item: { type: 'message', role: 'assistant', id: 'msg_test', content } });
  emit('response.completed', { response: { id: 'resp_test', usage: { ...usage, total_tokens: 2 } } });
  response.end();
}
