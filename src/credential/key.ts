import { ProviderError } from '../errors.ts';
import { LONGEST_KEY } from '../protocol/request.ts';
import type { KeyLife } from './life.ts';
import { asUtf8, parseJson, SecretBytes } from './secret.ts';

/**
 * Everything the broker knows about one fetched key but the key itself, so that policy can judge it and status can
 * show it.
 */
export interface KeyVersion extends KeyLife {
  readonly credential: string;
  /** Identifies the provider configuration and secret it was read from; a key whose source changed is dropped. */
  readonly sourceFingerprint: string;
  /** The provider's own word for it (KV v2 version number, AWS VersionId), else undefined. */
  readonly version: string | undefined;
  /** Keyed digest of the value: tells two values apart without holding either. */
  readonly digest: string;
  /** Start of the request that fetched it. */
  readonly issuedAtMs: number;
  /** What said when the value expires; `unknown` for static secrets, which have a ttl instead. */
  readonly expirySource: 'jwt' | 'field' | 'provider' | 'unknown';
  readonly isJwt: boolean;
}

const FIRST_PRINTABLE = 0x21;
const LAST_PRINTABLE = 0x7e;

const isWhiteSpace = (byte: number) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);

/** Surrounding white space is trimmed, as the client does: most secrets are stored with a newline at the end. */
export function trimKey(raw: Buffer): Buffer {
  let start = 0;
  let end = raw.length;
  while (start < end && isWhiteSpace(raw[start] ?? 0)) start += 1;
  while (end > start && isWhiteSpace(raw[end - 1] ?? 0)) end -= 1;
  return raw.subarray(start, end);
}

/** Why the client would refuse these bytes as a key; undefined if it would take them. */
export function keyFault(key: Buffer): string | undefined {
  if (key.length === 0) return 'it is empty';
  if (key.length > LONGEST_KEY) return `it is ${key.length} characters long, and the limit is ${LONGEST_KEY}`;
  for (const byte of key) {
    if (byte >= FIRST_PRINTABLE && byte <= LAST_PRINTABLE) continue;
    if (byte === 0x0a || byte === 0x0d) return 'it has more than one line';
    if (isWhiteSpace(byte)) return 'it has white space inside';
    return byte > LAST_PRINTABLE ? 'it has characters that are not ASCII' : 'it has control characters';
  }
  return undefined;
}

/** What the client would take for a key, and the API never. */
interface Mistake {
  readonly what: string;
  readonly remedy: string;
}

const STORE_THE_VALUE = 'store the value that it stands for';
const OR_READ_IT = 'or let a provider of type exec read it';

