import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent, type RequestOptions } from 'node:https';
import { createSecureContext, type PeerCertificate } from 'node:tls';
import { presentedCertificate } from '../certificate-failures.ts';
import type { ProviderHost } from '../definition.ts';
import { proxyVariables } from '../proxy-variables.ts';
import { trustedCertificates } from '../trusted-certificates.ts';
import type { AwsOptions } from './options.ts';

/** Remembers whom it was last sent to: the SDK's errors do not tell the service from STS or SSO. */
class RememberingAgent extends HttpsAgent {
  /** Like `https://sts.eu-west-1.amazonaws.com`. */
  lastOrigin: string | undefined;

  override createConnection(...args: Parameters<HttpsAgent['createConnection']>) {
    const { host, port } = args[0] as RequestOptions;
    const name = String(host).includes(':') ? `[${host}]` : host;
    this.lastOrigin = Number(port) === 443 ? `https://${name}` : `https://${name}:${port}`;
    return super.createConnection(...args);
  }
}

/** How AWS is reached. No connection is kept: reads are minutes apart, and an idle socket would only wake the daemon. */
export class AwsAgents {
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: RememberingAgent;
  readonly #proxyEnv: Readonly<Record<string, string | undefined>>;

  /** @throws ProviderError misconfigured if `ca_file` cannot be used. */
  constructor(options: AwsOptions, host: ProviderHost) {
    const proxyEnv = proxyVariables(host);
    const ca = trustedCertificates(options.ca_file, host.name);
    this.#proxyEnv = proxyEnv;
    this.httpAgent = new HttpAgent({ proxyEnv });
    this.httpsAgent = new RememberingAgent({
      proxyEnv,
      ...(ca === undefined ? {} : { secureContext: createSecureContext({ ca }) }),
    });
  }

  /** Who was spoken to last over TLS, and what it shows for a certificate; nothing of ours is sent there. */
  async inspect(
    signal: AbortSignal,
  ): Promise<{ readonly origin: string; readonly presented: PeerCertificate | undefined }> {
    const origin = this.httpsAgent.lastOrigin ?? 'an unknown address';
    if (this.httpsAgent.lastOrigin === undefined) return { origin, presented: undefined };
    const agent = new HttpsAgent({ proxyEnv: this.#proxyEnv, rejectUnauthorized: false });
    return { origin, presented: await presentedCertificate(origin, agent, signal) };
  }
}
