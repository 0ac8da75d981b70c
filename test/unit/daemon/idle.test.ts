import { expect, it } from 'vitest';
import { Idle, Later } from '../../../src/daemon/idle.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

it('is noticed once, after twenty seconds without a request, and no timer runs until the next', async () => {
  const clock = new FakeClock(0);
  let times = 0;
  const quiet = new Idle(clock, 20_000, () => {
    times += 1;
  });
  for (let second = 0; second < 60; second += 5) {
    quiet.noteAsk(clock.now());
    await clock.advance(5_000);
  }
  expect(times).toBe(0);
  await clock.advance(15_000);
  expect(times).toBe(1);
  expect(clock.armed).toEqual([]);
  await clock.advance(600_000);
  expect(times).toBe(1);
  quiet.noteAsk(clock.now());
  await clock.advance(20_000);
  expect(times).toBe(2);
});

it('what is to be done later is not put off by what comes meanwhile, and done a last time when it is quiet', async () => {
  const clock = new FakeClock(0);
  let done = 0;
  const later = new Later(clock, { soonMs: 5_000, lastMs: 20_000 }, () => done++);
  later.note();
  await clock.advance(4_999);
  later.note();
  expect(done).toBe(0);
  await clock.advance(1);
  expect(done).toBe(1);
  await clock.advance(19_000);
  expect(done).toBe(1);
  // A note while the last time is waited for is as good as a first.
  later.note();
  await clock.advance(5_000);
  expect(done).toBe(2);
  await clock.advance(14_999);
  expect(done).toBe(2);
  await clock.advance(1);
  expect(done).toBe(3);
  await clock.advance(60_000);
  expect(done).toBe(3);
  expect(clock.armed).toEqual([]);
  later.note();
  later.stop();
  // A call that ends while the daemon stops: a timer would keep the process, and the lock with it, for 15 s.
  later.note();
  expect(clock.armed).toEqual([]);
  await clock.advance(60_000);
  expect(done).toBe(3);
});
