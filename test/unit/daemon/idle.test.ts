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

it('what is to be done later is done once, and is not put off by what comes meanwhile', async () => {
  const clock = new FakeClock(0);
  let done = 0;
  const later = new Later(clock, 5_000, () => done++);
  later.note();
  for (let second = 0; second < 4; second += 1) {
    await clock.advance(1_000);
    later.note();
  }
  expect(done).toBe(0);
  await clock.advance(1_000);
  expect(done).toBe(1);
  await clock.advance(60_000);
  expect(done).toBe(1);
  later.note();
  later.stop();
  await clock.advance(60_000);
  expect(done).toBe(1);
});
