import { expect, it } from 'vitest';
import { BootTime, type ClockJump } from '../../../src/platform/boot.ts';
import { SystemClock } from '../../../src/platform/clock.ts';

/** A machine whose clocks a test moves; `uptimeReads` shows that the dear one is left alone. */
function machine() {
  const clocks = { wall: 1_900_000_000_000, monotonic: 50_000, uptime: 80_000 };
  const jumps: ClockJump[] = [];
  let uptimeReads = 0;
  const sources = {
    wallMs: () => clocks.wall,
    awakeMs: () => clocks.monotonic,
    uptimeMs: () => {
      uptimeReads++;
      return clocks.uptime;
    },
    bootTimeMs: undefined,
  };
  const bootTime = new BootTime(sources, (jump) => jumps.push(jump));
  return {
    clocks,
    jumps,
    bootTime,
    uptimeReads: () => uptimeReads,
    pass(ms: number) {
      clocks.wall += ms;
      clocks.monotonic += ms;
      clocks.uptime += ms;
    },
    sleep(ms: number) {
      clocks.wall += ms;
      clocks.uptime += ms;
    },
  };
}

it('is carried by the monotonic clock without asking for the uptime again', () => {
  const { bootTime, pass, uptimeReads } = machine();
  const before = uptimeReads();
  pass(1234);
  expect(bootTime.read()).toBe(81_234);
  expect(uptimeReads()).toBe(before);
});

it('counts a sleep at the very next reading and tells of it once', () => {
  const { bootTime, sleep, pass, jumps } = machine();
  sleep(3_600_000);
  expect(bootTime.read()).toBe(3_680_000);
  pass(10);
  expect(bootTime.read()).toBe(3_680_010);
  expect(jumps).toEqual([{ kind: 'sleep', byMs: 3_600_000 }]);
});

it('is not moved by somebody setting the wall clock, forward or back', () => {
  const { bootTime, clocks, jumps } = machine();
  clocks.wall -= 86_400_000;
  expect(bootTime.read()).toBe(80_000);
  clocks.wall += 7_200_000;
  expect(bootTime.read()).toBe(80_000);
  expect(jumps).toEqual([
    { kind: 'wall', byMs: -86_400_000 },
    { kind: 'wall', byMs: 7_200_000 },
  ]);
});

it('tells a sleep and a wall jump apart when both happened', () => {
  const { bootTime, clocks, sleep, jumps } = machine();
  sleep(60_000);
  clocks.wall += 5_000;
  expect(bootTime.read()).toBe(140_000);
  expect(jumps).toEqual([
    { kind: 'sleep', byMs: 60_000 },
    { kind: 'wall', byMs: 5_000 },
  ]);
});

it('finds on a tick a sleep that the wall clock hides', () => {
  const { bootTime, clocks } = machine();
  clocks.uptime += 30_000;
  expect(bootTime.read()).toBe(80_000);
  bootTime.look();
  expect(bootTime.read()).toBe(110_000);
});

it('takes no coarse reading for a sleep', () => {
  const { bootTime, clocks, jumps } = machine();
  clocks.uptime += 40;
  bootTime.look();
  expect(bootTime.read()).toBe(80_000);
  expect(jumps).toEqual([]);
});

it('reads clocks again when the process lost the processor in between', () => {
  let monotonic = 0;
  let interrupted = true;
  const sources = {
    wallMs: () => 1_000_000 + monotonic,
    awakeMs: () => monotonic,
    uptimeMs: () => {
      const uptime = 9_000 + monotonic;
      if (interrupted) monotonic += 700;
      interrupted = false;
      return uptime;
    },
    bootTimeMs: undefined,
  };
  const bootTime = new BootTime(sources, () => {});
  expect(bootTime.read() - monotonic).toBe(9_000);
});

it('believes the exact boot clock where there is one', () => {
  let boot = 5_000;
  const jumps: ClockJump[] = [];
  const sources = { wallMs: () => 1e12, awakeMs: () => 10, uptimeMs: () => 77, bootTimeMs: () => boot };
  const bootTime = new BootTime(sources, (jump) => jumps.push(jump));
  boot = 65_000;
  expect(bootTime.read()).toBe(65_000);
  boot = 64_000;
  expect(bootTime.read()).toBe(65_000);
});

it('notices a sleep on macOS, where the clock of timers counts it and only the time awake does not', () => {
  const hour = 3_600_000;
  const clocks = { wall: 1_900_000_000_000, awake: 10_000, boot: 50_000 };
  const jumpsOf = (awakeMs: () => number) => {
    const jumps: ClockJump[] = [];
    const sources = {
      wallMs: () => clocks.wall,
      awakeMs,
      timerMs: () => clocks.boot,
      uptimeMs: () => clocks.boot,
      bootTimeMs: () => clocks.boot,
    };
    return { clock: new SystemClock({ sources, bootId: 'a', onJump: (jump) => jumps.push(jump) }), jumps };
  };
  const told = jumpsOf(() => clocks.awake);
  const fooled = jumpsOf(() => clocks.boot);
  const before = told.clock.now();
  clocks.wall += hour;
  clocks.boot += hour;
  expect(told.clock.now() - before).toBe(hour);
  fooled.clock.now();
  expect(told.jumps).toEqual([{ kind: 'sleep', byMs: hour }]);
  expect(fooled.jumps).toEqual([]);
});
