/** As much of a server's words as a message has room for. */
const LONGEST = 160;

/** The tokens of Vault (hvs.) and OpenBao (s.; b. in base64url), JWTs, and the UUIDs that secret-ids are. */
const SECRET_SHAPES =
  /\b(?:hv[sbr]\.[\w-]{8,}|[sbr]\.[\w-]{20,}|eyJ[\w-]{8,}(?:\.[\w-]*){1,2}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/gi;

/**
 * Vault's own `errors` (or `warnings`) as one harmless line: printable, bounded, and without anything that the request
 * held as a secret or that has a secret's shape. Undefined if there is nothing to say.
 */
export function serverWords(messages: readonly string[], secrets: readonly string[]): string | undefined {
  const plain = messages
    .flatMap((message) => message.replace(/^\d+ errors? occurred:/, '').split(/\n\s*\*\s*/))
    .map((part) => part.replaceAll(/[^\x20-\x7e]+/g, ' ').trim())
    .filter((part) => part !== '');
  let line = [...new Set(plain)].join('; ');
  for (const secret of secrets) if (secret.length >= 4) line = line.replaceAll(secret, '[redacted]');
  line = line.replaceAll(SECRET_SHAPES, '[redacted]').replaceAll(/\s+/g, ' ');
  if (line === '') return undefined;
  line = line.replace(/\.$/, '');
  return line.length > LONGEST ? `${line.slice(0, LONGEST - 3)}...` : line;
}
