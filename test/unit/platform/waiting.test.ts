import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { abortable, SingleFlight, sleep, waitUntil, within } from '../../../src/platform/waiting.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const never = () => new Promise<never>(() => {});

describe('within', () => {
  it('returns what the work returns, and leaves no listener and no timer behind', async () => {
    const clock = new FakeClock();
    const one = new AbortController();
    const limit = { clock, limitMs: 1_000, late: () => new Error('late') };
    await expect(within([one.signal], limit, async () => 'done')).resolves.toBe('done');
    expect(getEventListeners(one.signal, 'abort')).toHaveLength(0);
    expect(clock.armed).toEqual([]);
  });

  it('rejects with the reason of whichever signal comes first, also if the work never notices', async () => {
    const clock = new FakeClock();
    const one = new AbortController();
    const two = new AbortController();
    const run = within([one.signal, two.signal], undefined, never);
    two.abort(new Error('two'));
    await expect(run).rejects.toThrow('two');
    expect(getEventListeners(one.signal, 'abort')).toHaveLength(0);
    const late = within([one.signal], { clock, limitMs: 1_000, late: () => new Error('late') }, never);
    await Promise.all([expect(late).rejects.toThrow('late'), clock.advance(1_000)]);
  });

  it('hands the work a signal that ends with it', async () => {
    const one = new AbortController();
    let seen: AbortSignal | undefined;
    const run = within([one.signal], undefined, (signal) => {
      seen = signal;
      return never();
    });
    one.abort(new Error('over'));
    await expect(run).rejects.toThrow('over');
    expect(seen?.aborted).toBe(true);
  });

  it('does not start under a signal that is aborted already', async () => {
    let started = false;
    const work = async () => {
      started = true;
    };
    await expect(within([AbortSignal.abort(new Error('over'))], undefined, work)).rejects.toThrow('over');
    await expect(abortable(AbortSignal.abort(new Error('over')), work)).rejects.toThrow('over');
    expect(started).toBe(false);
  });
});

describe('sleep', () => {
  it('ends after its time, or with its signal and without its timer', async () => {
    const clock = new FakeClock();
    const slept = sleep(500, clock);
    await clock.advance(500);
    await slept;
    const gone = new AbortController();
    const cut = sleep(500, clock, gone.signal);
    gone.abort(new Error('gone'));
    await expect(cut).rejects.toThrow('gone');
    expect(clock.armed).toEqual([]);
  });
});

describe('waitUntil', () => {
  it('gives the work its time and no more', async () => {
    const clock = new FakeClock();
    const late = waitUntil(clock, never(), clock.now() + 100);
    await clock.advance(100);
    await expect(late).resolves.toEqual({ done: false });
    await expect(waitUntil(clock, Promise.resolve(1), clock.now() + 100)).resolves.toEqual({ done: true, value: 1 });
    await expect(waitUntil(clock, Promise.reject(new Error('no')), clock.now() + 100)).rejects.toThrow('no');
  });
});

it('work that fails with the signal that its waiter has, before it waits, is not left unhandled', async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  try {
    const gone = AbortSignal.abort(new Error('gone'));
    const clock = new FakeClock();
    await expect(waitUntil(clock, within([gone], undefined, never), clock.now() + 100, gone)).rejects.toThrow('gone');
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).toEqual([]);
  } finally {
    process.off('unhandledRejection', note);
  }
});

describe('SingleFlight', () => {
  it('runs once for all who ask meanwhile, and again for those who ask later', async () => {
    const flights = new SingleFlight<number>();
    let runs = 0;
    const gate = Promise.withResolvers<void>();
    const start = async () => {
      await gate.promise;
      return ++runs;
    };
    const joined = [flights.join('a', start), flights.join('a', start)];
    expect(flights.has('a')).toBe(true);
    gate.resolve();
    expect(await Promise.all(joined)).toEqual([1, 1]);
    expect(await flights.join('a', start)).toBe(2);
  });

  it('goes on for the others when one gives up, is aborted with the last, and starts again for the next', async () => {
    const flights = new SingleFlight<string>();
    const signals: AbortSignal[] = [];
    const start = (signal: AbortSignal) => {
      signals.push(signal);
      return never();
    };
    const [one, two] = [new AbortController(), new AbortController()];
    const first = flights.join('a', start, one.signal);
    const second = flights.join('a', start, two.signal);
    one.abort(new Error('one'));
    await expect(first).rejects.toThrow('one');
    expect(signals[0]?.aborted).toBe(false);
    two.abort(new Error('two'));
    await expect(second).rejects.toThrow('two');
    expect(signals[0]?.aborted).toBe(true);
    expect(await flights.join('a', async () => 'again')).toBe('again');
  });

  it('tells every one of them of a failure', async () => {
    const flights = new SingleFlight<string>();
    const start = () => Promise.reject(new Error('no'));
    const joined = await Promise.allSettled([flights.join('a', start), flights.join('a', start)]);
    expect(joined.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(flights.has('a')).toBe(false);
  });
});
