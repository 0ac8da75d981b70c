import { request } from 'node:https';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { ProviderError } from '../../errors.ts';
import type { Connection } from './connection.ts';
import type { Place } from './unreachable.ts';

const UNKNOWN_ISSUER = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_UNTRUSTED',
  'CERT_SIGNATURE_FAILURE',
  'INVALID_CA',
]);
const OUT_OF_DATE = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']);

export function isCertificateFailure(code: string): boolean {
  return (
    UNKNOWN_ISSUER.has(code) ||
    OUT_OF_DATE.has(code) ||
    code === 'DEPTH_ZERO_SELF_SIGNED_CERT' ||
    code === 'ERR_TLS_CERT_ALTNAME_INVALID' ||
    code.startsWith('CERT_')
  );
}

/**
 * Says which certificate was presented: the quickest way to see that a proxy, or another server, is answering.
 * Transient, as in ../network-failures.ts: the usual cause is a network that intercepts, and passes.
 */
export function certificateFailure(code: string, place: Place, presented: PeerCertificate | undefined): ProviderError {
  const { what, remedy } = explain(code, place, presented);
  const shown = presented === undefined ? '' : `; presented: ${describe(presented)}`;
  return new ProviderError('transient', `the certificate of Vault at ${place.address} ${what} (${code})${shown}`, {
    remedy,
  });
}

/**
 * Asks the server once more for its certificate only, trusting it for nothing: no token is sent, and an answer is not
 * waited for. Undefined if it cannot be had within the signal's time.
 */
export function presentedCertificate(
  connection: Connection,
  address: string,
  signal: AbortSignal,
): Promise<PeerCertificate | undefined> {
  return new Promise((resolve) => {
    const agent = connection.inspectionAgent();
    const probe = request(`${address}/v1/sys/health`, { method: 'HEAD', agent, signal });
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

function explain(code: string, place: Place, presented: PeerCertificate | undefined): { what: string; remedy: string } {
  const table = `[providers.${place.provider}]`;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const names = presented?.subjectaltname?.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 80) ?? 'other names';
    return { what: `is for ${names}`, remedy: `write that name in address, or as tls_server_name, in ${table}` };
  }
  const authority = `name the authority's PEM file as ca_file in ${table}; in a public network, sign in to it first`;
  if (code === 'DEPTH_ZERO_SELF_SIGNED_CERT') return { what: 'is self-signed and not trusted', remedy: authority };
  if (!OUT_OF_DATE.has(code)) return { what: 'comes from an unknown authority', remedy: authority };
  const what = code === 'CERT_HAS_EXPIRED' ? 'has expired' : 'is not valid yet';
  return { what, remedy: "check this machine's date; else have the certificate renewed by Vault's operators" };
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
