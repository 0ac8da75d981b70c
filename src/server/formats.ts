import type { OpenedKey } from '../broker/api.ts';
import { canBeRenewed, certainEnd, possibleEnd } from '../credential/life.ts';
import type { SecretBytes } from '../credential/secret.ts';
import { BrokerError } from '../errors.ts';
import { duration } from '../platform/text.ts';
import { DEFAULT_HEADER, type HeaderForm } from '../protocol/request.ts';

/** A key as it goes over the wire. The server wipes `body` when it is written; it may be the secret's own buffer. */
interface FormattedKey {
  readonly contentType: string;
  readonly body: Buffer;
}

interface FormatContext {
  /** RFC 3339; undefined where the expiry is unknown. */
  readonly expiresAt: string | undefined;
}

/** Throws a BrokerError if this key cannot be put in this format. Leaves no copy of a secret behind but `body`. */
export type Formatter = (answer: OpenedKey, context: FormatContext) => FormattedKey;

/** The formats that every server has; `headers`, `aws` and `proxy` are handed in. */
export const BASIC_FORMATS: ReadonlyMap<string, Formatter> = new Map([
  ['raw', raw],
  ['json', json],
  ['env', env],
]);

const PLAIN = 'text/plain; charset=us-ascii';

/** As the cache names the value of a credential that has only one. */
const VALUE = 'value';

function raw(answer: OpenedKey): FormattedKey {
  const { bytes } = onlyValue(answer, 'ask for another format: --format json, headers, aws or proxy');
  return { contentType: PLAIN, body: bytes };
}

/** `broker run`: the key, and after a space what its user has to know of its end, if that is known. */
function env(answer: OpenedKey): FormattedKey {
  const { bytes } = onlyValue(answer, 'a variable holds one value: make a credential of each, with field = "NAME"');
  const life = remainingLife(answer);
  return { contentType: PLAIN, body: life === '' ? bytes : Buffer.concat([bytes, Buffer.from(` ${life}`)]) };
}

function onlyValue({ key, secrets }: OpenedKey, remedy: string): SecretBytes {
  const value = secrets.get(VALUE);
  if (value === undefined || secrets.size !== 1) {
    const message = `${key.credential} has several fields (${[...secrets.keys()].join(', ')})`;
    throw new BrokerError('ERR_USAGE', message, { remedy });
  }
  return value;
}

function remainingLife({ key, at }: OpenedKey): string {
  const living = { key, login: undefined };
  const endMs = certainEnd(living);
  if (endMs === undefined) return '';
  const last = possibleEnd(living);
  const left = `its key lives for ${duration(endMs - at.nowMs)}`;
  const after = 'a program that runs longer has to be started again';
  if (!canBeRenewed(living)) return `${left}; ${after}`;
  const most = last === undefined ? '' : `, to ${duration(last - at.nowMs)} at most`;
  return `${left}, longer while the broker renews it${most}; ${after}`;
}

