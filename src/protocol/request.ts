/**
 * What helper, CLI, daemon and configuration have to agree on about a request for a key: names, limits, headers.
 * docs/protocol.md describes them; native/broker-key.c has its own copy, which a test compares.
 */

/** The name of a provider or credential. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** NAME in words that follow "a name is". */
export const NAME_RULE = '1 to 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit';

/** In bytes; Claude Code refuses a longer key (observed with version 2.1). */
export const LONGEST_KEY = 16_384;

/** What `--format` of helper and CLI takes. */
export const FORMATS = ['raw', 'headers', 'json', 'aws', 'proxy'] as const;

/** How a key is put into an HTTP header. */
export interface HeaderForm {
  readonly name: string;
  /** Precedes the key, its space included: `Bearer `. */
  readonly prefix: string;
}

/** The header that the Messages API and most gateways read. */
export const DEFAULT_HEADER: HeaderForm = { name: 'x-api-key', prefix: '' };

/** Request: how long the client keeps a key, in milliseconds, as the client's variable has it; sent only if that is set. */
export const CLIENT_INTERVAL = 'broker-client-interval-ms';

/**
 * Request: what the helper saw of its own surroundings, `name=token` pairs joined by `, `; for judging only, never for
 * permission. pid, ppid: numbers · stdin, stdout: socket | pipe | tty | file | null | closed | other ·
 * entrypoint: CLAUDE_CODE_ENTRYPOINT if it is [a-z0-9-]{1,32} · agent: 1 if CLAUDECODE is set · rejected: 1 with `--rejected`, or if
 * CLAUDE_HELPER_CONTEXT is mid-session-refresh.
 */
export const CLIENT_HINTS = 'broker-client-hints';

/** Answer: the sysexits code that the helper is to exit with; present on every error. */
export const EXIT_CODE = 'broker-exit-code';

/** Answer: the provider's name for the version served, percent-encoded. */
export const KEY_VERSION = 'broker-key-version';

/** Answer: RFC 3339 time at which the key expires; absent where that is unknown. */
export const KEY_EXPIRES = 'broker-key-expires';

/** Answer: fresh | stale. */
export const KEY_STATE = 'broker-key-state';

/** Of a client that is not known, if the header is missing or not valid; Claude Code's own default (CLAUDE_CODE_API_KEY_HELPER_TTL_MS). */
export const DEFAULT_CLIENT_INTERVAL_MS = 300_000;

/** A longer interval, and one of no end, is this one: times that it is added to stay dates. */
const LONGEST_INTERVAL_MS = 999_999_999_999_999;
const EXPONENT = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)[eE][+-]?\d+$/;
const GROUPED = /^[+-]?\d{1,3}([_, ])\d{3}(?:\1\d{3})*$/;

/**
 * CLAUDE_CODE_API_KEY_HELPER_TTL_MS in milliseconds, as Claude Code 2.1.332 reads it: `3e5` and `300_000` are 300,000, and what
 * follows a number counts for nothing, so that `5m` are 5 ms. undefined: it takes its default.
 */
export function parseClientInterval(text: string): number | undefined {
  const word = text.trim();
  const ms = EXPONENT.test(word)
    ? whole(Number(word))
    : Number.parseInt(GROUPED.test(word) ? digitsOf(word) : word, 10);
  return ms >= 0 ? Math.min(ms, LONGEST_INTERVAL_MS) : undefined;
}

function whole(value: number): number {
  return Number.isInteger(value) ? value : Number.NaN;
}

function digitsOf(grouped: string): string {
  return grouped.replaceAll(/[_, ]/g, '');
}

/** In a path, the credential that the configuration names as `default`. */
export const DEFAULT_CREDENTIAL = '_default';

/** What the helper says of its own surroundings, for judging only: any process of the user can send these words. */
export interface ClientHints {
  readonly pid: number | undefined;
  readonly ppid: number | undefined;
  readonly stdin: StreamKind | undefined;
  readonly stdout: StreamKind | undefined;
  /** CLAUDE_CODE_ENTRYPOINT, if it is a plain word. */
  readonly entrypoint: string | undefined;
  /** The first SESSION_START characters of CLAUDE_CODE_SESSION_ID. */
  readonly session: string | undefined;
  /** `mcp`: the client needs headers for an MCP server, and a script makes them from the raw answer. */
  readonly purpose: string | undefined;
  /** The agent's own shell, not the client, ran the helper (CLAUDECODE is set). */
  readonly agent: boolean;
  /** The caller says that its key was refused. */
  readonly rejected: boolean;
}

/** Characters of a session's UUID; enough to distinguish two sessions. */
export const SESSION_START = 8;

type StreamKind = (typeof STREAM_KINDS)[number];

const STREAM_KINDS = ['socket', 'pipe', 'tty', 'file', 'null', 'closed', 'other'] as const;

/** A longer header is ignored. */
const LONGEST_HEADER = 512;

const PAIR = /([a-z]{1,16})=([a-z0-9-]{1,32})(, |$)/y;
const PROCESS_ID = /^(?:0|[1-9]\d{0,9})$/;

type Word = 'pid' | 'ppid' | 'stdin' | 'stdout' | 'entrypoint' | 'session' | 'purpose' | 'agent' | 'rejected';

/**
 * Reads the CLIENT_HINTS header: `name=token` pairs joined by `, `. undefined if it is missing or any part of it is
 * malformed, duplicate or out of range, because half of the hints would mislead; well-formed pairs with unknown names
 * (a newer helper's) are ignored. Never throws.
 */
export function parseHints(header: string | undefined): ClientHints | undefined {
  if (header === undefined || header.length > LONGEST_HEADER) return undefined;
  const words: Partial<Record<Word, string> & Record<string, string>> = Object.create(null);
  let [at, end] = [0, ''];
  do {
    PAIR.lastIndex = at;
    const [whole = '', name = '', token = '', separator = ''] = PAIR.exec(header) ?? [];
    if (whole === '' || words[name] !== undefined) return undefined;
    words[name] = token;
    at += whole.length;
    end = separator;
  } while (end !== '');
  const pid = processId(words.pid);
  const ppid = processId(words.ppid);
  const stdin = streamKind(words.stdin);
  const stdout = streamKind(words.stdout);
  const { entrypoint, session, purpose, agent, rejected } = words;
  if (pid === null || ppid === null || stdin === null || stdout === null) return undefined;
  if ((agent !== undefined && agent !== '1') || (rejected !== undefined && rejected !== '1')) return undefined;
  const flags = { agent: agent === '1', rejected: rejected === '1' };
  return { pid, ppid, stdin, stdout, entrypoint, session, purpose, ...flags };
}

/** null: present, but not valid. A helper in another pid namespace has parent 0. */
function processId(token: string | undefined): number | null | undefined {
  if (token === undefined) return undefined;
  return PROCESS_ID.test(token) && Number(token) <= 0x7fff_ffff ? Number(token) : null;
}

function streamKind(token: string | undefined): StreamKind | null | undefined {
  if (token === undefined) return undefined;
  return (STREAM_KINDS as readonly string[]).includes(token) ? (token as StreamKind) : null;
}
