import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { PlaceKeeper } from '../../../src/daemon/places.ts';
import { silentLog } from '../../../src/platform/log.ts';
import { temporaryFolder } from '../../fakes/cache.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

/** A keeper over the folder of one file, which `isRight` is asked about. */
async function keep(isRight: boolean) {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'state'));
  const file = join(folder, 'state', 'cache.db');
  writeFileSync(file, 'x');
  const clock = new FakeClock();
  const asked = Promise.withResolvers<string>();
  let looks = 0;
  const keeper = new PlaceKeeper({
    places: [
      {
        name: 'database',
        look: async () => {
          looks += 1;
          return undefined;
        },
      },
    ],
    watched: () => [file],
    clock,
    log: silentLog,
    isRight: (name) => {
      asked.resolve(name);
      return isRight && name === 'cache.db';
    },
    onDisplaced: () => undefined,
  });
  onTestFinished(() => keeper.close());
  await keeper.start();
  return { file, clock, asked: asked.promise, looks: () => looks };
}

test('what the daemon writes to its own database arms no timer', async () => {
  const { file, clock, asked, looks } = await keep(true);
  writeFileSync(file, 'more', { flag: 'a' });
  expect(await asked).toBe('cache.db');
  expect(clock.armed).toEqual([]);
  expect(looks()).toBe(1);
});

test('a database that is not as it should be after a change is looked at', async () => {
  const { file, clock, looks } = await keep(false);
  writeFileSync(file, '');
  await clock.whenArmed();
  await clock.advance(250);
  await expect.poll(looks).toBe(2);
});

test('one that was removed is looked at, whatever is thought of it', async () => {
  const { file, clock, looks } = await keep(true);
  rmSync(file);
  await clock.whenArmed();
  await clock.advance(250);
  await expect.poll(looks).toBe(2);
});
