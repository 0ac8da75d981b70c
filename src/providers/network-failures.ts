import { type FailureKind, ProviderError } from '../errors.ts';
import { isCertificateFailure } from './certificate-failures.ts';

interface Row {
  readonly what: string;
  readonly remedy: string;
  readonly kind?: FailureKind;
}

const DNS = 'check the address in the configuration and whether this machine needs a VPN or a proxy';
/** What to do about an address that cannot be reached. */
export const ROUTE = 'check the network, the VPN, and HTTPS_PROXY and NO_PROXY as the daemon has them';
const TRUST =
  'if a proxy of your company signs with its own authority, name its certificate with ca_file in the provider; ' +
  'if you are in a public network, log in to it first';
const ADDRESS = 'correct the address in the configuration: scheme (http or https), host and port';

/**
 * Node's codes for what can go wrong below HTTP. A certificate that is not trusted is transient, not a fault of the
 * configuration: the usual cause is a network that intercepts (a café, a train), and the key at hand is none the worse.
 */
const ROWS: Readonly<Record<string, Row>> = {
  ENOTFOUND: { what: 'its name does not exist in DNS', remedy: DNS },
  EAI_AGAIN: { what: 'DNS does not answer', remedy: DNS },
  ECONNREFUSED: { what: 'the connection was refused', remedy: ROUTE },
  ECONNRESET: { what: 'the connection was reset', remedy: ROUTE },
  ECONNABORTED: { what: 'the connection was cut off', remedy: ROUTE },
  EPIPE: { what: 'the connection was cut off', remedy: ROUTE },
  ERR_STREAM_PREMATURE_CLOSE: { what: 'the answer was cut off', remedy: ROUTE },
  HPE_INVALID_CONSTANT: { what: 'the answer was no HTTP', remedy: ADDRESS },
  ETIMEDOUT: { what: 'the connection timed out', remedy: ROUTE },
  EHOSTUNREACH: { what: 'there is no route to it', remedy: ROUTE },
  ENETUNREACH: { what: 'there is no network', remedy: ROUTE },
  ERR_PROXY_TUNNEL: { what: 'the proxy refused to connect to it', remedy: ROUTE },
  EPROTO: { what: 'it does not speak TLS as expected', remedy: ADDRESS },
  ERR_SSL_WRONG_VERSION_NUMBER: { what: 'it does not speak TLS', remedy: ADDRESS },
  ERR_SSL_PACKET_LENGTH_TOO_LONG: { what: 'it does not speak TLS', remedy: ADDRESS },
  CERT_HAS_EXPIRED: {
    what: 'its certificate has expired',
    remedy: 'check the clock of this machine; else its owner has to renew it',
  },
  CERT_NOT_YET_VALID: { what: 'its certificate is not valid yet', remedy: 'check the clock of this machine' },
  ERR_TLS_CERT_ALTNAME_INVALID: { what: 'its certificate is for another name', remedy: TRUST },
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: { what: 'its certificate is signed by an unknown authority', remedy: TRUST },
  UNABLE_TO_GET_ISSUER_CERT: { what: 'its certificate is signed by an unknown authority', remedy: TRUST },
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: { what: 'its certificate is signed by an unknown authority', remedy: TRUST },
  SELF_SIGNED_CERT_IN_CHAIN: { what: 'its certificate is signed by an unknown authority', remedy: TRUST },
  DEPTH_ZERO_SELF_SIGNED_CERT: { what: 'its certificate is self-signed', remedy: TRUST },
};

/** The failure for an error below HTTP, or undefined if it is none. `who` is whom nobody could reach. */
export function networkFailure(error: unknown, who: string): ProviderError | undefined {
  const code = networkCode(error);
  if (code === undefined) return undefined;
  const { what, remedy, kind } = ROWS[code] ?? { what: 'TLS failed', remedy: ADDRESS };
  return new ProviderError(kind ?? 'transient', `${who} cannot be reached: ${what} (${code})`, { remedy });
}

/**
 * A library's error may hide the system's as a cause, or several of them (one per address) in an AggregateError.
 * Undefined if it is none below HTTP. Which certificate it was, certificate-failures.ts can tell.
 */
export function networkCode(error: unknown, depth = 0): string | undefined {
  if (!(error instanceof Error) || depth > 5) return undefined;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (code in ROWS || isCertificateFailure(code) || /^ERR_(SSL|TLS)_[A-Z0-9_]+$/.test(code)) return code;
  const inner = error instanceof AggregateError ? error.errors[0] : error.cause;
  return networkCode(inner, depth + 1);
}
