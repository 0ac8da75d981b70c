import { type CredentialCache, type SecretFields, VALUE } from '../cache/cache.ts';
import type { CredentialConfig } from '../config/config.ts';
import { decodeJwt, findExpiry } from '../credential/expiry.ts';
import { fieldAt, hasNoFields, selectField } from '../credential/field.ts';
import { type KeyVersion, toKey } from '../credential/key.ts';
import type { Lease } from '../credential/life.ts';
import { type SecretBytes, wipeAll } from '../credential/secret.ts';
import type { Moment } from '../platform/clock.ts';
import { hideShapes, printable } from '../platform/text.ts';
import type { IssuedLease, IssuedSecret } from '../providers/provider.ts';
import type { CredentialSpec } from './credentials.ts';

/** What a provider answered. */
export interface SecretRead {
  readonly secret: IssuedSecret;
  /** When it was asked. The wall clock counts where the provider does not tell its own time. */
  readonly at: Moment;
}

/** The same answer in the hands of one of those who waited for it. The last to let go of it wipes it. */
interface LentRead extends SecretRead, Disposable {
  /** It is the answer to this one's own request. */
  readonly isOwn: boolean;
}

export interface SharedRead {
  readonly answer: Promise<SecretRead>;
  /** How many wait for it or use it. */
  users: number;
}

/**
 * One read for all that want the same secret at the same time. A lease belongs to the one that caused it: the others read
 * again.
 * @param reads those under way, by `readId`.
 * @throws what `read` does.
 */
export async function readOnce(
  reads: Map<string, SharedRead>,
  readId: string,
  read: () => Promise<SecretRead>,
): Promise<LentRead> {
  for (;;) {
    const known = reads.get(readId);
    const isOwn = known === undefined;
    const shared = known ?? { answer: read(), users: 0 };
    if (isOwn) reads.set(readId, shared);
    shared.users += 1;
    try {
      const { secret, at } = await shared.answer;
      const letGo = () => {
        shared.users -= 1;
        if (shared.users === 0 && secret.content.kind === 'text') secret.content.text.wipe();
      };
      if (isOwn || secret.lease === undefined) return { secret, at, isOwn, [Symbol.dispose]: letGo };
      letGo();
    } finally {
      if (isOwn) reads.delete(readId);
    }
  }
}

const LONGEST_VERSION = 128;

/** A key ready to be sealed; the receiver wipes `secrets`. */
interface Reading {
  readonly key: KeyVersion;
  readonly secrets: SecretFields;
}

/**
 * Turns what a provider answered into the key that a credential wants from it.
 * @throws ProviderError `misconfigured` if there is no such field or its value is not a key.
 */
export function keyFromSecret(
  { config: credential, sourceFingerprint }: CredentialSpec,
  { secret, at }: SecretRead,
  cache: CredentialCache,
): Reading {
  const secrets = selectSecrets(credential, secret);
  const value = secrets.get(VALUE);
  const jwt = value === undefined ? undefined : decodeJwt(value.bytes);
  const { content } = secret;
  const field =
    credential.expiresField !== undefined && content.kind === 'json'
      ? fieldAt(content.json, credential.expiresField)
      : undefined;
  const ttlMs = secret.ttlHintMs === undefined ? credential.ttlMs : Math.min(credential.ttlMs, secret.ttlHintMs);
  const key: KeyVersion = {
    credential: credential.name,
    sourceFingerprint,
    // The provider's own words, which are stored in the open.
    version: secret.version === undefined ? undefined : printable(hideShapes(secret.version), LONGEST_VERSION),
    digest: cache.digest(secrets),
    issuedAtMs: at.nowMs,
    confirmedAtMs: at.nowMs,
    ...findExpiry({
      requestedAtMs: at.nowMs,
      serverNowMs: secret.serverTimeMs ?? at.wallMs,
      jwtExpiresAtMs: jwt?.expiresAtMs,
      providerExpiresAtMs: secret.expiresAtServerMs,
      field,
    }),
    ttlMs,
    lease: secret.lease && startLease(secret.lease, at.nowMs),
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
    if (wanted !== undefined) throw hasNoFields(content.text.bytes, wanted);
    return new Map([[VALUE, toKey(content.text.bytes, 'the secret')]]);
  }
  const wanted = Object.entries(credential.fields ?? { [VALUE]: credential.field });
  const secrets = new Map<string, SecretBytes>();
  try {
    for (const [name, path] of wanted) {
      const { value, origin } = selectField(content.json, path);
      const raw = Buffer.from(value, 'utf8');
      try {
        secrets.set(name, toKey(raw, origin));
      } finally {
        raw.fill(0);
      }
    }
  } catch (fault) {
    wipeAll(secrets);
    throw fault;
  }
  return secrets;
}
