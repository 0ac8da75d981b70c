import type { Login } from '../credential/lease.ts';
import { SecretBytes } from '../credential/secret-bytes.ts';
import type { Clock } from '../platform/clock.ts';
import type { ConfigReport, LoginReport, RotationReport, RotationRequest } from '../protocol/administration.ts';
import type { Exchange } from './connection.ts';
import type { ServerLimits } from './limits.ts';
import { sendJson } from './reply.ts';
import { RouteError } from './routes.ts';

/** What a person may do to the daemon itself. Rejects and throws BrokerErrors only. */
export interface Administration {
  config(): ConfigReport;
  rotateKey(request: RotationRequest): Promise<RotationReport>;
  /** Takes over a login to this provider. Copies the token; the caller wipes it. */
  takeLogin(provider: string, token: SecretBytes): Promise<Login>;
}

/** `POST /v1/providers/{name}/login`: the one request with a body, the token and nothing else. */
export async function takeLogin(
  administration: Administration,
  { clock, limits }: { readonly clock: Clock; readonly limits: ServerLimits },
  exchange: Exchange,
  provider: string,
): Promise<void> {
  using token = await readToken(exchange, clock, limits);
  const login = await administration.takeLogin(provider, token);
  const { expiresAtMs, renewable } = login;
  const expiresAt = expiresAtMs === undefined ? null : new Date(expiresAtMs - clock.now() + clock.wall()).toISOString();
  sendJson(exchange.response, 200, { provider, expiresAt, renewable } satisfies LoginReport);
}

const TOKEN = /^[\x21-\x7e]+$/;

/** Only with a length: a body without one, or with too great a one, is answered unread. */
async function readToken({ request, response }: Exchange, clock: Clock, limits: ServerLimits): Promise<SecretBytes> {
  // Whatever is left of a body that was refused ends with the connection.
  response.shouldKeepAlive = false;
  const length = Number(request.headers['content-length']);
  if (!(length > 0)) throw new RouteError(400, 'there is no body', 'send the token of the login as text/plain');
  if (length > limits.tokenBytes) throw new RouteError(413, 'the token is too long', 'send the token and nothing else');
  const late = clock.after(limits.silentMs, () => request.destroy());
  const bytes = Buffer.alloc(length);
  let at = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      at += chunk.copy(bytes, at);
      chunk.fill(0);
    }
    const token = SecretBytes.from(Buffer.from(bytes.subarray(0, bytes.at(-1) === 0x0a ? at - 1 : at)));
    if (TOKEN.test(token.bytes.toString('latin1'))) return token;
    token.wipe();
    throw new RouteError(400, 'the body is no token', 'send the token of the login as text/plain, and nothing else');
  } finally {
    late.cancel();
    bytes.fill(0);
  }
}
