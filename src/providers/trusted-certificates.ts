import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { ProviderError } from '../errors.ts';

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

function readCertificates(file: string, provider: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw new ProviderError('misconfigured', `the ca_file ${file} of provider "${provider}" cannot be read (${code})`, {
      remedy: `correct ca_file in [providers.${provider}], or make the file readable for you`,
    });
  }
  if (!text.includes('-----BEGIN CERTIFICATE-----')) {
    throw new ProviderError('misconfigured', `the ca_file ${file} of provider "${provider}" holds no PEM certificate`, {
      remedy: `convert it with: openssl x509 -inform der -in ${file} -out ${file}.pem`,
    });
  }
  return text;
}
