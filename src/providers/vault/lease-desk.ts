import type { Lease } from '../../credential/lease.ts';
import { ProviderError } from '../../errors.ts';
import type { ProviderHost } from '../definition.ts';
import type { RenewedLease } from '../provider.ts';
import { millisecondsAt, serverTimeOf } from './answer.ts';
import type { VaultClient, VaultReply } from './client.ts';
import { failureOf, notVault } from './failures.ts';
import type { HeldLogin, LoginBook } from './login-book.ts';
import type { LoginDesk } from './login-desk.ts';
import type { LoginSession } from './login-session.ts';

const RENEW = { what: 'lease', method: 'PUT', path: 'sys/leases/renew' } as const;
const REVOKE = { what: 'lease', method: 'PUT', path: 'sys/leases/revoke' } as const;

/** Renews and revokes leases, with the login that each hangs on, or the present one if that is not known any more. */
export class LeaseDesk {
  readonly #host: ProviderHost;
  readonly #book: LoginBook;
  readonly #session: LoginSession;
  readonly #desk: LoginDesk;
  #deniedBefore = false;

  constructor(host: ProviderHost, book: LoginBook, session: LoginSession, desk: LoginDesk) {
    this.#host = host;
    this.#book = book;
    this.#session = session;
    this.#desk = desk;
  }

  /** @throws ProviderError gone if the lease no longer exists or cannot be renewed. */
  async renew(lease: Lease, client: VaultClient, signal: AbortSignal): Promise<RenewedLease> {
    const held = await this.#loginOf(lease, client, signal);
    using token = held.token.copy();
    const reply = await client.send({ ...RENEW, body: { lease_id: lease.id }, token }, signal);
    if (reply.status !== 200) throw await this.#failure(reply, held, client, signal);
    const durationMs = millisecondsAt(reply.json, 'lease_duration');
    if (durationMs === 0) throw notVault(reply);
    return { durationMs, renewable: reply.json?.['renewable'] === true, serverTimeMs: serverTimeOf(reply) };
  }

  /**
   * Resolves if the lease is gone already. Vault's default policy does not allow this: the lease then lapses by itself, which is said once.
   *
   * @throws ProviderError denied where the policy does not allow it.
   */
  async revoke(lease: Lease, client: VaultClient, signal: AbortSignal): Promise<void> {
    const held = await this.#loginOf(lease, client, signal);
    using token = held.token.copy();
    const reply = await client.send({ ...REVOKE, body: { lease_id: lease.id, sync: true }, token }, signal);
    if (reply.status >= 200 && reply.status < 300) return;
    const failure = await this.#failure(reply, held, client, signal);
    if (failure.kind === 'gone') return;
    if (failure.kind === 'denied' && !this.#deniedBefore) {
      this.#deniedBefore = true;
      this.#host.log.warn({ remedy: failure.remedy }, 'leases cannot be revoked and lapse by themselves');
    }
    throw failure;
  }

  /** A 403 may mean that the token is over, and then the leases that hung on it are, too. */
  async #failure(reply: VaultReply, held: HeldLogin, client: VaultClient, signal: AbortSignal): Promise<ProviderError> {
    const failure = failureOf(reply);
    if (failure.kind !== 'denied') return failure;
    using token = held.token.copy();
    if (await this.#desk.isAlive(token, client, signal)) return failure;
    this.#session.lost(held.login.id);
    return new ProviderError('gone', 'the login that the lease hung on is over, and the lease with it', {
      remedy: 'nothing: a new one is issued when it is needed',
    });
  }

  async #loginOf(lease: Lease, client: VaultClient, signal: AbortSignal): Promise<HeldLogin> {
    this.#book.load(this.#host.clock.now());
    const own = lease.loginId === undefined ? undefined : this.#book.get(lease.loginId);
    if (own !== undefined) return own;
    return await this.#session.forRead(0, client, signal);
  }
}
