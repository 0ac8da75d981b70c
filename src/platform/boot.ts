import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';

/** The raw clocks of the machine, all in milliseconds. */
export interface TimeSources {
  /** Since the epoch; anybody may set it. */
  readonly wallMs: () => number;
  /** Since some moment in the past; does not advance while the machine sleeps. */
  readonly awakeMs: () => number;
  /** Since boot, time asleep included; coarse (10 ms) and slow to read (a file). */
  readonly uptimeMs: () => number;
  /** Since boot, time asleep included; exact and cheap. Undefined without the native addon. */
  readonly bootTimeMs: (() => number) | undefined;
}

/** `sleep`: the machine was suspended for `byMs` · `wall`: the wall clock was set forward (back if negative) by `byMs`. */
export interface ClockJump {
  readonly kind: 'sleep' | 'wall';
  readonly byMs: number;
}

/** Smaller differences between wall and monotonic clock are drift, adjustment and coarse reading. */
const NOTICEABLE_MS = 500;
/** The uptime is compared rarely, and exactly enough to notice shorter sleeps. */
const NOTICEABLE_SLEEP_MS = 250;
/** Readings of two clocks that were taken further apart than this cannot be compared. */
const TOGETHER_MS = 20;

/**
 * Time since boot, time asleep included, from clocks that Node has. The monotonic clock carries it; the uptime is read to
 * detect a sleep only when wall and monotonic clock have drifted apart since the last look, or when a timer fired.
 */
export class BootTime {
  readonly #sources: TimeSources;
  readonly #onJump: (jump: ClockJump) => void;
  /** Time since boot minus monotonic time: grows by every sleep. */
  #aheadMs: number;
  /** Wall minus monotonic at the last look. */
  #wallAheadMs: number;
  #lastMs = 0;

  constructor(sources: TimeSources, onJump: (jump: ClockJump) => void) {
    this.#sources = sources;
    this.#onJump = onJump;
    this.#aheadMs = this.#aheadOfMonotonic(sources.bootTimeMs ?? sources.uptimeMs);
    this.#wallAheadMs = this.#aheadOfMonotonic(sources.wallMs);
  }

  /** Never goes backwards. @param wallMs as just read. */
  read(wallMs = this.#sources.wallMs()): number {
    const { awakeMs, bootTimeMs } = this.#sources;
    const monotonic = awakeMs();
    if (Math.abs(wallMs - monotonic - this.#wallAheadMs) > NOTICEABLE_MS) this.look();
    const ms = bootTimeMs?.() ?? monotonic + this.#aheadMs;
    this.#lastMs = Math.max(this.#lastMs, ms);
    return this.#lastMs;
  }

  /** Compares all clocks and reports a sleep or a jump since the last look. */
  look(): void {
    const { bootTimeMs, uptimeMs, wallMs } = this.#sources;
    const sinceLastMs = this.#aheadOfMonotonic(bootTimeMs ?? uptimeMs) - this.#aheadMs;
    const sleptMs = sinceLastMs > NOTICEABLE_SLEEP_MS ? sinceLastMs : 0;
    const wallAheadMs = this.#aheadOfMonotonic(wallMs);
    const setByMs = wallAheadMs - this.#wallAheadMs - sleptMs;
    const wasSet = Math.abs(setByMs) > NOTICEABLE_MS;
    this.#aheadMs += sleptMs;
    if (sleptMs > 0 || wasSet) this.#wallAheadMs = wallAheadMs;
    if (sleptMs > 0) this.#onJump({ kind: 'sleep', byMs: Math.round(sleptMs) });
    if (wasSet) this.#onJump({ kind: 'wall', byMs: Math.round(setByMs) });
  }

  /** The process may lose the processor between two readings: then they are taken again. */
  #aheadOfMonotonic(read: () => number): number {
    let aheadMs = 0;
    for (let attempt = 0; attempt < 5; attempt++) {
      const before = this.#sources.awakeMs();
      const reading = read();
      const after = this.#sources.awakeMs();
      aheadMs = reading - after;
      if (after - before <= TOGETHER_MS) break;
    }
    return aheadMs;
  }
}

/**
 * Identifies this boot of the machine, so that times since boot are compared only within one boot. Undefined where
 * the system has no such id: every start then counts as a boot of its own.
 */
export function currentBootId(platform: NodeJS.Platform = process.platform): string | undefined {
  if (platform === 'linux') return readBootId();
  if (platform === 'darwin') {
    const { status, stdout } = spawnSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' });
    return status === 0 && stdout.trim() !== '' ? stdout.trim() : undefined;
  }
  return undefined;
}

function readBootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** Pids and start times mean a process only within one boot and one pid namespace (pid_namespaces(7)). */
export function currentProcessSpace(): string {
  let namespace = '';
  try {
    namespace = readlinkSync('/proc/self/ns/pid');
  } catch {}
  return `${currentBootId() ?? randomUUID()} ${namespace}`;
}
