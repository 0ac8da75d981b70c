import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../fakes/fake-clock.ts';

describe('FakeClock', () => {
  it('runs timers in the order they are due, those armed on the way included, and lets promises settle in between', async () => {
    const clock = new FakeClock(1000);
    const seen: string[] = [];
    clock.after(20, () => seen.push(`b@${clock.now()}`));
    clock.after(10, () => {
      void Promise.resolve()
        .then(() => {})
        .then(() => {
          seen.push(`a@${clock.now()}`);
          clock.after(5, () => seen.push(`c@${clock.now()}`));
        });
    });
    await clock.advance(20);
    expect(seen).toEqual(['a@1010', 'c@1015', 'b@1020']);
    expect(clock.now()).toBe(1020);
  });

  it('keeps a cancelled timer from running and a later one armed', async () => {
    const clock = new FakeClock(0);
    const seen: number[] = [];
    clock.after(10, () => seen.push(1)).cancel();
    clock.after(30, () => seen.push(2));
    await clock.advance(10);
    expect(seen).toEqual([]);
    expect(clock.armed).toEqual([20]);
    await clock.advanceToNext();
    expect(seen).toEqual([2]);
  });

  it('lets a suspended machine miss its timers while steady time and wall time pass', async () => {
    const clock = new FakeClock(0);
    let fired = false;
    clock.after(1000, () => {
      fired = true;
    });
    clock.sleep(3_600_000);
    await clock.advance(999);
    expect(fired).toBe(false);
    expect(clock.now()).toBe(3_600_999);
    expect(clock.wall()).toBe(3_600_999);
    await clock.advance(1);
    expect(fired).toBe(true);
  });

  it('moves only the wall clock when somebody sets it', () => {
    const clock = new FakeClock(5000);
    clock.setWall(1);
    expect(clock.wall()).toBe(1);
    expect(clock.now()).toBe(5000);
  });

  it('tells when a timer is armed', async () => {
    const clock = new FakeClock();
    const armed = clock.whenArmed(2);
    clock.after(1, () => {});
    let told = false;
    void armed.then(() => {
      told = true;
    });
    await clock.advance(0);
    expect(told).toBe(false);
    clock.after(1, () => {});
    await armed;
  });
});
