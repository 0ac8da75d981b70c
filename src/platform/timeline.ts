/**
 * Ties the steady clock of one run to that of the next: within one boot the offset is reused, so that stored times
 * mean the same moment whatever happened to the wall clock; after another boot steady time starts no earlier than
 * `lastSeenMs`, because that much has certainly passed.
 */
export interface Timeline {
  readonly bootId: string;
  /** Steady time minus time since boot, in milliseconds. */
  readonly offsetMs: number;
  readonly lastSeenMs: number;
}

interface EarlierRun {
  /** Undefined for the very first run. */
  readonly previous: Timeline | undefined;
  readonly bootId: string;
  readonly bootMs: number;
  readonly wallMs: number;
}

/** Two readings of the time since boot may differ by this much without any meaning. */
const COARSE_MS = 1000;

/**
 * Ties this run's steady clock to the last one's. Within one boot the offset is taken over as it is, so that stored
 * times mean the same moment even if the wall clock was set in between. After another boot there is only the wall
 * clock to go by, and it may be wrong: steady time never starts before what was already seen.
 */
export function anchorOffset({ previous, bootId, bootMs, wallMs }: EarlierRun): number {
  if (previous === undefined) return wallMs - bootMs;
  if (previous.bootId === bootId) {
    const backMs = previous.lastSeenMs - (previous.offsetMs + bootMs);
    return backMs > COARSE_MS ? previous.offsetMs + backMs : previous.offsetMs;
  }
  return Math.max(wallMs, previous.lastSeenMs) - bootMs;
}
