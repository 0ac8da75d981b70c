import { parseExpiryField } from '../../credential/expiry.ts';
import { ProviderError } from '../../errors.ts';
import type { IssuedSecret } from '../provider.ts';
import { isObject, type Json, millisecondsAt, objectAt, serverTimeOf, textAt } from './answer.ts';
import type { VaultReply } from './client.ts';
import { withoutSecret } from './failures.ts';

/**
 * Sorts a good answer by its shape, as nothing else tells the engines apart:
 * data.data with data.metadata.version: KV v2 · a lease_id: a dynamic engine · an auth block: a token · else plain data
 * (KV v1, cubbyhole, OIDC tokens).
 *
 * @param expiresMetadata Which custom_metadata of KV v2 says when the secret ends.
 * @throws ProviderError gone for a deleted KV v2 version, misconfigured for an answer without data.
 */
export function issuedSecret(reply: VaultReply, loginId: string, expiresMetadata?: string): IssuedSecret {
  const { json } = reply;
  const serverTimeMs = serverTimeOf(reply);
  const data = objectAt(json, 'data');
  const metadata = versionedMetadata(data);
  if (data !== undefined && metadata !== undefined) return keyValue2(reply, data, metadata, expiresMetadata);
  const auth = objectAt(json, 'auth');
  if (auth !== undefined) return issuedToken(auth, serverTimeMs);
  if (data === undefined) throw withoutSecret(reply);
  const leaseId = textAt(json, 'lease_id');
  const durationMs = millisecondsAt(json, 'lease_duration');
  const renewable = json?.['renewable'] === true;
  const lease = leaseId === '' ? undefined : { id: leaseId, durationMs, renewable, maxDurationMs: undefined, loginId };
  return {
    content: { kind: 'json', json: data },
    version: undefined,
    lease,
    ttlHintMs: lease === undefined && durationMs > 0 ? durationMs : undefined,
    expiresAtServerMs: undefined,
    serverTimeMs,
  };
}

function versionedMetadata(data: Json | undefined): Json | undefined {
  const metadata = objectAt(data, 'metadata');
  const isVersioned = data !== undefined && 'data' in data && typeof metadata?.['version'] === 'number';
  return isVersioned ? metadata : undefined;
}

function keyValue2(reply: VaultReply, data: Json, metadata: Json, expiresMetadata: string | undefined): IssuedSecret {
  const content = data['data'];
  if (!isObject(content)) {
    const version = String(metadata['version']);
    throw new ProviderError('gone', `version ${version} of ${reply.asked.path} was deleted`, {
      remedy: 'have it restored (vault kv undelete) or a new one written',
    });
  }
  const serverTimeMs = serverTimeOf(reply);
  const custom = expiresMetadata === undefined ? undefined : objectAt(metadata, 'custom_metadata')?.[expiresMetadata];
  const ends = [Date.parse(textAt(metadata, 'deletion_time')), parseExpiryField(custom, Number.NaN)];
  const known = ends.filter((end) => end !== undefined && !Number.isNaN(end)) as readonly number[];
  return {
    content: { kind: 'json', json: content },
    version: String(metadata['version']),
    lease: undefined,
    ttlHintMs: undefined,
    expiresAtServerMs: known.length === 0 ? undefined : Math.min(...known),
    serverTimeMs,
  };
}

/** Engines that answer with a token (auth/token/create): it dies on its own, and with the login that made it. */
function issuedToken(auth: Json, serverTimeMs: number | undefined): IssuedSecret {
  const lifeMs = millisecondsAt(auth, 'lease_duration');
  return {
    content: { kind: 'json', json: auth },
    version: undefined,
    lease: undefined,
    ttlHintMs: undefined,
    expiresAtServerMs: lifeMs > 0 && serverTimeMs !== undefined ? serverTimeMs + lifeMs : undefined,
    serverTimeMs,
  };
}
