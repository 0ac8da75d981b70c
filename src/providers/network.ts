import { type Agent, request } from 'node:https';
import type { PeerCertificate, SecureContext, TLSSocket } from 'node:tls';
import tls from 'node:tls';
import { expandHome } from '../config/paths.ts';
import { flawOfFileItself } from '../config/safe-file.ts';
import { ProviderError } from '../errors.ts';
import { readRegularFile } from '../platform/files.ts';
import { foreignName } from '../platform/text.ts';
import { IDLE_SOCKET_MS, type ProviderHost } from './provider.ts';
import { proxyEnvironment } from './proxies.ts';

const DNS = 'check the address in the configuration and whether this machine needs a VPN or a proxy';
/** What to do about an address that cannot be reached. */
export const ROUTE = 'check the network, the VPN, and HTTPS_PROXY and NO_PROXY as the daemon has them';
const PROXY =
  'check that proxy: it is `proxy` of the provider, else HTTPS_PROXY or HTTP_PROXY of the daemon (broker config show); proxy = "direct" goes without one';
/** macOS 15 refuses so what a person has not allowed a program of the background. */
const LOCAL_NETWORK =
  'allow node in System Settings, Privacy & Security, Local Network, and restart the daemon: broker service restart; ' +
  'if it is allowed, check the network and the VPN';
const TRUST =
  'if a proxy of your company signs with its own authority, name its certificate with ca_file in the provider; ' +
  'if you are in a public network, log in to it first';
const ADDRESS = 'correct the address in the configuration: scheme (http or https), host and port';

/** Node's codes for what can go wrong below HTTP, but for certificates. */
const ROWS: Readonly<Record<string, readonly [what: string, remedy: string]>> = {
  ENOTFOUND: ['its name does not exist in DNS', DNS],
  EAI_AGAIN: ['DNS does not answer', DNS],
  ECONNREFUSED: ['the connection was refused', ROUTE],
  ECONNRESET: ['the connection was reset', ROUTE],
  ECONNABORTED: ['the connection was cut off', ROUTE],
  EPIPE: ['the connection was cut off', ROUTE],
  ERR_STREAM_PREMATURE_CLOSE: ['the answer was cut off', ROUTE],
  ETIMEDOUT: ['the connection timed out', ROUTE],
  EHOSTUNREACH: ['there is no route to it', ROUTE],
  ENETUNREACH: ['there is no network', ROUTE],
  ERR_PROXY_TUNNEL: ['the proxy refused to connect to it', ROUTE],
  EPROTO: ['it does not speak TLS as expected', ADDRESS],
  ERR_SSL_WRONG_VERSION_NUMBER: ['it does not speak TLS', ADDRESS],
  ERR_SSL_PACKET_LENGTH_TOO_LONG: ['it does not speak TLS', ADDRESS],
};

interface Way {
  /** As proxyUsed() has it. */
  readonly proxy?: string | undefined;
  readonly platform?: NodeJS.Platform;
}

/** The failure for an error below HTTP; undefined for any other error. `who` could not be reached. */
export function networkFailure(
  error: unknown,
  who: string,
  { proxy, platform = process.platform }: Way = {},
): ProviderError | undefined {
  const code = networkCode(error);
  if (code === undefined) return undefined;
  if (isCertificateFailure(code)) {
    return certificateFailure(code, { who, authorityRemedy: TRUST, nameRemedy: TRUST, owner: 'its owner' }, undefined);
  }
  const [what, usual] = ROWS[code] ?? [code.startsWith('HPE_') ? 'the answer was not HTTP' : 'TLS failed', ADDRESS];
  const direct = platform === 'darwin' && code === 'EHOSTUNREACH' && isPrivate(error) ? LOCAL_NETWORK : usual;
  const [way, remedy] = proxy === undefined ? ['', direct] : [` through the proxy ${proxy}`, PROXY];
  const message = `${who} cannot be reached${way}: ${what} (${code})`;
  return new ProviderError('transient', message, { remedy, concerns: 'address' });
}

/** An address of RFC 1918, 3927, 4193 or 4291, as Node writes it: `connect EHOSTUNREACH 192.168.1.7:8200`. */
const PRIVATE = /\b(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|169\.254\.)\d|[\s[]f(?:[cd][0-9a-f]{2}|e80):/i;

function isPrivate(error: unknown, depth = 0): boolean {
  if (!(error instanceof Error) || depth > 5) return false;
  const inner = error instanceof AggregateError ? error.errors[0] : error.cause;
  return PRIVATE.test(error.message) || isPrivate(inner, depth + 1);
}

/**
 * A library's error may hide the system's as a cause, or several of them (one per address) in an AggregateError.
 * Undefined for an error that is not below HTTP. certificateFailure() tells which certificate it was.
 */
export function networkCode(error: unknown, depth = 0): string | undefined {
  if (!(error instanceof Error) || depth > 5) return undefined;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (code in ROWS || isCertificateFailure(code) || /^(HPE|ERR_SSL|ERR_TLS)_[A-Z0-9_]+$/.test(code)) return code;
  const inner = error instanceof AggregateError ? error.errors[0] : error.cause;
  return networkCode(inner, depth + 1);
}

/** Who was spoken to, and what fixes it. */
export interface Contacted {
  /** As in `the certificate of Vault at https://vault.example.com`. */
  readonly who: string;
  /** What to do about an authority that is not known. */
  readonly authorityRemedy: string;
  /** What to do about a certificate for another name. */
  readonly nameRemedy: string;
  /** Who has to renew the certificate. */
  readonly owner: string;
}

const UNKNOWN_ISSUER = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'INVALID_CA',
]);
const OUT_OF_DATE = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']);

