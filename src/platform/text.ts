import { createHmac, randomBytes } from 'node:crypto';
import { stripVTControlCharacters } from 'node:util';

/**
 * Makes foreign text (of a server, a command, a file, a person's settings) fit to be shown, logged or stored: the one list
 * of what looks like a secret, and the one way to remove it.
 */
export const REDACTED = '[redacted]';

/** Prefixes that say what kind of secret a value is, and nothing else about it. Longer ones precede those they begin with. */
const KINDS = [
  'sk-ant-api03-',
  'sk-ant-oat01-',
  'sk-ant-ort01-',
  'sk-ant-admin01-',
  'sk-ant-',
  'sk-proj-',
  'sk-',
  'hvs.',
  'hvb.',
  'hvr.',
  'github_pat_',
  'ghp_',
  'xoxb-',
  'AKIA',
  'ASIA',
  'eyJ',
] as const;

/**
 * Text that is a secret by its shape, wherever it is found: tokens of Vault (hvs.) and OpenBao (s., b. and r.), API keys,
 * GitHub's and Slack's tokens, AWS access key ids, JWTs, PEM blocks.
 */
const SHAPES =
  /\b(?:hv[sbr]\.[\w-]{8,}|[sbr]\.(?=[\w-]*\d)[\w-]{20,}|sk-(?:ant|proj)-[\w-]*|sk-[A-Za-z0-9]{20,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|xox[abpr]-[\w-]{10,}|A[KS]IA[A-Z0-9]{16}\b|eyJ[\w-]{8,})(?:[\w.+/=-]*[\w+/=-])?|-----BEGIN [\s\S]*?(?:-----END [A-Z ]*-----|$)/g;
const USER_IN_URL = /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/?#@]+@/gi;
const PASSWORD_IN_URL = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s/?#@:]*:)[^\s/?#]*(@)/gi;
/** Vault's secret-ids and accessors are UUIDs. */
const UUID = /\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi;
/** If it mixes letters and digits: a key, a digest, an encoded blob. */
const LONG_WORD = /[A-Za-z0-9+/=_.~-]{16,}/g;
/** The text after such a word is taken for its value, however short it is. */
const NAMED =
  /\b((?:[\w-]*[_-])?(?:password|passwd|passphrase|pgpassword|pwd|secret|token|bearer|basic|api[-_ ]?key|apikey|credential|pin|otp|passcode)s?)(["']?\s*[:=]\s*|\s+is\s+|\s+)(["']?)([^\s"',;]+)/gi;
/** Words that follow a prompt or a label and are not its value: what programs say of it, or instead of reading it. */
const PLAIN_WORD =
  /^(?:[a-z]+:|EOF|errors?|invalid|incorrect|wrong|bad|missing|required|expired|denied|failed|failure|fails|rejected|refused|cancell?ed|aborted|dismissed|timed|timeout|unable|unknown|inappropriate|not|no|none|is|was|has|have|had|does|did|do|be|been|are|were|for|from|to|in|on|of|or|and|at|by|with|must|may|might|can|cannot|can't|could|couldn't|should|please|sorry|try|enter|the|this|that|these|a|an|it|you|your|user|login|operation|permission|access|command|connection|file|id|hash|auth|authentication|authorization|prompt|provided|supplied|given|set|empty|too|already|still|now|max|maximum|retries|retrying)[.!]?$/i;

/** The value of a key of this name is a secret: `token`, `client_secret`, `PGPASSWORD`, `X-Api-Key`. */
const SECRET_NAME =
  /(?:^|[_-]|pg)(?:token|password|passwd|passphrase|pass|pwd|pin|otp|secret|secret[_-]?id|jwt|private[_-]?key|client[_-]?secret|secret[_-]?access[_-]?key|session[_-]?token|secret[_-]?key|api[_-]?key|apikey|bearer|authorization|cookie|credential|pat|sshpass|bw[_-]?session|op[_-]session[_-]\w+)s?$/i;

/** A number of tokens: `MAX_THINKING_TOKENS`, `max_output_tokens`. */
const TOKEN_COUNT =
  /(?:^|[_-])(?:max|min|num|limit|thinking|output|input|context|budget|prompt|completion|total|used)[_-](?:\w+[_-])?tokens$/i;

/** The shell's own: where it is, and not a password. */
const WORKING_FOLDER = 'PWD';

export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name) && !TOKEN_COUNT.test(name) && name !== WORKING_FOLDER;
}

