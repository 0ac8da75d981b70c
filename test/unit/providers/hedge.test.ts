import { expect, test } from 'vitest';
import { Hedge } from '../../../src/providers/hedge.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const ADDRESS = 'https://vault.example:8200';

/** Attempts that a test answers by hand, in the order in which they were made. */
function attempts() {
  const made: { isAgain: boolean; signal: AbortSignal; answer: PromiseWithResolvers<string> }[] = [];
  const attempt = (signal: AbortSignal, isAgain = false) => {
    const answer = Promise.withResolvers<string>();
    made.push({ isAgain, signal, answer });
    return answer.promise;
  };
  return { made, attempt };
}

function begin(clock: FakeClock, hedge = new Hedge(clock, ADDRESS)) {
  const { made, attempt } = attempts();
  const caller = new AbortController();
  const answer = hedge.send(caller.signal, attempt);
  answer.catch(() => {});
  return { hedge, made, caller, answer };
}

test('a read without an answer is sent once more after 5 s, and the first answer counts', async () => {
  const clock = new FakeClock();
  const { made, answer } = begin(clock);
  await clock.advance(4_999);
  expect(made).toHaveLength(1);
  await clock.advance(1);
  expect(made.map(({ isAgain }) => isAgain)).toEqual([false, true]);
  made[1]?.answer.resolve('second');
  expect(await answer).toBe('second');
  expect(made[0]?.signal.aborted).toBe(true);
  await clock.advance(60_000);
  expect(made).toHaveLength(2);
  expect(clock.armed).toEqual([]);
});

test('the first attempt may still win', async () => {
  const clock = new FakeClock();
  const { made, answer } = begin(clock);
  await clock.advance(5_000);
  made[0]?.answer.resolve('first');
  expect(await answer).toBe('first');
  expect(made[1]?.signal.aborted).toBe(true);
});

test('an outage that swallowed both attempts ends when it ends: every 10 s there is another', async () => {
  const clock = new FakeClock();
  const { made, answer } = begin(clock);
  await clock.advance(14_999);
  expect(made).toHaveLength(2);
  await clock.advance(1);
  expect(made).toHaveLength(3);
  made[2]?.answer.resolve('third');
  expect(await answer).toBe('third');
  expect(made.map(({ signal }) => signal.aborted)).toEqual([true, true, false]);
  expect(clock.armed).toEqual([]);
});

test('one that fails waits for the other; if both fail, the first says why', async () => {
  const clock = new FakeClock();
  const { made, answer } = begin(clock);
  await clock.advance(5_000);
  made[0]?.answer.reject(new Error('reset'));
  made[1]?.answer.resolve('second');
  expect(await answer).toBe('second');

  const other = begin(clock, new Hedge(clock, 'https://elsewhere.example'));
  await clock.advance(5_000);
  other.made[1]?.answer.reject(new Error('refused'));
  other.made[0]?.answer.reject(new Error('reset'));
  await expect(other.answer).rejects.toThrow('reset');
});

test('an early failure is not sent again', async () => {
  const clock = new FakeClock();
  const { made, answer } = begin(clock);
  await clock.advance(1_000);
  made[0]?.answer.reject(new Error('reset'));
  await expect(answer).rejects.toThrow('reset');
  expect(made).toHaveLength(1);
});

test('an address is hedged once in 10 s, whichever provider asks', async () => {
  const clock = new FakeClock();
  const reads = [begin(clock), begin(clock), begin(clock)];
  await clock.advance(5_000);
  expect(reads.map(({ made }) => made.length)).toEqual([2, 1, 1]);
  await clock.advance(5_000);
  const all = [...reads, begin(clock)];
  await clock.advance(5_000);
  // Whichever of them it is: one more than the four and the one before.
  expect(all.flatMap(({ made }) => made)).toHaveLength(6);
});

test('one question that is slow while others are answered is not asked twice', async () => {
  const clock = new FakeClock();
  const { hedge, made } = begin(clock);
  await clock.advance(3_000);
  hedge.answered();
  await clock.advance(60_000);
  expect(made).toHaveLength(1);
});

test('questions from before a repetition that was answered first are given up, and can be asked anew', async () => {
  const clock = new FakeClock();
  const old = [begin(clock), begin(clock)];
  await clock.advance(2_000);
  const late = begin(clock);
  await clock.advance(3_000);
  expect([...old, late].map(({ made }) => made.length)).toEqual([2, 1, 1]);
  await clock.advance(1_000);
  const after = begin(clock);
  old[0]?.hedge.answered();
  old[0]?.made[1]?.answer.resolve('again');
  expect(await old[0]?.answer).toBe('again');
  await expect(old[1]?.answer).rejects.toMatchObject({ kind: 'transient', waitedMs: 6_000 });
  expect(old[1]?.made[0]?.signal.aborted).toBe(true);
  // Asked before the repetition as well, but not long ago.
  await clock.advance(999);
  expect(late.made[0]?.signal.aborted).toBe(false);
  await clock.advance(1);
  await expect(late.answer).rejects.toMatchObject({ waitedMs: 5_000 });
  after.made[0]?.answer.resolve('in its own time');
  await clock.advance(30_000);
  expect(await after.answer).toBe('in its own time');
  expect(clock.armed).toEqual([]);
});

test('a caller that gives up ends both attempts', async () => {
  const clock = new FakeClock();
  const { made, caller, answer } = begin(clock);
  await clock.advance(5_000);
  caller.abort(new Error('enough'));
  await expect(answer).rejects.toThrow('enough');
  expect(made.every(({ signal }) => signal.aborted)).toBe(true);
  expect(clock.armed).toEqual([]);
});
