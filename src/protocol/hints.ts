/** What the helper says of its own surroundings, for judging only: anybody can write these words. */
export interface ClientHints {
  readonly pid?: number;
  readonly ppid?: number;
  readonly stdin?: StreamKind;
  readonly stdout?: StreamKind;
  /** CLAUDE_CODE_ENTRYPOINT, if it is a plain word. */
  readonly entrypoint?: string;
  /** The first SESSION_START characters of CLAUDE_CODE_SESSION_ID. */
  readonly session?: string;
  /** `mcp`: the client wants headers for an MCP server, and a script makes them of our raw answer. */
  readonly purpose?: string;
  /** The agent's own shell, not the client, ran the helper (CLAUDECODE is set). */
  readonly agent: boolean;
}

/** So much of a session's UUID tells it from another. */
export const SESSION_START = 8;

export type StreamKind = (typeof STREAM_KINDS)[number];

const STREAM_KINDS = ['socket', 'pipe', 'tty', 'file', 'null', 'closed', 'other'] as const;

/** A header longer than this says nothing. */
const LONGEST_HEADER = 512;

const PAIR = /^([a-z]{1,16})=([a-z0-9-]{1,32})$/;

/**
 * Reads the CLIENT_HINTS header: `name=token` pairs joined by `, `. undefined if it is missing or any part of it is
 * malformed, twice there or out of range, because half a hint misleads; well-formed pairs with names not known here
 * (a newer helper's) are passed over. Never throws.
 */
export function parseHints(header: string | undefined): ClientHints | undefined {
  if (header === undefined || header.length > LONGEST_HEADER) return undefined;
  const pairs = header.split(', ').map((pair) => PAIR.exec(pair));
  const words = new Map<string, string>();
  for (const pair of pairs) {
    const [, name, token] = pair ?? [];
    if (name === undefined || token === undefined || words.has(name)) return undefined;
    words.set(name, token);
  }
  return read(words);
}

function read(words: ReadonlyMap<string, string>): ClientHints | undefined {
  const hints = {
    pid: processId(words.get('pid')),
    ppid: processId(words.get('ppid')),
    stdin: streamKind(words.get('stdin')),
    stdout: streamKind(words.get('stdout')),
    entrypoint: words.get('entrypoint'),
    session: words.get('session'),
    purpose: words.get('purpose'),
  };
  const agent = words.get('agent');
  if (agent !== undefined && agent !== '1') return undefined;
  if (Object.values(hints).includes(null)) return undefined;
  const present = Object.entries(hints).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(present), agent: agent === '1' };
}

/** null: there, but wrong. A helper in another pid name space has parent 0. */
function processId(token: string | undefined): number | null | undefined {
  if (token === undefined) return undefined;
  return /^(?:0|[1-9]\d{0,9})$/.test(token) && Number(token) <= 0x7fff_ffff ? Number(token) : null;
}

function streamKind(token: string | undefined): StreamKind | null | undefined {
  if (token === undefined) return undefined;
  return STREAM_KINDS.find((kind) => kind === token) ?? null;
}
