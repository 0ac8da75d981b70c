import { stripVTControlCharacters } from 'node:util';

const MAX_LENGTH = 160;
const REDACTED = '[redacted]';

/** What follows these words is taken for a secret, however short it is. */
const AFTER_WORD =
  /\b(password|passwd|secret|token|bearer|basic|api[-_ ]?key|apikey|credential)(["']?\s*[:=]\s*|\s+is\s+|\s+)(["']?)([^\s"',;]+)/gi;
/** 16 characters and more with letters and digits mixed: keys, tokens, digests, encoded blobs. */
const LONG_WORD = /[A-Za-z0-9+/=_.~-]{16,}/g;
const IN_URL = /(:\/\/)[^\s/@]+@/g;

/**
 * The first line of a command's stderr that says something, fit to be shown: without control characters, bounded, and
 * without anything that is or looks like a secret. `secrets` are those known for certain, whatever they look like.
 */
export function firstLine(stderr: string, secrets: readonly string[]): string {
  const lines = stripVTControlCharacters(stderr).split(/[\r\n]+/);
  let line = lines.map((each) => each.replaceAll(/[\p{C}\s]+/gu, ' ').trim()).find((each) => each !== '') ?? '';
  for (const secret of secrets) if (secret.length >= 4) line = line.replaceAll(secret, REDACTED);
  line = line
    .replaceAll(IN_URL, `$1${REDACTED}@`)
    .replaceAll(LONG_WORD, (word) => (looksSecret(word) ? REDACTED : word))
    .replaceAll(AFTER_WORD, (all, word: string, link: string, quote: string, value: string) =>
      /\s$/.test(link) && !/[:=]|is/.test(link) && !/\d/.test(value) ? all : `${word}${link}${quote}${REDACTED}`,
    );
  return line.length > MAX_LENGTH ? `${line.slice(0, MAX_LENGTH - 3)}...` : line;
}

/** Paths are judged part by part, so that a long one stays readable. */
function looksSecret(word: string): boolean {
  const parts = /^[~./]/.test(word) ? word.split('/') : [word];
  return parts.some((part) => part.length >= 16 && /\d/.test(part) && /[A-Za-z]/.test(part));
}
