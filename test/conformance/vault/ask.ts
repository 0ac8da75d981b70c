import { once } from 'node:events';
import { type IncomingMessage, request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { text } from 'node:stream/consumers';
import type { Ask, Told } from './vault-stage.ts';

/** One request of Vault's HTTP API, straight to the server. `authority`: that signed its certificate. */
export async function ask(
  address: string,
  method: string,
  path: string,
  { body, token = '', headers = {} }: Ask,
  authority?: Buffer,
): Promise<Told> {
  const sent = body === undefined ? undefined : JSON.stringify(body);
  const all = { ...(token === '' ? {} : { 'x-vault-token': token }), ...headers };
  const open = address.startsWith('https:') ? tlsRequest : plainRequest;
  const options = { method, headers: all, agent: false, ...(authority === undefined ? {} : { ca: authority }) };
  const outgoing = open(new URL(`${address}/v1/${path}`), options);
  outgoing.end(sent);
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
  const read = await text(answer);
  return { status: answer.statusCode ?? 0, json: read === '' ? undefined : JSON.parse(read) };
}
