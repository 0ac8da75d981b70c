import { createHmac } from 'node:crypto';

export const TOTP_PERIOD_MS = 30_000;

/** The six digits of a moment (RFC 6238, SHA-1), as every authenticator app shows them. */
export function totpAt(key: Buffer, nowMs: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(nowMs / TOTP_PERIOD_MS)));
  const digest = createHmac('sha1', key).update(counter).digest();
  const offset = (digest.at(-1) ?? 0) & 0x0f;
  const truncated = digest.readUInt32BE(offset) & 0x7fffffff;
  return String(truncated % 1_000_000).padStart(6, '0');
}