/** For `aws` and `gcloud` the name of a secret. */
const NAMING_FLAG = /^(?:secret|secret[_-]?id|credential)s?$/i;

/** `curl -u me:x`: a password follows the colon. Numbers are a user's and a group's ids. */
const USER_FLAG = /^(?:u|U|user|proxy-user)$/;
const USER_AND_PASSWORD = /^(?!\d+:\d+$)[^:\s]*:([^\s]+)$/;

/**
 * In one word of a command, which may be a script, a header, a query or JSON: `tool --token x`, `PGPASSWORD=x tool`, `X-Api-Key: x`,
 * `?api_key=x`, `{"password":"x"}`.
 */
const FLAG_IN_SCRIPT = /(?:^|\s)--?([\w-]+)(?:=|\s+)["']?([^\s"']+)/g;
const ASSIGNED = /(?:^|[\s;&|?("'])([\w-]+)["']?(?:=|:\s*(?:(?:Bearer|Basic|token)\s+)?)(?=["']?([^\s"']+))/gi;

/** Of a command, what follows a flag of a secret's name: `--password x`, `--token=x`, also within a script or a header. */
export function secretArguments(command: readonly string[]): readonly string[] {
  const isSecretFlag = (name: string) => isSecretName(name) && !NAMING_FLAG.test(name);
  const given = (flag: string, value: string) =>
    isSecretFlag(flag) ? value : USER_FLAG.test(flag) ? (USER_AND_PASSWORD.exec(value)?.[1] ?? []) : [];
  return command.flatMap((word, at) => {
    const [, name, value] = /^--?([\w-]+)(?:=(.+))?$/s.exec(word) ?? [];
    if (name !== undefined) return given(name, value ?? command[at + 1] ?? '');
    const flags = [...word.matchAll(FLAG_IN_SCRIPT)].flatMap(([, flag = '', text = '']) => given(flag, text));
    const assigned = [...word.matchAll(ASSIGNED)].filter(([, variable = '']) => isSecretName(variable));
    // What the shell looks up is not a secret by its name, nor is what a program says of a prompt.
    return [...flags, ...assigned.map(([, , text = '']) => text)].filter(
      (text) => !text.startsWith('$') && !PLAIN_WORD.test(text),
    );
  });
}

/** Hides secrets recognised by their shape and passwords in URLs, nothing else: for text that people wrote to be read. */
export function hideShapes(text: string, mask: string = REDACTED): string {
  return text.replaceAll(SHAPES, mask).replaceAll(PASSWORD_IN_URL, `$1${mask}$2`);
}

/**
 * Removes everything that is or may be a secret: the `known` ones, shapes, the part of a URL before the `@`, UUIDs, long
 * mixed words, and what follows `password=` and the like. Ordinary words stay.
 */
export function redact(text: string, known: Iterable<string> = []): string {
  return (
    scrub(text, known, REDACTED)
      .replaceAll(SHAPES, REDACTED)
      .replaceAll(USER_IN_URL, `$1${REDACTED}@`)
      .replaceAll(UUID, REDACTED)
      // Before long words, so that what the value belongs to stays readable.
      .replaceAll(NAMED, (all, name: string, link: string, quote: string, value: string) =>
        isValue(name, link, value) ? `${name}${link}${quote}${REDACTED}` : all,
      )
      .replaceAll(LONG_WORD, (word) => (isMixed(word) ? REDACTED : word))
  );
}

/** `vault-prod-eu-west-1.example.com`, `my.1password.com`: words and small numbers, as no random text is made of. */
const HOST_NAME = /^(?:(?:\d?[a-z]{1,20}\d{0,3}|\d{1,5})[.-])+[a-z]{2,20}$/;

/** `x86_64-linux-gnu`, as a part of a path. */
const FOLDER_NAME = /^(?:(?:[a-z]{1,20}\d{0,3}|\d{1,5})[._-])+[a-z]{2,20}\d{0,3}$/;

/** Paths are judged part by part, so that a long one stays readable, also behind the name of a host. */
function isMixed(word: string): boolean {
  const parts = word.split('/');
  const isPath = /^[~./]/.test(word) || isHostName(parts[0] ?? '');
  return (isPath ? parts : [word]).some(
    (part) =>
      part.length >= 16 &&
      /\d/.test(part) &&
      /[A-Za-z]/.test(part) &&
      !isHostName(part) &&
      !(isPath && FOLDER_NAME.test(part)),
  );
}

function isHostName(part: string): boolean {
  return part.includes('.') && HOST_NAME.test(part);
}

/** `password=x`: always; `Password: x`: unless x is a word that programs print there; `pin 4711`, `tokens: 4711`: if it has digits. */
function isValue(name: string, link: string, value: string): boolean {
  if (value.startsWith(REDACTED)) return false;
  if (/[:=]\S*$/.test(link) && !/\s$/.test(link)) return true;
  if (/[:=]|\bis\b/.test(link) && !/s$/i.test(name)) return !PLAIN_WORD.test(value);
  return /\d/.test(value);
}

/** As servers and proxies repeat what they were sent: within JSON, a URL or a form. */
function spellings(secret: string): readonly string[] {
  const inUrl = encodeURIComponent(secret.toWellFormed());
  return [secret, JSON.stringify(secret).slice(1, -1), inUrl, inUrl.replaceAll('%20', '+')];
}

/** Replaces each of `secrets`, the longest first; those under four characters are left, because they occur in ordinary text. */
export function scrub(text: string, secrets: Iterable<string>, mask: string = '…'): string {
  const known = [...secrets].filter((secret) => secret.length >= 4);
  const longestFirst = [...new Set(known.flatMap(spellings))].sort((a, b) => b.length - a.length);
  return longestFirst.reduce((clean, secret) => clean.replaceAll(secret, mask), text);
}

/** One line without terminal sequences, control and invisible characters; at most `longest` characters. */
export function printable(text: string, longest: number = Number.POSITIVE_INFINITY): string {
  const line = stripVTControlCharacters(text)
    .replaceAll(/[\p{C}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim();
  return line.length > longest ? `${line.slice(0, longest - 3)}...` : line;
}

/** Lines and columns stay; what a terminal would obey, or not show, is a question mark. */
export function printableLines(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[^\P{C}\n\t]|[\p{Zl}\p{Zp}]/gu, '?');
}

/** Foreign words that name something (a host, a certificate, a version): printable, bounded, without what looks like a secret. */
export function foreignName(text: string, longest: number): string {
  return printable(redact(printable(text)), longest);
}

/** The first line of a program's output that is not blank, printable and redacted. */
export function firstLine(output: string, known: Iterable<string> = [], longest: number = 160): string {
  const lines = stripVTControlCharacters(output).split(/[\r\n]+/);
  const line = lines.map((each) => printable(each)).find((each) => each !== '') ?? '';
  return printable(redact(line, known), longest);
}

/** In characters; a shorter value is told by its length alone. */
const SHORTEST_FINGERPRINTED = 20;
/** Of this process alone: nobody can try guesses on a digest that was pasted somewhere. */
const FINGERPRINT_KEY = randomBytes(32);

/** What may be shown of a secret: its kind, its length and a digest that distinguishes two of them within one report. */
export function fingerprint(secret: string): string {
  const value = secret.trim();
  const length = `${value.length} characters`;
  if (value.length < SHORTEST_FINGERPRINTED) return `(${length})`;
  const kind = KINDS.find((prefix) => value.startsWith(prefix)) ?? '';
  const digest = createHmac('sha256', FINGERPRINT_KEY).update(value).digest('hex').slice(0, 8);
  return `${kind}… (${length}, #${digest})`;
}

/** A URL without user, password and query. */
export function maskUrl(url: string): string {
  if (!URL.canParse(url)) return '(not a URL)';
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`;
}

const UNITS: readonly (readonly [name: string, seconds: number])[] = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
];

/** The two largest units that say something: `2 h 5 min`, `59 min`, `12 s`. From ten on the smaller one is left out. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const index = UNITS.findIndex(([, size]) => seconds >= size);
  const [name, size] = UNITS[index] ?? ['s', 1];
  const count = Math.floor(seconds / size);
  const [smallName, smallSize] = UNITS[index + 1] ?? ['', 0];
  const rest = smallSize === 0 ? 0 : Math.floor((seconds % size) / smallSize);
  return count < 10 && rest > 0 && name !== 'min' ? `${count} ${name} ${rest} ${smallName}` : `${count} ${name}`;
}

/** 20250131T235959Z, for file names. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '');
}
