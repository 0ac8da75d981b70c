import { stripVTControlCharacters } from 'node:util';
import { SecretBytes } from '../../credential/secret.ts';
import { ProviderError } from '../../errors.ts';
import type { SecretContent } from '../provider.ts';

/** Makes a secret of what a command printed, and wipes the bytes it got. `who` names the command. */
export function contentOf(stdout: Buffer, output: 'auto' | 'text' | 'json', who: string): SecretContent {
  try {
    const trimmed = trim(stdout);
    if (trimmed.length === 0) {
      throw new ProviderError('misconfigured', `${who} succeeded but printed nothing`, {
        remedy: 'let the command print the key on stdout',
      });
    }
    const json = output === 'text' ? undefined : objectIn(trimmed);
    if (json !== undefined) return { kind: 'json', json };
    if (output !== 'json') return { kind: 'text', text: SecretBytes.from(Buffer.from(trimmed)) };
    throw new ProviderError('misconfigured', `${who} printed no JSON object, but output = "json" asks for one`, {
      remedy: 'correct the command, or remove output from the credential',
    });
  } finally {
    stdout.fill(0);
  }
}

function trim(bytes: Buffer): Buffer {
  let start = 0;
  let end = bytes.length;
  while (start < end && isSpace(bytes[start])) start++;
  while (end > start && isSpace(bytes[end - 1])) end--;
  return bytes.subarray(start, end);
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
}

function objectIn(bytes: Buffer): Readonly<Record<string, unknown>> | undefined {
  if (bytes[0] !== 0x7b) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8')) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}

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
