import { createHash, createPrivateKey, type KeyObject, webcrypto, X509Certificate } from 'node:crypto';
import * as oidc from 'openid-client';
import { expandHome } from '../../config/paths.ts';
import { ProviderError } from '../../errors.ts';
import { readLoginInput } from '../login-input-reader.ts';
import { readPem } from '../network.ts';
import type { ProviderHost } from '../provider.ts';
import type { OAuth2Options } from './options.ts';

/** How the broker shows who it is, in one request. */
export interface ShownIdentity {
  readonly apply: oidc.ClientAuth;
  /** For messages; undefined: it shows nothing. */
  readonly origin: string | undefined;
  /** The version of the credential that it is from, if it is from one. */
  readonly version: string | undefined;
  readonly secrets: readonly string[];
}

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/**
 * Reads everything again, so that a rotated secret is taken up.
 *
 * @param taken the methods that the server takes, if it tells.
 * @param refused the version of a credential whose key was not accepted.
 */
export async function showIdentity(
  options: OAuth2Options,
  host: ProviderHost,
  taken: readonly string[] | undefined,
  signal: AbortSignal,
  refused?: string,
): Promise<ShownIdentity> {
  const { client_id, client_secret, client_assertion, private_key_file, client_auth } = options;
  if (client_secret !== undefined) {
    const method = client_auth ?? (takesBasic(taken) ? 'basic' : 'post');
    const { text, origin, version } = await secretOf(client_secret, host, signal, refused);
    const apply = method === 'basic' ? oidc.ClientSecretBasic(text) : oidc.ClientSecretPost(text);
    return { apply, origin, version, secrets: [text, encodeURIComponent(text)] };
  }
  if (private_key_file !== undefined) {
    return {
      apply: await signedBy(private_key_file, options, host),
      origin: `the key in ${private_key_file}`,
      version: undefined,
      secrets: [],
    };
  }
  if (client_assertion !== undefined) {
    const { secret, origin, version } = await readLoginInput(
      client_assertion,
      'client assertion',
      host,
      signal,
      refused,
    );
    const assertion = secret.reveal();
    secret.wipe();
    return { apply: withAssertion(assertion), origin, version, secrets: [assertion] };
  }
  const byCertificate = client_auth === 'tls' || (client_auth === undefined && options.client_cert_file !== undefined);
  if (byCertificate) {
    const origin = `the certificate ${options.client_cert_file}`;
    return { apply: oidc.TlsClientAuth(), origin, version: undefined, secrets: [] };
  }
  // An exchange may need no client at all.
  const apply: oidc.ClientAuth = client_id === undefined ? () => undefined : oidc.None();
  return { apply, origin: undefined, version: undefined, secrets: [] };
}

/** RFC 6749 section 2.3.1: every server with client secrets takes it, unless it says that it does not. */
function takesBasic(taken: readonly string[] | undefined): boolean {
  return taken === undefined || taken.includes('client_secret_basic') || !taken.includes('client_secret_post');
}

async function secretOf(
  input: NonNullable<OAuth2Options['client_secret']>,
  host: ProviderHost,
  signal: AbortSignal,
  refused: string | undefined,
) {
  if (typeof input === 'string')
    return { text: input, origin: `client_secret in [providers.${host.name}]`, version: undefined };
  const { secret, origin, version } = await readLoginInput(input, 'client secret', host, signal, refused);
  const text = secret.reveal();
  secret.wipe();
  return { text, origin, version };
}

function withAssertion(assertion: string): oidc.ClientAuth {
  return (_server, client, body) => {
    body.set('client_id', client.client_id);
    body.set('client_assertion_type', ASSERTION_TYPE);
    body.set('client_assertion', assertion);
  };
}

/** RFC 7523 section 2.2, signed anew for every request. */
async function signedBy(file: string, options: OAuth2Options, host: ProviderHost): Promise<oidc.ClientAuth> {
  const { private_key_id, private_key_cert_file, client_assertion_audience } = options;
  const thumbprints = private_key_cert_file === undefined ? undefined : thumbprintsOf(private_key_cert_file, host);
  const key = await importKey(file, options.private_key_algorithm, host);
  const named = private_key_id === undefined ? key : { key, kid: private_key_id };
  return oidc.PrivateKeyJwt(named, {
    [oidc.modifyAssertion]: (header, payload) => {
      // Entra ID knows the older one by its first documentation, the newer one by its second.
      if (thumbprints !== undefined) Object.assign(header, thumbprints);
      if (client_assertion_audience !== undefined) payload['aud'] = client_assertion_audience;
    },
  });
}

const IMPORTED_AS = {
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  ES384: { name: 'ECDSA', namedCurve: 'P-384' },
  EdDSA: { name: 'Ed25519' },
} as const;

async function importKey(
  file: string,
  wanted: OAuth2Options['private_key_algorithm'],
  host: ProviderHost,
): Promise<webcrypto.CryptoKey> {
  const pem = readPem(expandHome(file, host.homeDir));
  if (typeof pem === 'string') throw unusable(file, pem, host);
  try {
    const key = createPrivateKey(pem);
    const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
    const algorithm = IMPORTED_AS[wanted ?? usualFor(key)];
    const imported = await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']);
    pkcs8.fill(0);
    return imported;
  } catch {
    // Of the library's error nothing is kept: some hold parts of the key.
    throw unusable(
      file,
      wanted === undefined ? 'is not a private key without a passphrase, in PEM' : `has no key for ${wanted}`,
      host,
    );
  } finally {
    pem.fill(0);
  }
}

function usualFor({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): keyof typeof IMPORTED_AS {
  if (asymmetricKeyType === 'ed25519') return 'EdDSA';
  if (asymmetricKeyType === 'rsa-pss') return 'PS256';
  if (asymmetricKeyType === 'ec') return asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'ES384' : 'ES256';
  return 'RS256';
}

function thumbprintsOf(file: string, host: ProviderHost): Readonly<Record<string, string>> {
  const pem = readPem(expandHome(file, host.homeDir));
  if (typeof pem === 'string') throw unusable(file, pem, host);
  try {
    const { raw } = new X509Certificate(pem);
    const digest = (algorithm: string) => createHash(algorithm).update(raw).digest('base64url');
    return { x5t: digest('sha1'), 'x5t#S256': digest('sha256') };
  } catch {
    throw unusable(file, 'is not a certificate in PEM', host);
  }
}

function unusable(file: string, fault: string, { name }: ProviderHost): ProviderError {
  return new ProviderError('misconfigured', `the file ${file} of provider "${name}" ${fault}`, {
    remedy: `correct it, or the key that names it in [providers.${name}]`,
    concerns: 'login',
  });
}
