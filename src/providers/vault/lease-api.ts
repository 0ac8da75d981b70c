import { randomUUID } from 'node:crypto';
import { parseExpiryField } from '../../credential/expiry.ts';
import type { Lease } from '../../credential/life.ts';
import type { Json } from '../../credential/secret.ts';
import { ProviderError } from '../../errors.ts';
import type { IssuedSecret, ProviderHost, RenewedLease } from '../provider.ts';
import { isObject, millisecondsAt, objectAt, serverTimeOf, textAt, type VaultReply } from './answer.ts';
import type { VaultClient } from './client.ts';
import type { CurrentLogin } from './current-login.ts';
import { notVault, refusalIn, withoutSecret } from './failures.ts';
import { isEnded, type TokenApi } from './token-api.ts';
import type { HeldLogin, TokenStore } from './token-store.ts';

const RENEW = { what: 'lease', method: 'PUT', path: 'sys/leases/renew' } as const;
const REVOKE_TOKEN = { what: 'lease', method: 'POST', path: 'auth/token/revoke-accessor' } as const;
const REVOKE = { what: 'lease', method: 'PUT', path: 'sys/leases/revoke' } as const;

/** Renews and revokes leases, with the login that each depends on, or the current one if that is not known any more. */
export class LeaseApi {
  readonly #host: ProviderHost;
  readonly #client: VaultClient;
  readonly #store: TokenStore;
  readonly #current: CurrentLogin;
  readonly #tokens: TokenApi;
  #deniedBefore = false;

  constructor(host: ProviderHost, client: VaultClient, store: TokenStore, current: CurrentLogin, tokens: TokenApi) {
    this.#host = host;
    this.#client = client;
    this.#store = store;
    this.#current = current;
    this.#tokens = tokens;
  }

  /** @throws ProviderError gone if the lease no longer exists or cannot be renewed. */
  async renew(lease: Lease, signal: AbortSignal): Promise<RenewedLease> {
    const held = await this.#loginOf(lease, signal);
    using token = held.token.copy();
    const reply = await this.#client.send({ ...RENEW, body: { lease_id: lease.id }, token }, signal);
    const refusal = refusalIn(reply);
    if (refusal !== undefined) throw await this.#explained(refusal, held, signal);
    const durationMs = millisecondsAt(reply.json, 'lease_duration');
    if (durationMs === 0) throw notVault(reply);
    return { durationMs, renewable: reply.json?.['renewable'] === true, serverTimeMs: serverTimeOf(reply) };
  }

  /**
   * Resolves if the lease is gone already. Vault's default policy does not allow this: the lease then lapses at its end,
   * which is logged once.
   *
   * @throws ProviderError denied where the policy does not allow it.
   */
  async revoke(lease: Lease, signal: AbortSignal): Promise<void> {
    if (lease.id.startsWith(BATCH)) throw cannotBeRevoked();
    const held = await this.#loginOf(lease, signal);
    using token = held.token.copy();
    const reply = await this.#client.send({ ...revocationOf(lease), token }, signal);
    const refusal = isEnded(reply) ? undefined : refusalIn(reply);
    if (refusal === undefined) return;
    const failure = await this.#explained(refusal, held, signal);
    if (failure.kind === 'gone') return;
    if (failure.kind === 'denied' && !this.#deniedBefore) {
      this.#deniedBefore = true;
      this.#host.log.warn({ remedy: failure.remedy }, 'leases cannot be revoked and lapse by themselves');
    }
    throw failure;
  }

  /** A 403 may mean that the token is over, and then the leases that depended on it are, too. */
  async #explained(failure: ProviderError, held: HeldLogin, signal: AbortSignal): Promise<ProviderError> {
    if (failure.kind !== 'denied') return failure;
    using token = held.token.copy();
    if (await this.#tokens.isAlive(token, signal)) return failure;
    this.#current.lost(held.login.id);
    return new ProviderError('gone', 'the login that the lease depended on is over, and the lease with it', {
      remedy: 'nothing: a new one is issued when it is needed',
    });
  }

