import { SecretBytes } from '../credential/secret.ts';
import type { SecretFields } from './cache.ts';

/**
 * The plaintext of a sealed key: per field the length of its name (4 bytes, big endian), the name, the length of its
 * value, the value. Field names are sealed with the values. The caller wipes.
 */
export function packSecrets(secrets: SecretFields): Buffer {
  const fields = [...secrets].map(([name, secret]) => ({ name: Buffer.from(name, 'utf8'), value: secret.bytes }));
  const packed = Buffer.alloc(fields.reduce((sum, { name, value }) => sum + 8 + name.length + value.length, 0));
  let at = 0;
  const append = (bytes: Buffer) => {
    at = packed.writeUInt32BE(bytes.length, at);
    at += bytes.copy(packed, at);
  };
  for (const { name, value } of fields) {
    append(name);
    append(value);
  }
  return packed;
}

/** The values are views into `packed`, not copies: wiping each of them wipes every secret byte of it. */
export function unpackSecrets(packed: Buffer): SecretFields {
  const secrets = new Map<string, SecretBytes>();
  let at = 0;
  const next = (): Buffer => {
    const start = at + 4;
    at = start + packed.readUInt32BE(at);
    return packed.subarray(start, at);
  };
  while (at < packed.length) secrets.set(next().toString('utf8'), SecretBytes.from(next()));
  return secrets;
}

export function wipeSecrets(secrets: SecretFields): void {
  for (const secret of secrets.values()) secret.wipe();
}