export function isCertificateFailure(code: string): boolean {
  return (
    UNKNOWN_ISSUER.has(code) ||
    code === 'DEPTH_ZERO_SELF_SIGNED_CERT' ||
    code === 'ERR_TLS_CERT_ALTNAME_INVALID' ||
    code.startsWith('CERT_')
  );
}

/**
 * Says which certificate was presented: the quickest way to see that a proxy, or another server, is answering. Transient,
 * not a fault of the configuration: the usual cause is a network that intercepts (a café, a train), and the present key
 * is still good.
 */
export function certificateFailure(
  code: string,
  contacted: Contacted,
  presented: PeerCertificate | undefined,
): ProviderError {
  const { what, remedy } = explain(code, contacted, presented);
  const shown = presented === undefined ? '' : `; presented: ${describe(presented)}`;
  const message = `the certificate of ${contacted.who} ${what} (${code})${shown}`;
  return new ProviderError('transient', message, { remedy, concerns: 'address' });
}

/**
 * Asks the server once more for its certificate only, trusting it for nothing: no token is sent, and an answer is not
 * waited for. Undefined if it cannot be had within the signal's time.
 *
 * @param agent One that accepts any certificate; destroyed afterwards.
 */
export function presentedCertificate(
  url: string,
  agent: Agent,
  signal: AbortSignal,
): Promise<PeerCertificate | undefined> {
  return new Promise((resolve) => {
    const probe = request(url, { method: 'HEAD', agent, signal });
    const finish = (certificate: PeerCertificate | undefined) => {
      probe.destroy();
      agent.destroy();
      resolve(certificate);
    };
    probe.on('socket', (socket) => {
      const secure = socket as TLSSocket;
      const read = () => {
        const certificate = secure.getPeerCertificate();
        finish(Object.keys(certificate).length === 0 ? undefined : certificate);
      };
      // A tunnel through a proxy arrives with its handshake done.
      if (secure.getPeerCertificate?.()?.raw !== undefined) read();
      else secure.once('secureConnect', read);
    });
    probe.on('error', () => finish(undefined));
    probe.on('close', () => resolve(undefined));
    probe.end();
  });
}

function explain(
  code: string,
  { authorityRemedy, nameRemedy, owner }: Contacted,
  presented: PeerCertificate | undefined,
): { what: string; remedy: string } {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const names = presented?.subjectaltname;
    return { what: `is for ${names === undefined ? 'other names' : ascii(names, 80)}`, remedy: nameRemedy };
  }
  if (code === 'DEPTH_ZERO_SELF_SIGNED_CERT') {
    return { what: 'is self-signed and not trusted', remedy: authorityRemedy };
  }
  if (!OUT_OF_DATE.has(code)) return { what: 'comes from an unknown authority', remedy: authorityRemedy };
  const what = code === 'CERT_HAS_EXPIRED' ? 'has expired' : 'is not valid yet';
  return { what, remedy: `check this machine's date; else have the certificate renewed by ${owner}` };
}

function describe(certificate: PeerCertificate): string {
  const name = (part: PeerCertificate['subject'] | undefined) => {
    const value = part?.CN ?? part?.O ?? 'unnamed';
    return ascii(String(Array.isArray(value) ? value[0] : value), 48);
  };
  return `"${name(certificate.subject)}" from "${name(certificate.issuer)}", until ${ascii(certificate.valid_to, 32)}`;
}

/** Anybody who stands in between can write anything into a certificate. */
function ascii(text: string, longest: number): string {
  return foreignName(text.replaceAll(/[^\x20-\x7e]/g, '?'), longest);
}

/**
 * The certificate authorities to trust: Node's own, NODE_EXTRA_CA_CERTS, those of the system (where companies put the
 * authority that their proxies sign with), and `caFile`. Node before 22.15 cannot list the first three: there
 * undefined stands for its default, and `caFile` alone for itself.
 *
 * @throws ProviderError misconfigured if `caFile` cannot be read or holds no PEM certificate.
 */
export function trustedCertificates(caFile: string | undefined, provider: string): string[] | undefined {
  const own = caFile === undefined ? [] : [readCertificates(caFile, provider)];
  machineCertificates ??= listMachineCertificates();
  if (machineCertificates === undefined) return caFile === undefined ? undefined : own;
  return [...machineCertificates, ...own];
}

