/** What the helper says of its own surroundings, for judging only: anybody can write these words. */
export interface ClientHints {
  readonly pid: number | undefined;
  readonly ppid: number | undefined;
  readonly stdin: StreamKind | undefined;
  readonly stdout: StreamKind | undefined;
  /** CLAUDE_CODE_ENTRYPOINT, if it is a plain word. */
  readonly entrypoint: string | undefined;
  /** The first SESSION_START characters of CLAUDE_CODE_SESSION_ID. */
  readonly session: string | undefined;
  /** `mcp`: the client wants headers for an MCP server, and a script makes them of our raw answer. */
  readonly purpose: string | undefined;
  /** The agent's own shell, not the client, ran the helper (CLAUDECODE is set). */
  readonly agent: boolean;
}

/** So much of a session's UUID tells it from another. */
export const SESSION_START = 8;

export type StreamKind = (typeof STREAM_KINDS)[number];

const STREAM_KINDS = ['socket', 'pipe', 'tty', 'file', 'null', 'closed', 'other'] as const;

/** A header longer than this says nothing. */
const LONGEST_HEADER = 512;

const PAIR = /([a-z]{1,16})=([a-z0-9-]{1,32})(, |$)/y;
const PROCESS_ID = /^(?:0|[1-9]\d{0,9})$/;

type Word = 'pid' | 'ppid' | 'stdin' | 'stdout' | 'entrypoint' | 'session' | 'purpose' | 'agent';

/**
 * Reads the CLIENT_HINTS header: `name=token` pairs joined by `, `. undefined if it is missing or any part of it is
 * malformed, twice there or out of range, because half a hint misleads; well-formed pairs with names not known here
 * (a newer helper's) are passed over. Never throws.
 */
export function parseHints(header: string | undefined): ClientHints | undefined {
  if (header === undefined || header.length > LONGEST_HEADER) return undefined;
  const words: Partial<Record<string, string>> = Object.create(null);
  let [at, end] = [0, ''];
  do {
    PAIR.lastIndex = at;
    const [whole = '', name = '', token = '', separator = ''] = PAIR.exec(header) ?? [];
    if (whole === '' || words[name] !== undefined) return undefined;
    words[name] = token;
    at += whole.length;
    end = separator;
  } while (end !== '');
  return read(words);
}

function read(words: Readonly<Partial<Record<Word, string>>>): ClientHints | undefined {
  const pid = processId(words.pid);
  const ppid = processId(words.ppid);
  const stdin = streamKind(words.stdin);
  const stdout = streamKind(words.stdout);
  const { entrypoint, session, purpose, agent } = words;
  if (pid === null || ppid === null || stdin === null || stdout === null) return undefined;
  if (agent !== undefined && agent !== '1') return undefined;
  return { pid, ppid, stdin, stdout, entrypoint, session, purpose, agent: agent === '1' };
}

/** null: there, but wrong. A helper in another pid name space has parent 0. */
function processId(token: string | undefined): number | null | undefined {
  if (token === undefined) return undefined;
  return PROCESS_ID.test(token) && Number(token) <= 0x7fff_ffff ? Number(token) : null;
}

function streamKind(token: string | undefined): StreamKind | null | undefined {
  if (token === undefined) return undefined;
  return STREAM_KINDS.find((kind) => kind === token) ?? null;
}
