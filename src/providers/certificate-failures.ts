import { type Agent, request } from 'node:https';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { ProviderError } from '../errors.ts';

/** Who was spoken to, and who may mend it. */
export interface Contacted {
  /** As in `the certificate of Vault at https://vault.example.com`. */
  readonly who: string;
  /** What to do about an authority that is not known. */
  readonly authorityRemedy: string;
  /** What to do about a certificate for another name. */
  readonly nameRemedy: string;
  /** Whoever has to renew the certificate. */
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
 * Says which certificate was presented: the quickest way to see that a proxy, or another server, is answering.
 * Transient, as in network-failures.ts: the usual cause is a network that intercepts, and passes.
 */
export function certificateFailure(
  code: string,
  contacted: Contacted,
  presented: PeerCertificate | undefined,
): ProviderError {
  const { what, remedy } = explain(code, contacted, presented);
  const shown = presented === undefined ? '' : `; presented: ${describe(presented)}`;
  return new ProviderError('transient', `the certificate of ${contacted.who} ${what} (${code})${shown}`, { remedy });
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
    const names = presented?.subjectaltname?.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 80) ?? 'other names';
    return { what: `is for ${names}`, remedy: nameRemedy };
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
    return String(Array.isArray(value) ? value[0] : value)
      .replaceAll(/[^\x20-\x7e]/g, '?')
      .slice(0, 48);
  };
  return `"${name(certificate.subject)}" from "${name(certificate.issuer)}", until ${certificate.valid_to}`;
}
