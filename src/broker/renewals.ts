import type { Urgency } from '../credential/back-off.ts';
import type { Lease } from '../credential/life.ts';
import { ProviderError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { SingleFlight } from '../platform/waiting.ts';
import type { RenewedLease } from '../providers/provider.ts';
import type { ProviderGate } from './gate.ts';

/** A renewal that adds less than this part of what was granted before has met the lease's max TTL. */
const CAPPED = 0.95;

/** What is to be renewed, and how long the key on it is wanted to live from now on. */
interface Renewal {
  readonly gate: ProviderGate;
  readonly lease: Lease;
  readonly confirmedAtMs: number;
  readonly startedAtMs: number;
  readonly wantedLifeMs: number;
  readonly urgency: Urgency;
  /** Before the provider is asked to extend the lease. */
  readonly onSend: () => void;
}

/** Leases, and the logins that they depend on, extended at their provider. */
export class Renewals {
  readonly #clock: Clock;
  /** Many leases may depend on one login, and be renewed at the same moment. */
  readonly #logins = new SingleFlight<unknown>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** undefined: there is nothing to extend, so that a new lease has to be issued. @throws ProviderError gone if it has ended. */
  async extend(renewal: Renewal): Promise<Lease | undefined> {
    const { gate, lease, confirmedAtMs, startedAtMs, urgency, onSend } = renewal;
    const hasRenewedLogin = await this.#renewLogin(renewal);
    if (!lease.renewable) return hasRenewedLogin ? lease : undefined;
    const renewed = await gate.call((provider, call) => {
      if (provider.renew === undefined) throw new ProviderError('gone', 'this provider renews nothing');
      onSend();
      return provider.renew(lease, call);
    }, urgency);
    return extended(lease, renewed, confirmedAtMs, startedAtMs);
  }

  /**
   * A lease dies with its login: the login is extended first, if it would not outlive the renewed lease.
   * @returns whether it was extended.
   */
  async #renewLogin({ gate, lease, wantedLifeMs, urgency }: Renewal): Promise<boolean> {
    const login = gate.login(lease.loginId);
    if (login === undefined || !login.renewable || login.expiresAtMs === undefined) return false;
    const enoughMs = lease.expiresAtMs - lease.issuedAtMs + wantedLifeMs;
    if (login.expiresAtMs - this.#clock.now() >= enoughMs) return false;
    const renew = () => gate.call(async (provider, call) => provider.renewLogin?.(login.id, call), urgency);
    const renewalId = `${gate.name} ${login.id}`;
    await this.#logins.join(renewalId, renew);
    return true;
  }
}

function extended(lease: Lease, renewed: RenewedLease, confirmedAtMs: number, startedAtMs: number): Lease {
  const expiresAtMs = startedAtMs + renewed.durationMs;
  const grantedBefore = lease.expiresAtMs - confirmedAtMs;
  const capped = !renewed.renewable || renewed.durationMs < grantedBefore * CAPPED;
  return {
    ...lease,
    expiresAtMs,
    renewable: renewed.renewable,
    maxExpiresAtMs: capped ? expiresAtMs : lease.maxExpiresAtMs,
  };
}
