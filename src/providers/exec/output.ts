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
