import { describe, expect, it } from 'vitest';
import { LoginAttempts, type RefusalStore } from '../../../src/providers/login-attempts.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { MINUTE } from '../../fakes/living.ts';
import { failure } from '../../fakes/scripted-provider.ts';

function store(): RefusalStore {
  let kept: readonly number[] = [];
  return {
    provider: 'vault',
    load: () => kept,
    save: (refused) => {
      kept = refused;
    },
  };
}

describe('a refused login', () => {
  it('stands before every other until there is a reason, with the words of the server', () => {
    const attempts = new LoginAttempts(new FakeClock(), store());
    attempts.check();
    const refusal = failure.loginRefused();
    attempts.refused(refusal);
    expect(() => attempts.check()).toThrow(refusal);
    attempts.allow();
    attempts.check();
  });

  it('is the last but one in 15 minutes, whatever the reason, and over restarts', async () => {
    const clock = new FakeClock();
    const kept = store();
    const first = new LoginAttempts(clock, kept);
    first.refused(failure.loginRefused());
    await clock.advance(MINUTE);
    const restarted = new LoginAttempts(clock, kept);
    restarted.check();
    restarted.refused(failure.loginRefused());
    restarted.allow();
    for (const each of [restarted, new LoginAttempts(clock, kept)]) {
      expect(() => each.check()).toThrow(
        expect.objectContaining({ isRefusedLogin: true, concerns: 'login', retryAfterMs: 14 * MINUTE }),
      );
    }
    await clock.advance(14 * MINUTE);
    restarted.check();
  });

  it('is forgotten once a login was accepted', () => {
    const kept = store();
    const attempts = new LoginAttempts(new FakeClock(), kept);
    attempts.refused(failure.loginRefused());
    attempts.accepted();
    attempts.check();
    expect(kept.load()).toEqual([]);
  });
});
