import { describe, expect, it } from 'vitest';
import { Scheduler } from '../../../src/broker/scheduler.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { HOUR, MINUTE, SECOND } from '../../fakes/living.ts';

function make(clock = new FakeClock()) {
  const ran: string[] = [];
  const late: number[] = [];
  const scheduler = new Scheduler(
    clock,
    (id) => ran.push(`${id}@${clock.now()}`),
    (lateMs) => late.push(lateMs),
  );
  return { clock, ran, late, scheduler };
}

describe('the scheduler', () => {
  it('looks at the clock once a minute while anything is scheduled', async () => {
    const { clock, late, scheduler } = make();
    scheduler.schedule('a', clock.now() + 10 * MINUTE);
    await clock.advance(10 * MINUTE);
    expect(late).toEqual(Array(10).fill(0));
    await clock.advance(HOUR);
    expect(late).toHaveLength(10);
  });

  it('tells how late it is, because timers do not count time asleep', async () => {
    const { clock, ran, late, scheduler } = make();
    const due = clock.now() + 10 * MINUTE;
    scheduler.schedule('a', due);
    clock.sleep(HOUR);
    await clock.advance(MINUTE);
    expect(late).toEqual([HOUR]);
    expect(ran).toEqual([`a@${clock.now()}`]);
  });

  it('runs at once what is due when the clock is said to have jumped', () => {
    const { clock, ran, scheduler } = make();
    scheduler.schedule('a', clock.now() + 30 * SECOND);
    clock.sleep(HOUR);
    scheduler.catchUp();
    expect(ran).toHaveLength(1);
  });

  it('takes out what is given no finite time', () => {
    const { clock, scheduler } = make();
    scheduler.schedule('a', clock.now() + SECOND);
    scheduler.schedule('a', Number.NaN);
    scheduler.schedule('b', Number.POSITIVE_INFINITY);
    expect(scheduler.size).toBe(0);
    expect(clock.armed).toEqual([]);
  });

  it('does nothing any more once it is stopped', async () => {
    const { clock, ran, scheduler } = make();
    scheduler.schedule('a', clock.now() + SECOND);
    scheduler.stop();
    scheduler.schedule('b', clock.now() + SECOND);
    scheduler.catchUp();
    await clock.advance(MINUTE);
    expect(ran).toEqual([]);
    expect(clock.armed).toEqual([]);
  });

  it('goes on when something it runs schedules itself for the past', async () => {
    const clock = new FakeClock();
    let runs = 0;
    const scheduler: Scheduler = new Scheduler(
      clock,
      () => {
        runs += 1;
        if (runs < 100) scheduler.schedule('a', clock.now() - 1);
      },
      () => undefined,
    );
    scheduler.schedule('a', clock.now());
    await clock.advance(SECOND);
    expect(runs).toBe(100);
  });
});
