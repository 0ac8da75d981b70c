import { readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { createSecureContext, type SecureContext } from 'node:tls';
import { ProviderError } from '../../errors.ts';
import type { ProviderHost } from '../definition.ts';
import { proxyVariables } from '../proxy-variables.ts';
import { trustedCertificates } from '../trusted-certificates.ts';
import type { VaultOptions } from './options.ts';
import { expandHome } from './secret-file.ts';

/** Sockets stay open this long between requests: a burst of reads shares one handshake, an idle daemon holds none. */
const IDLE_SOCKET_MS = 10_000;
const MOST_SOCKETS = 16;

/** How Vault is reached: made once per login epoch, so that a changed CA or certificate file is read anew. */
export interface Connection {
  /** What node-vault is given: for a Unix socket a host name that is never resolved. */
  readonly endpoint: string;
  readonly socketPath: string | undefined;
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: HttpsAgent;
  /** For looking at the certificate of a server that was not trusted. Never carries a token. */
  readonly inspectionAgent: () => HttpsAgent;
  close(): void;
}

/** @throws ProviderError misconfigured if a certificate or key file cannot be read or used. */
export function openConnection(options: VaultOptions, host: ProviderHost): Connection {
  const socketPath = options.address.startsWith('unix:') ? decodeURI(new URL(options.address).pathname) : undefined;
  const proxyEnv = proxyVariables(host);
  const pool = { keepAlive: true, timeout: IDLE_SOCKET_MS, maxSockets: MOST_SOCKETS, proxyEnv };
  const servername = options.tls_server_name === undefined ? {} : { servername: options.tls_server_name };
  const isHttps = options.address.startsWith('https:');
  const secureContext = isHttps ? contextOf(options, host) : undefined;
  const tls = {
    ...(secureContext === undefined ? {} : { secureContext }),
    ...servername,
    rejectUnauthorized: !options.skip_verify,
  };
  const httpAgent = new HttpAgent(pool);
  const httpsAgent = new HttpsAgent({ ...pool, ...tls });
  return {
    endpoint: socketPath === undefined ? options.address : 'http://localhost',
    socketPath,
    httpAgent,
    httpsAgent,
    inspectionAgent: () => new HttpsAgent({ proxyEnv, ...servername, rejectUnauthorized: false }),
    close() {
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}

function contextOf(options: VaultOptions, host: ProviderHost): SecureContext {
  const expand = (file: string | undefined) => (file === undefined ? undefined : expandHome(file, host));
  const ca = trustedCertificates(expand(options.ca_file), host.name);
  const cert = expand(options.client_cert_file);
  const key = expand(options.client_key_file);
  try {
    return createSecureContext({
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert: readFileSync(cert) }),
      ...(key === undefined ? {} : { key: readFileSync(key) }),
    });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'not PEM';
    const files = [options.ca_file, options.client_cert_file, options.client_key_file].filter(
      (file) => file !== undefined,
    );
    throw new ProviderError('misconfigured', `the certificates of provider "${host.name}" cannot be used (${code})`, {
      remedy: `check that ${files.join(', ')} exist, are PEM and belong together`,
    });
  }
}
