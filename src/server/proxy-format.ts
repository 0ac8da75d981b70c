import type { Answer } from '../broker/ask.ts';
import type { SecretBytes } from '../credential/secret-bytes.ts';
import { BrokerError } from '../errors.ts';
import { type FormattedKey, VALUE } from './formats.ts';

const USER = ['username', 'user', 'login'];
const PASSWORD = ['password', 'pass', 'passwd'];
const COLON = 0x3a;

/**
 * `proxyAuthHelper`: the value of Proxy-Authorization. One value is a token (RFC 6750) unless the credential's
 * header_prefix names another scheme; a user and a password are Basic (RFC 7617).
 */
export function proxy({ key, secrets }: Answer, prefix: string | undefined): FormattedKey {
  const only = secrets.size === 1 ? secrets.get(VALUE) : undefined;
  const body = only === undefined ? basic(key.credential, secrets) : joined(prefix || 'Bearer ', only.bytes);
  return { contentType: 'text/plain; charset=us-ascii', body };
}

function basic(credential: string, secrets: ReadonlyMap<string, SecretBytes>): Buffer {
  const user = part(credential, secrets, USER);
  const password = part(credential, secrets, PASSWORD);
  if (user.bytes.includes(COLON)) {
    throw new BrokerError('ERR_KEY_UNUSABLE', `the user of "${credential}" has a colon in it`, {
      remedy: 'Basic authorization has no room for that: give the proxy another user',
    });
  }
  const pair = Buffer.concat([user.bytes, Buffer.of(COLON), password.bytes]);
  const encoded = Buffer.alloc(Math.ceil(pair.length / 3) * 4);
  encodeBase64(pair, encoded);
  pair.fill(0);
  const body = joined('Basic ', encoded);
  encoded.fill(0);
  return body;
}

function part(
  credential: string,
  secrets: ReadonlyMap<string, SecretBytes>,
  spellings: readonly string[],
): SecretBytes {
  const found = [...secrets].find(([name]) => spellings.includes(name.toLowerCase()))?.[1];
  if (found !== undefined) return found;
  throw new BrokerError('ERR_USAGE', `credential "${credential}" has no ${spellings[0]}, which a proxy's Basic needs`, {
    remedy: 'read both, as in fields = { username = "user", password = "password" }, or one value for Bearer',
  });
}

function joined(prefix: string, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(prefix), value]);
}

const ALPHABET = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
const PAD = 0x3d;

/** RFC 4648, section 4, for bytes: without a string that nobody can wipe. */
function encodeBase64(from: Uint8Array, to: Buffer): void {
  for (let at = 0, out = 0; at < from.length; at += 3) {
    const left = from.length - at;
    const group = ((from[at] ?? 0) << 16) | ((from[at + 1] ?? 0) << 8) | (from[at + 2] ?? 0);
    for (let digit = 0; digit < 4; digit += 1) {
      to[out++] = digit > left ? PAD : (ALPHABET[(group >> (18 - digit * 6)) & 63] ?? 0);
    }
  }
}
