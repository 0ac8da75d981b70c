import { SecretBytes } from '../../credential/secret-bytes.ts';
import type { VaultClient, VaultReply } from './client.ts';

/** Redeems a wrapping token, which works once. */
export async function unwrap(wrappingToken: string, client: VaultClient, signal: AbortSignal): Promise<VaultReply> {
  using token = SecretBytes.fromString(wrappingToken);
  return await client.send({ what: 'unwrap', method: 'POST', path: 'sys/wrapping/unwrap', token }, signal);
}
