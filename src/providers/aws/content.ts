import { SecretBytes } from '../../credential/secret-bytes.ts';
import type { SecretContent } from '../provider.ts';

/** A text that is a JSON object is walked with `field`; every other text is the key itself. */
export function contentOfText(text: string): SecretContent {
  return objectIn(text) ?? { kind: 'text', text: SecretBytes.fromString(text) };
}

/** Takes over the bytes of a binary secret; wiped here if they turn out to be a JSON object. */
export function contentOfBytes(bytes: Uint8Array): SecretContent {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const content = objectIn(buffer.toString('utf8'));
  if (content === undefined) return { kind: 'text', text: SecretBytes.from(buffer) };
  buffer.fill(0);
  return content;
}

function objectIn(text: string): SecretContent | undefined {
  if (!/^\s*\{/.test(text)) return undefined;
  try {
    return { kind: 'json', json: JSON.parse(text) as Record<string, unknown> };
  } catch {
    return undefined;
  }
}
