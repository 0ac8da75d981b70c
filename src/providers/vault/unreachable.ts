import { ProviderError } from '../../errors.ts';
import { networkFailure } from '../network-failures.ts';

/** What a message may say about where and whom: the configured names, never anything from the wire. */
export interface Place {
  readonly provider: string;
  readonly address: string;
}

/** The failure for a request that got no answer. `error` is only read for its code: it may hold token and body. */
export function unreachable(error: unknown, place: Place): ProviderError {
  const who = `Vault at ${place.address}`;
  const code = codeOf(error);
  if (code === 'ENOENT' || code === 'EACCES') {
    const what = code === 'ENOENT' ? 'there is no such socket' : 'the socket is closed to you';
    return new ProviderError('transient', `${who} cannot be reached: ${what} (${code})`, {
      remedy: `see whether Vault Agent or Proxy listens there, or correct address in [providers.${place.provider}]`,
    });
  }
  if (code.startsWith('HPE_')) return networkFailure(withCode('HPE_INVALID_CONSTANT'), who) ?? cutOff(place);
  return networkFailure(error, who) ?? cutOff(place);
}

export function cutOff({ address }: Place): ProviderError {
  return new ProviderError('transient', `the answer of Vault at ${address} was cut off`, {
    remedy: 'nothing if it passes; else see whether Vault and the network between are up',
  });
}

export function tooLarge({ address, provider }: Place): ProviderError {
  return new ProviderError('transient', `what answers at ${address} sent over 1 MiB, which Vault never does`, {
    remedy: `check address in [providers.${provider}]; a proxy may be answering in its place`,
  });
}

/** Node's code; an error of several addresses (happy eyeballs) carries that of the last one. */
export function codeOf(error: unknown): string {
  for (const each of [error, (error as { cause?: unknown } | null | undefined)?.cause]) {
    const code = (each as { code?: unknown } | null | undefined)?.code;
    if (typeof code === 'string' && /^\w{1,64}$/.test(code)) return code;
  }
  return '';
}

function withCode(code: string): Error {
  return Object.assign(new Error(code), { code });
}
