import { expect, test } from 'vitest';
import { SharedWork } from '../../../../src/providers/vault/shared-work.ts';

function pending() {
  const work = Promise.withResolvers<string>();
  const state = { aborted: false, overs: 0 };
  const shared = new SharedWork(
    (signal) => {
      signal.addEventListener('abort', () => {
        state.aborted = true;
      });
      return work.promise;
    },
    () => {
      state.overs += 1;
    },
  );
  return { work, state, shared };
}

test('everybody gets the one result', async () => {
  const { work, shared } = pending();
  const waiting = [1, 2, 3].map(() => shared.join(new AbortController().signal));
  work.resolve('done');
  expect(await Promise.all(waiting)).toEqual(['done', 'done', 'done']);
});

test('one who leaves takes nothing from the others; the last one ends the work', async () => {
  const { state, shared } = pending();
  const [first, last] = [new AbortController(), new AbortController()];
  const waiting = [shared.join(first.signal), shared.join(last.signal)].map((each) =>
    each.catch((error: unknown) => error),
  );
  first.abort('first left');
  expect(await waiting[0]).toBe('first left');
  expect(state).toEqual({ aborted: false, overs: 0 });
  last.abort('last left');
  expect(await waiting[1]).toBe('last left');
  expect(state).toEqual({ aborted: true, overs: 1 });
});

test('a failure reaches everybody', async () => {
  const { work, shared } = pending();
  const waiting = [1, 2].map(() => shared.join(new AbortController().signal).catch((error: unknown) => error));
  work.reject('broken');
  expect(await Promise.all(waiting)).toEqual(['broken', 'broken']);
});

test('who is too late already does not join', async () => {
  const { shared, work } = pending();
  await expect(shared.join(AbortSignal.abort('too late'))).rejects.toBe('too late');
  work.resolve('done');
});
