import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { makeCertificate } from './certificates.ts';
import { closeAtOnce, listenOnLoopback, loopbackAddress } from './loopback.ts';

/** The one call of a Kubernetes cluster that Vault's kubernetes method makes: whose token is this? */
export class TokenReviews {
  readonly account = 'claude';
  /** Of the one pod there is. */
  readonly jwt: string;
  /** With which Vault itself comes. */
  readonly reviewer: string;
  /** In PEM. Nothing is signed by it: the cluster is spoken to over plain HTTP. */
  readonly authority = authority();
  readonly #server = createServer(async (request, response) => {
    const { spec } = (await json(request)) as Review;
    const authenticated = spec?.token === this.jwt;
    const user = { username: `system:serviceaccount:default:${this.account}`, uid: UID, groups: [] };
    const audiences = spec?.audiences ?? [];
    const status = authenticated
      ? { authenticated, user, audiences }
      : { authenticated, error: 'invalid bearer token' };
    response.writeHead(201, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', status }));
  });

  private constructor() {
    this.jwt = serviceAccountToken(this.account);
    this.reviewer = serviceAccountToken('vault');
  }

  static async start(): Promise<TokenReviews> {
    const cluster = new TokenReviews();
    await listenOnLoopback(cluster.#server);
    return cluster;
  }

  get address(): string {
    return loopbackAddress(this.#server);
  }

  stop(): Promise<void> {
    return closeAtOnce(this.#server);
  }
}

function authority(): string {
  const folder = mkdtempSync(join(tmpdir(), 'broker-cluster-'));
  try {
    return String(makeCertificate(folder, 'ca', { commonName: 'kubernetes', isAuthority: true }).cert);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Review {
  readonly spec?: { readonly token?: string; readonly audiences?: readonly string[] };
}

const UID = '8c5f6b3a-1d2e-4f3a-9b8c-7d6e5f4a3b2c';

/** In the form of a projected one. Nobody but the cluster looks at its signature. */
function serviceAccountToken(account: string): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: 'https://kubernetes.default.svc',
    sub: `system:serviceaccount:default:${account}`,
    aud: ['https://kubernetes.default.svc'],
    iat: now,
    nbf: now,
    exp: now + 3_600,
    'kubernetes.io': { namespace: 'default', serviceaccount: { name: account, uid: UID } },
  };
  const parts = [{ alg: 'RS256', kid: '1' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  return [...parts, randomBytes(256).toString('base64url')].join('.');
}
