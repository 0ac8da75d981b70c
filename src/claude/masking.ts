import { createHmac } from 'node:crypto';

/** Prefixes that say what kind of secret it is and nothing about its value. */
const KINDS = [
  'sk-ant-api03-',
  'sk-ant-oat01-',
  'sk-ant-ort01-',
  'sk-ant-admin01-',
  'sk-ant-',
  'sk-',
  'hvs.',
  'AKIA',
  'ASIA',
  'eyJ',
] as const;

/** Under this length a digest would let somebody guess the value. */
const SHORTEST_FINGERPRINTED = 20;

/** What may be shown of a secret: its kind, its length and a digest that tells two of them apart. */
export function fingerprint(secret: string): string {
  const value = secret.trim();
  const length = `${value.length} characters`;
  if (value.length < SHORTEST_FINGERPRINTED) return `(${length})`;
  const kind = KINDS.find((prefix) => value.startsWith(prefix)) ?? '';
  // The key is no secret: it keeps these digests from being looked up in tables of plain SHA-256.
  const digest = createHmac('sha256', 'broker doctor fingerprint').update(value).digest('hex').slice(0, 8);
  return `${kind}… (${length}, #${digest})`;
}

/** Text with every one of `secrets` replaced; the last net under everything that is printed. */
export function scrub(text: string, secrets: Iterable<string>): string {
  let result = text;
  for (const secret of secrets) {
    if (secret.length >= 4 && result.includes(secret)) result = result.replaceAll(secret, '…');
  }
  return result;
}

/** A URL without what may stand before the `@` or behind the `?`. */
export function maskUrl(url: string): string {
  if (!URL.canParse(url)) return '(no URL)';
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`;
}
