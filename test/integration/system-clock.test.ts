import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { SystemClock } from '../../src/platform/clock.ts';

const CLOCK = new URL('../../src/platform/clock.ts', import.meta.url).href;
const PRINT_BOOT_MS = `
  const { SystemClock } = await import(${JSON.stringify(CLOCK)});
  const clock = new SystemClock();
  process.stdout.write(String(clock.now() - clock.timeline().offsetMs));
`;
const NODE = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', PRINT_BOOT_MS];
const inPast = (seconds: number) => ['-T', '--boottime', String(seconds), process.execPath, ...NODE];
const canShiftBootTime = spawnSync('unshare', inPast(1)).status === 0;

it('shows the wall clock, goes on with the time of an earlier run, and fires timers', async () => {
  const clock = new SystemClock();
  expect(Math.abs(clock.now() - clock.wall())).toBeLessThan(1000);

  const { bootId, offsetMs, lastSeenMs } = clock.timeline();
  const ahead = { bootId, offsetMs: offsetMs + 3_600_000, lastSeenMs: lastSeenMs + 3_600_000 };
  const later = new SystemClock({ timeline: ahead });
  expect(later.now()).toBeGreaterThan(lastSeenMs + 3_600_000 - 50);
  expect(later.timeline().offsetMs).toBe(ahead.offsetMs);
  const { nowMs, wallMs } = later.read();
  expect(Math.abs(nowMs - wallMs - 3_600_000)).toBeLessThan(1000);

  const start = clock.now();
  await new Promise<void>((resolve) => clock.after(5, resolve));
  expect(clock.now() - start).toBeGreaterThanOrEqual(5);
});

it.runIf(canShiftBootTime)('counts the time since boot that only the boot clock shows', () => {
  const here = Number(spawnSync(process.execPath, NODE, { encoding: 'utf8' }).stdout);
  const there = Number(spawnSync('unshare', inPast(7200), { encoding: 'utf8' }).stdout);
  expect(there - here).toBeGreaterThanOrEqual(7_200_000);
  expect(there - here).toBeLessThan(7_260_000);
});