/** `key` for a single value, else `fields`; then what the headers say of it. */
function json({ key, secrets, state }: OpenedKey, { expiresAt }: FormatContext): FormattedKey {
  const facts = { credential: key.credential, version: key.version ?? null, expiresAt: expiresAt ?? null, state };
  const value = secrets.size === 1 ? secrets.get(VALUE) : undefined;
  const parts: Buffer[] = [Buffer.from(`${JSON.stringify(facts).slice(0, -1)},`)];
  if (value !== undefined) {
    parts.push(Buffer.from('"key":'), jsonString(value.bytes));
  } else {
    [...secrets].forEach(([name, secret], index) => {
      parts.push(Buffer.from(`${index === 0 ? '"fields":{' : ','}${JSON.stringify(name)}:`), jsonString(secret.bytes));
    });
    parts.push(Buffer.from('}'));
  }
  parts.push(Buffer.from('}'));
  const body = Buffer.concat(parts);
  for (const part of parts) part.fill(0);
  return { contentType: 'application/json', body };
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** JSON.stringify for bytes of UTF-8, without a string, which could not be wiped. */
export function jsonString(text: Uint8Array): Buffer {
  const out = Buffer.alloc(text.length * 6 + 2);
  let length = out.write('"');
  for (const byte of text) {
    if (byte < 0x20) length += out.write(`\\u${byte.toString(16).padStart(4, '0')}`, length);
    else {
      if (byte === QUOTE || byte === BACKSLASH) out[length++] = BACKSLASH;
      out[length++] = byte;
    }
  }
  length += out.write('"', length);
  return out.subarray(0, length);
}

/** What the helper takes of a format with several values. */
const LONGEST_BODY = 65_535;

/** The formats of the client's other settings that run a helper: one line of printable ASCII, as the client parses it. */
export function clientFormats(
  headerOf: (credential: string) => HeaderForm | undefined,
): ReadonlyMap<string, Formatter> {
  return new Map<string, Formatter>([
    ['headers', (answer) => headers(answer, headerOf(answer.key.credential) ?? DEFAULT_HEADER)],
    ['aws', aws],
    ['proxy', (answer) => proxy(answer, headerOf(answer.key.credential)?.prefix)],
  ]);
}

/** `otelHeadersHelper` and `headersHelper`: an object of strings. Several values are as many headers, by their names. */
function headers({ key, secrets }: OpenedKey, form: HeaderForm): FormattedKey {
  const only = secrets.size === 1 ? secrets.get(VALUE) : undefined;
  const pairs =
    only === undefined ? [...secrets].map(([name, value]) => pair(name, value)) : [pair(form.name, only, form.prefix)];
  return jsonAnswer(key.credential, [Buffer.from('{'), ...joined(pairs), Buffer.from('}')]);
}

/** The names that Vault's AWS engine, STS and people give to the three parts, after case and underscores are taken out. */
const AWS_PARTS = [
  ['AccessKeyId', ['accesskey', 'accesskeyid', 'awsaccesskeyid']],
  ['SecretAccessKey', ['secretkey', 'secretaccesskey', 'awssecretaccesskey']],
  ['SessionToken', ['sessiontoken', 'securitytoken', 'awssessiontoken']],
] as const;

/** `awsCredentialExport`: what `aws sts assume-role` prints. The client takes temporary credentials only. */
function aws({ key, secrets }: OpenedKey, { expiresAt }: FormatContext): FormattedKey {
  const plain = new Map([...secrets].map(([name, value]) => [name.toLowerCase().replaceAll(/[_.-]/g, ''), value]));
  const pairs = AWS_PARTS.map(([name, spellings]) => {
    const found = spellings.flatMap((spelling) => plain.get(spelling) ?? [])[0];
    if (found === undefined) throw lacks(key.credential, name);
    return pair(name, found);
  });
  if (expiresAt !== undefined) pairs.push(Buffer.from(`"Expiration":${JSON.stringify(expiresAt)}`));
  return jsonAnswer(key.credential, [Buffer.from('{"Credentials":{'), ...joined(pairs), Buffer.from('}}')]);
}

function lacks(credential: string, part: string): BrokerError {
  const fields = '{ access_key = "access_key", secret_key = "secret_key", session_token = "security_token" }';
  return new BrokerError('ERR_USAGE', `credential "${credential}" has no ${part}, which AWS credentials need`, {
    remedy: `read all three, as in fields = ${fields}, from a role that issues temporary credentials`,
  });
}

function pair(name: string, value: SecretBytes, prefix = ''): Buffer {
  const text = Buffer.concat([Buffer.from(prefix), value.bytes]);
  const quoted = jsonString(text);
  text.fill(0);
  const whole = Buffer.concat([Buffer.from(`${JSON.stringify(name)}:`), quoted]);
  quoted.fill(0);
  return whole;
}

function joined(pairs: readonly Buffer[]): Buffer[] {
  return pairs.flatMap((each, index) => (index === 0 ? [each] : [Buffer.from(','), each]));
}

/** Takes the parts over and wipes them. */
function jsonAnswer(credential: string, parts: readonly Buffer[]): FormattedKey {
  const body = Buffer.concat(parts);
  for (const part of parts) part.fill(0);
  if (body.length <= LONGEST_BODY) return { contentType: 'application/json', body };
  body.fill(0);
  throw new BrokerError('ERR_KEY_UNUSABLE', `the values of "${credential}" are longer than 64 KiB together`, {
    remedy: 'take fewer of them with fields',
  });
}

const USER = ['username', 'user', 'login'];
const PASSWORD = ['password', 'pass', 'passwd'];
const COLON = 0x3a;

/**
 * `proxyAuthHelper`: the value of Proxy-Authorization. One value is a token (RFC 6750) unless the credential's
 * header_prefix names another scheme; a user and a password are Basic (RFC 7617).
 */
function proxy({ key, secrets }: OpenedKey, prefix: string | undefined): FormattedKey {
  const only = secrets.size === 1 ? secrets.get(VALUE) : undefined;
  const body = only === undefined ? basic(key.credential, secrets) : prefixed(prefix || 'Bearer ', only.bytes);
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
  const body = prefixed('Basic ', encoded);
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

function prefixed(prefix: string, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(prefix), value]);
}

const ALPHABET = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
const PAD = 0x3d;

/** RFC 4648, section 4, for bytes: without a string, which could not be wiped. */
function encodeBase64(from: Uint8Array, to: Buffer): void {
  for (let at = 0, out = 0; at < from.length; at += 3) {
    const left = from.length - at;
    const group = ((from[at] ?? 0) << 16) | ((from[at + 1] ?? 0) << 8) | (from[at + 2] ?? 0);
    for (let digit = 0; digit < 4; digit += 1) {
      to[out++] = digit > left ? PAD : (ALPHABET[(group >> (18 - digit * 6)) & 63] ?? 0);
    }
  }
}
