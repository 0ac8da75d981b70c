import { type CredentialCache, type SecretFields, VALUE } from '../cache/credential-cache.ts';
import type { CredentialConfig } from '../config/config.ts';
import { findExpiry } from '../credential/expiry.ts';
import { decodeJwt } from '../credential/jwt.ts';
import { toKey } from '../credential/key.ts';
import type { KeyVersion } from '../credential/key-version.ts';
import type { Lease } from '../credential/lease.ts';
import type { SecretBytes } from '../credential/secret-bytes.ts';
import { selectField, walk } from '../credential/select-fields.ts';
import { ProviderError } from '../errors.ts';
import type { IssuedLease, IssuedSecret } from '../providers/provider.ts';

/** When the request was made that a secret came from. */
export interface RequestTime {
  /** Start, on the steady clock. */
  readonly startedAtMs: number;
  /** The wall clock at the start: used where the provider does not tell its own time. */
  readonly wallMs: number;
}

/** A key ready to be sealed; the receiver wipes `secrets`. */
export interface Reading {
  readonly key: KeyVersion;
  readonly secrets: SecretFields;
}

/**
 * Turns what a provider answered into the key that a credential wants from it.
 * @throws ProviderError `misconfigured` if there is no such field or its value is no key.
 */
export function readKey(
  credential: CredentialConfig,
  sourceFingerprint: string,
  secret: IssuedSecret,
  time: RequestTime,
  digestOf: CredentialCache['digest'],
): Reading {
  const secrets = selectSecrets(credential, secret);
  const value = secrets.get(VALUE);
  const jwt = value === undefined ? undefined : decodeJwt(value.bytes);
  const { content } = secret;
  const field =
    credential.expiresField !== undefined && content.kind === 'json'
      ? walk(content.json, credential.expiresField)
      : undefined;
  const ttlMs = secret.ttlHintMs === undefined ? credential.ttlMs : Math.min(credential.ttlMs, secret.ttlHintMs);
  const key: KeyVersion = {
    credential: credential.name,
    sourceFingerprint,
    version: secret.version,
    digest: digestOf(secrets),
    issuedAtMs: time.startedAtMs,
    confirmedAtMs: time.startedAtMs,
    ...findExpiry({
      requestedAtMs: time.startedAtMs,
      serverNowMs: secret.serverTimeMs ?? time.wallMs,
      jwtExpiresAtMs: jwt?.expiresAtMs,
      providerExpiresAtMs: secret.expiresAtServerMs,
      field,
    }),
    ttlMs,
    lease: secret.lease && startLease(secret.lease, time.startedAtMs),
    isJwt: jwt !== undefined,
  };
  return { key, secrets };
}

/** A lease runs from the start of the request: the broker's view of it ends before the provider's does. */
export function startLease(lease: IssuedLease, startedAtMs: number): Lease {
  return {
    id: lease.id,
    issuedAtMs: startedAtMs,
    expiresAtMs: startedAtMs + lease.durationMs,
    renewable: lease.renewable,
    maxExpiresAtMs: lease.maxDurationMs === undefined ? undefined : startedAtMs + lease.maxDurationMs,
    loginId: lease.loginId,
  };
}

function selectSecrets(credential: CredentialConfig, { content }: IssuedSecret): SecretFields {
  if (content.kind === 'text') {
    const wanted = credential.field ?? (credential.fields && Object.values(credential.fields)[0]);
    if (wanted !== undefined) {
      throw new ProviderError('misconfigured', `the secret is plain text, so it has no field "${wanted}"`, {
        remedy: 'remove `field` from the credential, or store the secret as a JSON object',
      });
    }
    return new Map([[VALUE, toKey(content.text.bytes, 'the secret')]]);
  }
  const wanted = Object.entries(credential.fields ?? { [VALUE]: credential.field });
  const secrets = new Map<string, SecretBytes>();
  try {
    for (const [name, path] of wanted) {
      const { value, origin } = selectField(content.json, path);
      secrets.set(name, toKeyFromText(value, origin));
    }
  } catch (fault) {
    wipe(secrets);
    throw fault;
  }
  return secrets;
}

function toKeyFromText(text: string, origin: string): SecretBytes {
  const raw = Buffer.from(text, 'utf8');
  try {
    return toKey(raw, origin);
  } finally {
    raw.fill(0);
  }
}

export function wipe(secrets: SecretFields): void {
  for (const secret of secrets.values()) secret.wipe();
}
