import { describe, expect, test } from 'vitest';
import type { Lease } from '../../src/credential/life.ts';
import type { IssuedLease } from '../../src/providers/provider.ts';
import { expectHelpful, never, promptly, type SuiteHarness } from './harness.ts';

const WANTED_LIFE_MS = 60_000;

/** What a provider with leases promises besides: renewal, revocation, and logins that leases depend on. */
export function describeLeases(suite: SuiteHarness): void {
  describe('leases', () => {
    test('every read issues a lease of its own', async () => {
      const { provider, source } = await leasing(suite);
      const first = await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never());
      const second = await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never());
      expect(first.lease).toMatchObject({ id: expect.stringMatching(/\S/), renewable: true });
      expect(first.lease?.durationMs).toBeGreaterThanOrEqual(60_000);
      expect(second.lease?.id).not.toBe(first.lease?.id);
    });

    test('renewal gives life, revocation takes it and may be repeated', async () => {
      const { provider, source, isLive } = await leasing(suite);
      const lease = held((await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never())).lease);
      const renewed = await provider.renew?.(lease, never());
      expect(renewed?.durationMs).toBeGreaterThan(0);
      expect(await isLive(lease.id)).toBe(true);
      await provider.revoke?.(lease, never());
      expect(await isLive(lease.id)).toBe(false);
      await provider.revoke?.(lease, never());
    });

    test('a lease that is gone cannot be renewed', async () => {
      const { provider, source } = await leasing(suite);
      const lease = held((await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never())).lease);
      await provider.revoke?.(lease, never());
      expectHelpful(await suite.failure(Promise.resolve(provider.renew?.(lease, never()))), ['gone']);
    });

    test.runIf(suite.harness.faults.hang !== undefined)('renewal and revocation are cancelled at once', async () => {
      const { provider, source } = await leasing(suite);
      const lease = held((await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never())).lease);
      for (const operation of ['renew', 'revoke'] as const) {
        const injected = await suite.harness.faults.hang?.();
        try {
          const controller = new AbortController();
          const call = suite.failure(Promise.resolve(provider[operation]?.(lease, { signal: controller.signal })));
          await injected?.reached;
          const reason = new Error('stopping');
          controller.abort(reason);
          expect(await promptly(call)).toBe(reason);
        } finally {
          await injected?.clear();
        }
      }
    });

    if (suite.harness.capabilities.logins) describeLogins(suite);
  });
}

function describeLogins(suite: SuiteHarness): void {
  test('a lease names its login, which is stored and can be renewed', async () => {
    const { provider, source } = await leasing(suite);
    const { lease } = await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never());
    const loginId = lease?.loginId ?? expect.fail('the lease names no login');
    expect(provider.login?.(loginId)).toMatchObject({ id: loginId, ours: true });
    expect(suite.logins.load().map((stored) => stored.login.id)).toContain(loginId);
    expect(await provider.renewLogin?.(loginId, never())).toMatchObject({ id: loginId });
  });

  test('after a restart the stored login is used again, and old leases can be renewed and revoked', async () => {
    const { provider, source, isLive } = await leasing(suite);
    const issued = await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never());
    provider.close();
    const next = await suite.connect();
    const lease = held(issued.lease);
    expect((await next.renew?.(lease, never()))?.durationMs).toBeGreaterThan(0);
    const again = await next.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never());
    expect(again.lease?.loginId).toBe(lease.loginId);
    await next.revoke?.(lease, never());
    expect(await isLive(lease.id)).toBe(false);
  });

  test('a login in use is not retired', async () => {
    const { provider, source } = await leasing(suite);
    const { lease } = await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never());
    const loginId = lease?.loginId ?? expect.fail('the lease names no login');
    await provider.retireLogin?.(loginId, never());
    const again = await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never());
    expect(again.lease?.loginId).toBe(loginId);
  });

  test.runIf(suite.harness.leased?.dropLogins !== undefined)('a login that the server forgot is replaced', async () => {
    const { provider, source } = await leasing(suite);
    const before = await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never());
    await suite.harness.leased?.dropLogins?.();
    const after = await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never());
    const oldLogin = before.lease?.loginId ?? expect.fail('the lease names no login');
    expect(after.lease?.loginId).not.toBe(oldLogin);
    await provider.retireLogin?.(oldLogin, never());
    expect(provider.login?.(oldLogin)).toBeUndefined();
    expect(suite.logins.load().map((stored) => stored.login.id)).not.toContain(oldLogin);
  });
}

async function leasing(suite: SuiteHarness) {
  const leased = suite.harness.leased ?? expect.fail('the harness promises leases but has none');
  return { provider: await suite.connect(), source: await leased.source(), isLive: leased.isLive.bind(leased) };
}

function held(issued: IssuedLease | undefined): Lease {
  if (issued === undefined) expect.fail('no lease was issued');
  const issuedAtMs = Date.now();
  return {
    id: issued.id,
    issuedAtMs,
    expiresAtMs: issuedAtMs + issued.durationMs,
    renewable: issued.renewable,
    maxExpiresAtMs: issued.maxDurationMs === undefined ? undefined : issuedAtMs + issued.maxDurationMs,
    loginId: issued.loginId,
  };
}
