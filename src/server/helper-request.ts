import { DEFAULT_CREDENTIAL } from '../protocol/headers.ts';
import type { KeyRequest } from './key-answer.ts';

/** Longer than any helper's; what is longer is somebody else's. */
const LONGEST = 1_024;

/** native/broker-key.c, `write_request`, byte for byte. */
const REQUEST = new RegExp(
  [
    '^GET /v1/credentials/(_default|[A-Za-z0-9][A-Za-z0-9._-]{0,63})/key(?:\\?format=([a-z]{1,16}))? HTTP/1\\.1',
    'Host: broker',
    'Accept: text/plain',
    'Connection: close',
    'User-Agent: broker-key/[!-~]{1,64}',
    'Broker-Client-Interval-Ms: (\\d{1,15})(?:\\r\\nBroker-Client-Hints: ([a-z0-9=, -]{1,512}))?',
    '',
    '$',
  ].join('\\r\\n'),
);

/**
 * The whole request of a helper of this version, alone in its packet. undefined: anything else, which may be good HTTP
 * all the same.
 */
export function readHelperRequest(packet: Buffer): KeyRequest | undefined {
  if (packet.length > LONGEST) return undefined;
  const [, name, format = 'raw', interval, hints] = REQUEST.exec(packet.toString('latin1')) ?? [];
  if (name === undefined) return undefined;
  return { credential: name === DEFAULT_CREDENTIAL ? undefined : name, format, interval, hints };
}
