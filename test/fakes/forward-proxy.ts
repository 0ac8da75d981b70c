import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { listenOnLoopback, loopbackAddress } from './loopback.ts';

export interface ForwardProxy {
  readonly address: string;
  /** `host:port` of every CONNECT, and the URL of every plain request, in order. */
  readonly asked: string[];
}

/**
 * A company's proxy on a loopback port: tunnels TLS, forwards plain HTTP. Ends with the test.
 * @param names hosts that only it can resolve, and where they are. @param onEnd a concurrent test's own.
 */
export async function startForwardProxy(
  names: Readonly<Record<string, string>> = {},
  onEnd: (close: () => void) => void = onTestFinished,
): Promise<ForwardProxy> {
  const asked: string[] = [];
  const open = new Set<Socket>();
  const server = createServer((incoming, response) => forward(incoming, response, asked, names));
  server.on('connect', (incoming, client: Socket) => {
    asked.push(incoming.url ?? '');
    const [host, port] = (incoming.url ?? '').split(':');
    const upstream = connect(Number(port), names[host ?? ''] ?? host ?? '', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      upstream.pipe(client).pipe(upstream);
    });
    for (const socket of [upstream, client]) socket.on('error', () => upstream.destroy());
    client.on('close', () => upstream.destroy());
    open.add(client);
  });
  await listenOnLoopback(server);
  onEnd(() => {
    for (const client of open) client.destroy();
    server.closeAllConnections();
    server.close();
  });
  return { address: loopbackAddress(server), asked };
}

function forward(
  incoming: IncomingMessage,
  response: ServerResponse,
  asked: string[],
  names: Readonly<Record<string, string>>,
): void {
  asked.push(incoming.url ?? '');
  const { method, headers } = incoming;
  const url = new URL(incoming.url ?? '');
  url.hostname = names[url.hostname] ?? url.hostname;
  const outgoing = request(url, { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  outgoing.on('error', () => response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad Gateway</h1>'));
  incoming.pipe(outgoing);
}
