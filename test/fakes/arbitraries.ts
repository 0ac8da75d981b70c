import fc from 'fast-check';
import { type LifeSketch, living, type living as makeLiving, START } from './living.ts';

const DAY = 24 * 60 * 60_000;

/** Durations as they occur, the short and the round ones more often. */
export const spans = fc.oneof(
  fc.integer({ min: 0, max: 10_000 }),
  fc.integer({ min: 0, max: 60 }).map((minutes) => minutes * 60_000),
  fc.integer({ min: 0, max: 3 * DAY }),
);

export const someTime = spans.map((ms) => START + ms);

const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

/** Leaves out what is undefined, as exact optional properties want it. */
const compact = <T extends object>(value: T) =>
  Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as {
    [Key in keyof T]?: Exclude<T[Key], undefined>;
  };

const grants = fc
  .record({ lastsMs: spans, more: maybe(spans), renewable: fc.boolean() })
  .map(({ lastsMs, more, renewable }) => ({
    lastsMs,
    renewable,
    ...(more === undefined ? {} : { maxMs: lastsMs + more }),
  }));

/** Keys of every kind: static, with an end of their own, leased, hanging on a login. */
export const livingKeys: fc.Arbitrary<ReturnType<typeof makeLiving>> = fc
  .record({
    expiresInMs: maybe(spans),
    ttlMs: fc.integer({ min: 1_000, max: DAY }),
    confirmedAfterMs: fc.constantFrom(0, 0, 60_000),
    isJwt: fc.boolean(),
    lease: maybe(grants),
    login: maybe(grants),
  })
  .map(({ confirmedAfterMs, login, ...rest }) =>
    living({
      ...compact({ ...rest, login: rest.lease === undefined ? undefined : login }),
      confirmedAtMs: START + confirmedAfterMs,
    } as LifeSketch),
  );
