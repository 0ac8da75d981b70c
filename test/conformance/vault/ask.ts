import type { Ask, Told } from './vault-stage.ts';

/** One request of Vault's HTTP API, straight to the server. */
export async function ask(
  address: string,
  method: string,
  path: string,
  { body, token = '', headers = {} }: Ask,
): Promise<Told> {
  const response = await fetch(`${address}/v1/${path}`, {
    method,
    headers: { ...(token === '' ? {} : { 'x-vault-token': token }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, json: text === '' ? undefined : JSON.parse(text) };
}
