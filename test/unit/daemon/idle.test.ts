import { expect, it } from 'vitest';
import { Idle } from '../../../src/daemon/idle.ts';
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