const MISTAKES: readonly (Mistake & { readonly form: RegExp })[] = [
  {
    // What jq, Python, JavaScript, Go and Ruby print for nothing, and what a comparison prints.
    form: /^["'(<]?(?:null|none|nil|undefined|nan|n\/a|true|false)[)>"']?$/i,
    what: 'it is a word like null, which programs print for nothing',
    remedy: 'store the key itself, and let what reads it name the right entry',
  },
  {
    form: /^(["'`]).*\1$/,
    what: 'it is in quotes',
    remedy: 'store it without the quotes around it (jq prints it so with -r)',
  },
  {
    form: /^op:\/\//i,
    what: 'it is a reference to a secret (op://...)',
    remedy: `${STORE_THE_VALUE}, ${OR_READ_IT}: command = ["op", "read", "op://..."]`,
  },
  {
    form: /^arn:aws[\w-]*:/i,
    what: 'it is the name of an AWS resource (arn:...)',
    remedy: `${STORE_THE_VALUE}, or make it the secret_id of a credential of type aws-secrets-manager`,
  },
  {
    form: /^(?:vault:v\d+:|ENC\[|\$ANSIBLE_VAULT|age-encryption\.org)/,
    what: 'it is encrypted (by Vault transit, sops, Ansible or age)',
    remedy: 'store it decrypted',
  },
  {
    // Of vals, Bank-Vaults, Bitwarden, Azure, Google Cloud and the like.
    form: /^(?:ref\+[\w+-]+:|(?:vault|env|file|keychain|keyring|secretref|ssm|aws-?ssm):|(?:bws?|secret|aws-?sm|gcp-?sm|gsm|az-?kv|akv|keyvault|infisical|doppler|dl|keeper):\/\/|@Microsoft\.KeyVault\(|projects\/[^/]+\/secrets\/)/i,
    what: 'it is a reference to a secret',
    remedy: `${STORE_THE_VALUE}, ${OR_READ_IT}`,
  },
  {
    form: /^(?:\$\{[^}]*\}|\$\([^)]*\)|\{\{.*\}\}|<[^<>]*>|%[A-Z_]+%|\*+|\$[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)$/,
    what: 'it is a placeholder that was not filled in',
    remedy: 'store the key itself',
  },
  {
    // As examples have it: your-api-key-here, sk-ant-..., sk-ant-api03-xxxx.
    form: /^(?:sk-[\w-]*?)?(?:(?:your|insert|paste|replace)[\w-]*(?:key|token|secret|here|me)[\w-]*|\.{3,}|-?x{4,})$/i,
    what: 'it is an example that nobody filled in',
    remedy: 'store the key itself',
  },
  {
    form: /^(?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|\w*(?:[Kk]ey|KEY|[Tt]oken|TOKEN|[Ss]ecret|SECRET|[Pp]assword|PASSWORD))=[^=]/,
    what: 'it is an assignment (NAME=value)',
    remedy: 'store what comes after the = alone',
  },
];

const JSON_TEXT: Mistake = {
  what: 'it is JSON',
  remedy: 'store the bare key; if a command prints this, remove output = "text" and set `field` to the name of the key',
};

/** All of these have such a character, or are short; any other key is spared the copy to a string. */
const MARKS = Buffer.from('"\'`:=$%<>({[*/');
const LONGEST_WORD = 12;
const LONGEST_EXAMPLE = 60;
/** What examples have in them; looked for in the bytes. */
const EXAMPLES = ['your', 'Your', 'YOUR', 'nsert', 'NSERT', 'aste', 'ASTE', 'eplace', 'EPLACE', '...', 'xxxx', 'XXXX'];

/** What these bytes are instead of a key, although the client would take them; undefined: nothing speaks against them. */
export function mistakenForKey(key: Buffer): Mistake | undefined {
  let marks = 0;
  for (const byte of key) if (MARKS.includes(byte)) marks += 1;
  const isExample = key.length <= LONGEST_EXAMPLE && EXAMPLES.some((word) => key.includes(word));
  if (key.length > LONGEST_WORD && marks === 0 && !isExample) return undefined;
  const text = key.toString('latin1');
  const mistake = MISTAKES.find(({ form }) => form.test(text));
  return mistake ?? (parseJson(text) === undefined ? undefined : JSON_TEXT);
}

/** Why this is not a key: the client would refuse it, or take it for one by mistake. Undefined: it may be one. */
export function whyNotAKey(text: string): string | undefined {
  const trimmed = trimKey(Buffer.from(text));
  return keyFault(trimmed) ?? mistakenForKey(trimmed)?.what;
}

/**
 * A copy of `raw` fit to serve; the caller still owns and wipes `raw`.
 * @param origin where it came from, for the message: never the value.
 * @throws ProviderError `misconfigured` with code ERR_KEY_UNUSABLE.
 */
export function toKey(raw: Buffer, origin: string): SecretBytes {
  const text = asUtf8(raw);
  const key = Buffer.from(trimKey(text));
  if (text.buffer !== raw.buffer) text.fill(0);
  const fault = keyFault(key);
  const mistake = fault === undefined ? mistakenForKey(key) : { what: fault, remedy: STORE_THE_KEY };
  if (mistake === undefined) return SecretBytes.from(key);
  key.fill(0);
  throw unusableKey(origin, mistake.what, mistake.remedy);
}

const STORE_THE_KEY = 'store the bare key there (printable ASCII, one line), or name the right one with `field`';

export function unusableKey(origin: string, fault: string, remedy: string): ProviderError {
  return new ProviderError('misconfigured', `${origin} is not a key that Claude Code accepts: ${fault}`, {
    code: 'ERR_KEY_UNUSABLE',
    remedy,
  });
}