/** Listed once: it takes some 50 ms, and Node itself does not read the stores again. */
let machineCertificates: readonly string[] | undefined;

function listMachineCertificates(): readonly string[] | undefined {
  // Typed as always there, but not in every Node that the package runs on.
  const list = tls.getCACertificates as typeof tls.getCACertificates | undefined;
  return list === undefined ? undefined : [...new Set([...list('default'), ...list('system')])];
}

/** Bundles of every authority there is have some hundred kilobytes. */
const LARGEST_PEM_BYTES = 8 * 1024 * 1024;

/**
 * The bytes of a PEM file, or what is wrong with it in words that follow its name.
 *
 * @throws ProviderError ERR_UNSAFE_FILE if others can write it: it decides who is trusted.
 */
export function readPem(file: string): Buffer | string {
  const reading = readRegularFile(file, { maxBytes: LARGEST_PEM_BYTES });
  if (reading.state === 'read') {
    const flaw = flawOfFileItself(file, process.getuid?.() ?? 0);
    if (flaw === undefined) return reading.bytes;
    const { reason, remedy } = flaw;
    throw new ProviderError('misconfigured', reason, { code: 'ERR_UNSAFE_FILE', remedy, concerns: 'address' });
  }
  return reading.state === 'absent' ? 'cannot be read (ENOENT)' : reading.fault;
}

function readCertificates(file: string, provider: string): string {
  const pem = readPem(file);
  if (typeof pem === 'string') {
    throw new ProviderError('misconfigured', `the ca_file ${file} of provider "${provider}" ${pem}`, {
      remedy: `correct ca_file in [providers.${provider}], or make the file readable for you`,
      concerns: 'address',
    });
  }
  const text = pem.toString('utf8');
  if (!text.includes('-----BEGIN CERTIFICATE-----')) {
    throw new ProviderError('misconfigured', `the ca_file ${file} of provider "${provider}" holds no PEM certificate`, {
      remedy: `convert it with: openssl x509 -inform der -in ${file} -out ${file}.pem`,
      concerns: 'address',
    });
  }
  return text;
}

const MOST_SOCKETS = 16;

/** What the agents of a provider are made with; its proxy is the configuration's, or the daemon's. */
export function agentPool({ proxy }: { readonly proxy?: string | undefined }, { env }: Pick<ProviderHost, 'env'>) {
  return {
    keepAlive: true,
    timeout: IDLE_SOCKET_MS,
    maxSockets: MOST_SOCKETS,
    proxyEnv: proxyEnvironment(proxy, env),
  } as const;
}

/** The files of a provider's own certificates, as its configuration names them. */
export interface CertificateFiles {
  readonly ca_file?: string | undefined;
  readonly client_cert_file?: string | undefined;
  readonly client_key_file?: string | undefined;
}

/** @throws ProviderError misconfigured if a certificate or key file cannot be read or used. */
export function secureContextOf(
  { ca_file, client_cert_file, client_key_file }: CertificateFiles,
  host: Pick<ProviderHost, 'name' | 'homeDir'>,
): SecureContext {
  const unusable = (fault: string) => {
    const files = [ca_file, client_cert_file, client_key_file].filter((file) => file !== undefined);
    return new ProviderError('misconfigured', `the certificates of provider "${host.name}" cannot be used (${fault})`, {
      remedy: `check that ${files.join(', ')} exist, are PEM and belong together`,
      concerns: 'address',
    });
  };
  const read = (file: string) => {
    const pem = readPem(expandHome(file, host.homeDir));
    if (typeof pem === 'string') throw unusable(`${file} ${pem}`);
    return pem;
  };
  const ca = trustedCertificates(ca_file === undefined ? undefined : expandHome(ca_file, host.homeDir), host.name);
  const cert = client_cert_file === undefined ? {} : { cert: read(client_cert_file) };
  const key = client_key_file === undefined ? {} : { key: read(client_key_file) };
  try {
    return tls.createSecureContext({ ...(ca === undefined ? {} : { ca }), ...cert, ...key });
  } catch (error) {
    throw unusable(error instanceof Error && 'code' in error ? String(error.code) : 'not PEM');
  }
}

/**
 * Retry-After in milliseconds, given as seconds or as a date (RFC 9110 section 10.2.3); undefined if it is neither. back-off.ts
 * limits how long a server can silence the broker.
 *
 * @param serverTimeMs The server's own clock. Without it a date says nothing: ours may be off.
 */
export function parseRetryAfter(header: string | undefined, serverTimeMs: number | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d+(?:\.\d+)?$/.test(header)) return Number(header) * 1000;
  // An HTTP-date starts with the day of the week; Date.parse makes a date of much else.
  const then = /^[A-Z][a-z]/.test(header) ? Date.parse(header) : Number.NaN;
  return serverTimeMs === undefined || Number.isNaN(then) ? undefined : Math.max(0, then - serverTimeMs);
}
