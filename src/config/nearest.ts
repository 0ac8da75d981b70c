import { distance } from 'fastest-levenshtein';

/**
 * The candidate that `word` was most likely meant to be; undefined if none is near. `apiKey`, `api-key` and `API_KEY`
 * are all next to `api_key`.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = plain(word.slice(0, 100));
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const plainCandidate = plain(candidate);
    const d = swapped(wanted, plainCandidate) ? 1 : distance(wanted, plainCandidate);
    const longer = Math.max(wanted.length, plainCandidate.length);
    const near = d <= Math.max(1, Math.floor((longer + 1) / 3)) && d < longer;
    const begins = wanted.length >= 3 && (plainCandidate.startsWith(wanted) || wanted.startsWith(plainCandidate));
    const rank = near ? d : begins ? d + 100 : Number.POSITIVE_INFINITY;
    if (rank < bestDistance) {
      best = candidate;
      bestDistance = rank;
    }
  }
  return best;
}

/** The same letters in another order, as fingers type them. */
function swapped(a: string, b: string): boolean {
  return a.length > 2 && a !== b && [...a].sort().join() === [...b].sort().join();
}

function plain(word: string): string {
  return word.toLowerCase().replaceAll(/[-_. ]/g, '');
}
