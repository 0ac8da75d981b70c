/** A marked value that the provider has returned once: perhaps by a replica that lags behind. */
export interface Doubt {
  readonly digest: string;
  /** When that read began. */
  readonly atMs: number;
}

interface VersionedValue {
  readonly digest: string;
  readonly version: string | undefined;
}

/** Replicas are level by then. */
const SECOND_LOOK_MS = 10_000;

/**
 * A mark says "not this value while the provider has another". The provider has now returned the marked value after another,
 * so that the other one is gone, unless a replica lags behind: a newer version settles it, else a second read does.
 * @param present the key that is served until then; undefined: there is nothing else to serve.
 * @returns undefined: the mark is gone.
 */
export function doubtMarked(
  marked: VersionedValue,
  present: VersionedValue | undefined,
  doubt: Doubt | undefined,
  readAtMs: number,
): Doubt | undefined {
  if (present === undefined || isNewerVersion(marked.version, present.version)) return undefined;
  const atMs = doubt?.digest === marked.digest ? doubt.atMs : readAtMs;
  return readAtMs - atMs < SECOND_LOOK_MS ? { digest: marked.digest, atMs } : undefined;
}

export function secondLookAt({ atMs }: Doubt): number {
  return atMs + SECOND_LOOK_MS;
}

/** Versions that are numbers are in order; others are not. */
function isNewerVersion(version: string | undefined, former: string | undefined): boolean {
  const [next, last] = [Number(version ?? Number.NaN), Number(former ?? Number.NaN)];
  return Number.isInteger(next) && Number.isInteger(last) && next > last;
}
