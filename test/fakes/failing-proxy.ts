import { createServer, type IncomingMessage, request as plainRequest, type ServerResponse } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { Faults, inflict } from './dev-vault/faults.ts';
import { closeAtOnce, listenOnLoopback } from './loopback.ts';

/** Stands in front of a real server on a loopback port, passes everything on as it is, and lets it go wrong when told to. */
export class FailingProxy {
  readonly faults = new Faults();
  readonly #upstream: URL;
  readonly #server = createServer((incoming, response) => void this.#serve(incoming, response));
  /** That came in, whatever became of them. */
  requests = 0;
  /** Told of each answer that was passed on as it is, when the whole of it is on its way to whoever asked. */
  onAnswered: ((body: string) => void) | undefined;
  #port = 0;

  private constructor(upstream: URL) {
    this.#upstream = upstream;
  }

  static async start(upstream: string): Promise<FailingProxy> {
    const proxy = new FailingProxy(new URL(upstream));
    await proxy.comeUp();
    return proxy;
  }

  get address(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async comeUp(): Promise<void> {
    this.#port = await listenOnLoopback(this.#server, this.#port);
  }

  async goDown(): Promise<void> {
    await closeAtOnce(this.#server);
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    this.requests += 1;
    const fault = this.faults.take((incoming.url ?? '').replace(/^\/v1\//, ''));
    if (fault !== undefined && !(await inflict(fault, response))) return;
    const send = this.#upstream.protocol === 'https:' ? tlsRequest : plainRequest;
    const headers = { ...incoming.headers, host: this.#upstream.host };
    const outgoing = send(new URL(incoming.url ?? '/', this.#upstream), { method: incoming.method, headers });
    outgoing.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
      const { onAnswered } = this;
      if (onAnswered === undefined) return;
      let body = '';
      answer.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.once('finish', () => onAnswered(body));
    });
    outgoing.on('error', () => response.destroy());
    incoming.pipe(outgoing);
  }
}
