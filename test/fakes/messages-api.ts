import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { closeAtOnce, listenOnLoopback, loopbackAddress } from './loopback.ts';
import { TokenExchange } from './token-exchange.ts';

export interface SeenCall {
  /** On the clock of `performance.now()`. */
  readonly atMs: number;
  readonly path: string;
  readonly model: string;
  readonly apiKey: string;
  readonly authorization: string;
  /** Of the header `anthropic-beta`. */
  readonly betas: readonly string[];
  readonly status: number;
  /** The words of the last message, tool results included, as JSON. */
  readonly last: string;
}

/** What the model says: words, or a command that the agent's shell is to run. */
export type Content =
  | { readonly type: 'text'; readonly text: string }
  | {
      readonly type: 'tool_use';
      readonly id: string;
      readonly name: string;
      readonly input: Readonly<Record<string, unknown>>;
    };

export interface Conversation {
  readonly model: string;
  /** The words of the last message, tool results included, as JSON. */
  readonly last: string;
}

/**
 * As much of the Messages API as Claude Code needs for a turn, on loopback: keys that are accepted or not, models that a
 * key may not use, and answers as JSON or as the stream of events that the client asks for.
 */
export class MessagesApi {
  readonly acceptedKeys = new Set<string>();
  /** Models that no key may use: 403. */
  readonly forbiddenModels = new Set<string>();
  /** Calls of `POST /v1/messages`, in the order of their answers. */
  readonly calls: SeenCall[] = [];
  /** What the model answers; default: one word. */
  reply: (conversation: Conversation) => readonly Content[] = () => [{ type: 'text', text: 'pong' }];
  /** How long an answer takes, in milliseconds; default 0. */
  delayMs: (conversation: Conversation, apiKey: string) => number = () => 0;
  /** How often it was asked about a key only: `GET /v1/models`. */
  checks = 0;
  /** `POST /v1/oauth/token`. Its tokens are good as bearer tokens, with the header that OAuth wants. */
  readonly exchange = new TokenExchange();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(...acceptedKeys: string[]): Promise<MessagesApi> {
    const api = new MessagesApi();
    for (const key of acceptedKeys) api.acceptedKeys.add(key);
    await listenOnLoopback(api.#server);
    return api;
  }

  get url(): string {
    return loopbackAddress(this.#server);
  }

  /** From now on this key is the only good one. */
  acceptOnly(...keys: string[]): void {
    this.acceptedKeys.clear();
    for (const key of keys) this.acceptedKeys.add(key);
  }

  stop(): Promise<void> {
    return closeAtOnce(this.#server);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const path = new URL(request.url ?? '/', 'http://api').pathname;
    if (request.method === 'GET' && path === '/v1/models') {
      const isGood = this.acceptedKeys.has(String(request.headers['x-api-key'] ?? ''));
      this.checks += 1;
      if (isGood) return send(response, 200, { data: [], has_more: false });
      return send(response, 401, problem('authentication_error', 'invalid x-api-key'));
    }
    if (path === '/v1/oauth/token') {
      this.exchange.answer(request, Buffer.concat(chunks).toString('utf8'), response);
      return;
    }
    if (request.method !== 'POST' || path !== '/v1/messages') return send(response, 404, problem('not_found_error'));
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8') || '{}') as MessagesRequest;
    const conversation = { model: body.model ?? '', last: JSON.stringify(body.messages?.at(-1) ?? {}) };
    const apiKey = String(request.headers['x-api-key'] ?? '');
    const delayMs = this.delayMs(conversation, apiKey);
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    const authorization = request.headers.authorization ?? '';
    const betas = String(request.headers['anthropic-beta'] ?? '').split(',');
    const isFederated = this.exchange.issued.has(authorization.replace(/^Bearer /, ''));
    const status = this.#judge(apiKey, conversation.model, isFederated && betas.includes('oauth-2025-04-20'));
    const { model, last } = conversation;
    this.calls.push({ atMs: performance.now(), path, model, apiKey, authorization, betas, status, last });
    if (status === 401) return send(response, 401, problem('authentication_error', 'invalid x-api-key'));
    if (status === 403) return send(response, 403, problem('permission_error', 'this key may not use this model'));
    const content = this.reply(conversation);
    if (body.stream === true) return stream(response, conversation.model, content);
    send(response, 200, message(conversation.model, content));
  }

  #judge(apiKey: string, model: string, isFederated: boolean): 200 | 401 | 403 {
    if (!isFederated && !this.acceptedKeys.has(apiKey)) return 401;
    return this.forbiddenModels.has(model) ? 403 : 200;
  }
}

interface MessagesRequest {
  readonly model?: string;
  readonly stream?: boolean;
  readonly messages?: readonly unknown[];
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'request-id': 'req_test' });
  response.end(JSON.stringify(body));
}

function problem(type: string, text = type): unknown {
  return { type: 'error', error: { type, message: text } };
}

function message(model: string, content: readonly Content[]) {
  const stop_reason = content.some(({ type }) => type === 'tool_use') ? 'tool_use' : 'end_turn';
  const usage = { input_tokens: 1, output_tokens: 1 };
  return {
    id: 'msg_test',
    type: 'message',
    role: 'assistant',
    model,
    content,
    stop_reason,
    stop_sequence: null,
    usage,
  };
}

/** https://platform.claude.com/docs/en/build-with-claude/streaming, "Event types". */
function stream(response: ServerResponse, model: string, content: readonly Content[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': 'req_test' });
  const emit = (type: string, data: object) =>
    response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
  const { stop_reason, usage, ...whole } = message(model, content);
  emit('message_start', { message: { ...whole, content: [], stop_reason: null, usage } });
  for (const [index, block] of content.entries()) {
    const isText = block.type === 'text';
    emit('content_block_start', {
      index,
      content_block: isText ? { type: 'text', text: '' } : { ...block, input: {} },
    });
    const delta = isText
      ? { type: 'text_delta', text: block.text }
      : { type: 'input_json_delta', partial_json: JSON.stringify(block.input) };
    emit('content_block_delta', { index, delta });
    emit('content_block_stop', { index });
  }
  emit('message_delta', { delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 1 } });
  emit('message_stop', {});
  response.end();
}