  async #loginOf(lease: Lease, signal: AbortSignal): Promise<HeldLogin> {
    this.#store.load(this.#host.clock.now());
    const own = lease.loginId === undefined ? undefined : this.#store.get(lease.loginId);
    return own ?? (await this.#current.forRead(0, signal));
  }
}

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
  const metadata = objectAt(data, 'metadata');
  if (data !== undefined && 'data' in data && typeof metadata?.['version'] === 'number') {
    return { ...keyValue2(reply.asked.path, data, metadata, expiresMetadata), serverTimeMs };
  }
  const auth = objectAt(json, 'auth');
  if (auth !== undefined) return issuedToken(reply, auth, loginId);
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

function keyValue2(path: string, data: Json, metadata: Json, expiresMetadata: string | undefined) {
  const content = data['data'];
  if (!isObject(content)) {
    const version = String(metadata['version']);
    throw new ProviderError('gone', `version ${version} of ${path} was deleted`, {
      remedy: 'have it restored (vault kv undelete) or a new one written',
    });
  }
  const custom = expiresMetadata === undefined ? undefined : objectAt(metadata, 'custom_metadata')?.[expiresMetadata];
  let endMs = Number.POSITIVE_INFINITY;
  for (const end of [
    Date.parse(textAt(metadata, 'deletion_time')),
    custom === undefined ? undefined : parseExpiryField(custom, Number.NaN),
  ]) {
    if (end !== undefined && end < endMs) endMs = end;
  }
  return {
    content: { kind: 'json', json: content },
    version: String(metadata['version']),
    lease: undefined,
    ttlHintMs: undefined,
    expiresAtServerMs: endMs === Number.POSITIVE_INFINITY ? undefined : endMs,
  } as const;
}

/** Begins the id of what is no lease to Vault: a token by its accessor, and one without an accessor. */
const ACCESSOR = 'accessor:';
const BATCH = 'batch:';

/** How long a token without an end of its own is kept before another takes its place: Vault's own default for what is to end. */
const ENDLESS_MS = 768 * 3_600_000;

/** Tokens that are made from the login's own end with it; those of `create-orphan`, and of logins, do not. */
const CHILD_OF_LOGIN = /(?:^|\/)auth\/token\/create(?:\/|$)/;

/**
 * A key that is itself a token (auth/token/create) is a lease in all but name: it has an end, it may depend on the login that made
 * it, and it can be given back. To renew it would take the token, which is not kept in the open.
 */
function issuedToken(reply: VaultReply, auth: Json, loginId: string): IssuedSecret {
  const serverTimeMs = serverTimeOf(reply);
  const lifeMs = millisecondsAt(auth, 'lease_duration');
  const isOrphan = auth['orphan'] === true || !CHILD_OF_LOGIN.test(reply.asked.path);
  const accessor = textAt(auth, 'accessor');
  return {
    content: { kind: 'json', json: auth },
    version: undefined,
    lease: {
      id: accessor === '' ? `${BATCH}${randomUUID()}` : `${ACCESSOR}${accessor}`,
      durationMs: lifeMs || ENDLESS_MS,
      renewable: false,
      maxDurationMs: undefined,
      loginId: isOrphan ? undefined : loginId,
    },
    ttlHintMs: undefined,
    expiresAtServerMs: lifeMs > 0 && serverTimeMs !== undefined ? serverTimeMs + lifeMs : undefined,
    serverTimeMs,
  };
}

function revocationOf({ id }: Lease) {
  if (!id.startsWith(ACCESSOR)) return { ...REVOKE, body: { lease_id: id, sync: true } };
  return { ...REVOKE_TOKEN, body: { accessor: id.slice(ACCESSOR.length) } };
}

function cannotBeRevoked(): ProviderError {
  return new ProviderError('denied', 'Vault cannot revoke a batch token: it ends with its ttl', {
    remedy: 'let the role issue service tokens, or shorter-lived ones',
  });
}
