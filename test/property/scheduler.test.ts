import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Scheduler } from '../../src/broker/scheduler.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

type Change =
  | { readonly kind: 'schedule'; readonly id: string; readonly inMs: number }
  | { readonly kind: 'cancel'; readonly id: string }
  | { readonly kind: 'advance' | 'sleep'; readonly ms: number };

const ids = fc.integer({ min: 0, max: 30 }).map(String);
const changes: fc.Arbitrary<Change[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('schedule' as const),
        id: ids,
        inMs: fc.integer({ min: -5_000, max: 200_000 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('cancel' as const), id: ids }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constantFrom('advance', 'sleep'), ms: fc.integer({ min: 0, max: 100_000 }) }),
    },
  ),
  { maxLength: 60 },
);

describe('the scheduler', () => {
  it('runs what a sorted list would run, in that order, with one timer, and none while it is empty', async () => {
    await fc.assert(
      fc.asyncProperty(changes, async (script) => {
        const clock = new FakeClock();
        const model = new Map<string, number>();
        const ran: string[] = [];
        const scheduler = new Scheduler(
          clock,
          (id) => {
            expect(model.get(id)).toBeLessThanOrEqual(clock.now());
            expect(model.get(id)).toBe(Math.min(...model.values()));
            model.delete(id);
            ran.push(id);
          },
          () => undefined,
        );
        for (const change of script) {
          if (change.kind === 'schedule') {
            scheduler.schedule(change.id, clock.now() + change.inMs);
            model.set(change.id, clock.now() + change.inMs);
          } else if (change.kind === 'cancel') {
            scheduler.cancel(change.id);
            model.delete(change.id);
          } else if (change.kind === 'sleep') clock.sleep(change.ms);
          else await clock.advance(change.ms);
          expect(scheduler.size).toBe(model.size);
          expect(clock.armed.length).toBe(model.size === 0 ? 0 : 1);
          for (const [id, atMs] of model) expect(scheduler.at(id)).toBe(atMs);
        }
        await clock.advance(500_000);
        expect(model.size).toBe(0);
        expect(clock.armed).toEqual([]);
      }),
    );
  });
});
