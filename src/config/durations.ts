import { BrokerError } from '../errors.ts';

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const;

const MS_OF_UNIT = new Map<string, number>(UNITS);

/** Ten years: past any lease, short enough that sums of durations stay exact. */
export const LONGEST_DURATION_MS = 3650 * 86_400_000;

const WRITTEN = /^(?:\d{1,15}(?:ms|d|h|m|s))+$/;
const PART = /(\d+)(ms|d|h|m|s)/g;
const EXAMPLES = '"500ms", "90s", "15m", "24h", "7d" or "1h30m"';

/**
 * Milliseconds of a duration as the configuration writes it: whole numbers with the units `d`, `h`, `m`, `s`, `ms`,
 * largest first, each at most once. At most ten years.
 *
 * @throws BrokerError ERR_CONFIG with what is wrong and what to write instead.
 */
export function parseDuration(text: string): number {
  const written = text.trim();
  if (!WRITTEN.test(written)) throw refused(whatIsWrongWith(written), guessed(written));
  let total = 0;
  let last = Number.POSITIVE_INFINITY;
  for (const [, count, unit] of written.matchAll(PART)) {
    const size = MS_OF_UNIT.get(unit ?? '') ?? 0;
    if (size >= last) throw refused('the units of a duration go from large to small, each once', undefined);
    last = size;
    total += Number(count) * size;
  }
  if (total > LONGEST_DURATION_MS) throw refused('the duration is over ten years', undefined, 'write at most "3650d"');
  return total;
}

/** The shortest way to write `ms` (rounded to whole milliseconds) that `parseDuration` reads back as the same. */
export function formatDuration(ms: number): string {
  let rest = Math.max(0, Math.round(ms));
  if (rest === 0) return '0s';
  let text = '';
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  // A whole number of one unit reads better than its parts: 90s rather than 1m30s.
  for (const [unit, size] of UNITS) {
    const single = `${ms / size}${unit}`;
    if (ms % size === 0 && single.length < text.length && ms / size < 1000) return single;
  }
  return text;
}

function whatIsWrongWith(written: string): string {
  if (written === '') return 'the duration is empty';
  if (/^\d+$/.test(written)) return 'the duration has no unit';
  if (written.startsWith('-')) return 'a duration cannot be negative';
  if (/^\d*\.\d+/.test(written)) return 'a duration has whole numbers only';
  return 'this is not a duration';
}

/** What was most likely meant, if that can be said; a number without a unit is read as seconds. */
function guessed(written: string): string | undefined {
  const words: Record<string, string> = { second: 's', sec: 's', minute: 'm', min: 'm', hour: 'h', hr: 'h', day: 'd' };
  const guess = written
    .toLowerCase()
    .replace(/^\+/, '')
    .replaceAll(/[\s_,]+/g, '')
    .replaceAll(/(second|sec|minute|min|hour|hr|day)s?/g, (_, word: string) => words[word] ?? '')
    .replace(/^(\d+)$/, '$1s');
  return guess !== written && WRITTEN.test(guess) && guess.length < 20 ? guess : undefined;
}

function refused(message: string, guess: string | undefined, remedy?: string): BrokerError {
  return new BrokerError('ERR_CONFIG', message, {
    remedy: remedy ?? (guess === undefined ? `write a duration like ${EXAMPLES}` : `write "${guess}"`),
  });
}
