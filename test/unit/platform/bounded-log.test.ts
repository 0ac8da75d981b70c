import { beforeEach, expect, it } from 'vitest';
import { BoundedLog } from '../../../src/platform/bounded-log.ts';
import { CollectingLog } from '../../fakes/collecting-log.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

class AdjustableCollectingLog extends CollectingLog {
  level = 'info';

  isLevelEnabled(level: string): boolean {
    return this.level === 'debug' || level !== 'debug';
  }
}

let clock: FakeClock;
let inner: AdjustableCollectingLog;
let log: BoundedLog;

beforeEach(() => {
  clock = new FakeClock(0);
  inner = new AdjustableCollectingLog();
  log = new BoundedLog(inner, clock);
});

const flood = (message: string, lines: number) => {
  for (let n = 1; n <= lines; n++) log.warn({ n }, message);
};

it('writes the first lines of a flood, then how many were left out, and nothing is armed but for that', async () => {
  flood('too many connections', 30);
  expect(clock.armed).toEqual([]);
  flood('too many connections', 10_000);
  log.error({}, 'something else');
  expect(inner.lines).toHaveLength(31);
  expect(clock.armed).toHaveLength(1);

  await clock.advance(60_000);
  expect(inner.lines).toHaveLength(32);
  expect(inner.lines.at(-1)).toEqual({
    level: 'warn',
    fields: { n: 10_000, leftOut: 10_000 },
    message: 'too many connections',
  });
  expect(clock.armed).toEqual([]);
  flood('too many connections', 1);
  expect(inner.lines).toHaveLength(33);
});

it('tells of a flood that lasts once a minute', async () => {
  for (let second = 0; second < 300; second++) {
    flood('closed', 100);
    await clock.advance(1_000);
  }
  expect(inner.lines.length).toBeLessThan(5 * 31 + 31);
  await clock.advance(60_000);
  const told = inner.lines.map(({ fields }) => ('leftOut' in fields ? Number(fields.leftOut) : 1));
  expect(told.reduce((sum, each) => sum + each, 0)).toBe(30_000);
});

it('counts a message by what stands before its first colon, for all children together', () => {
  const children = ['a', 'b'].map((credential) => log.child({ credential }));
  for (let n = 0; n < 100; n++) children[n % 2]?.warn({}, `not taken over: line ${n}`);
  expect(inner.lines).toHaveLength(30);
  expect(inner.lines[1]).toMatchObject({ fields: { credential: 'b' } });
  log.close();
  expect(inner.lines.at(-1)).toMatchObject({
    fields: { credential: 'b', leftOut: 70 },
    message: 'not taken over: line 99',
  });
  expect(clock.armed).toEqual([]);
});

it('neither writes nor counts what is below the level', () => {
  for (let n = 0; n < 100; n++) log.debug({}, 'detail');
  expect(clock.armed).toEqual([]);
  log.level = 'debug';
  log.debug({}, 'detail');
  expect(inner.lines).toHaveLength(1);
});

it('keeps no more than a fixed number of kinds, whatever the messages are', async () => {
  for (let n = 0; n < 100_000; n++) log.info({}, `kind ${n}`);
  expect(inner.lines.length).toBeLessThanOrEqual(256 + 30);
  await clock.advance(60_000);
  log.info({}, 'a new kind');
  expect(inner.lines.at(-1)).toMatchObject({ fields: {}, message: 'a new kind' });
});
