import { readFileSync } from 'node:fs';
import { type ClientHints, parseHints, SESSION_START } from '../protocol/request.ts';
import { type Client, type ProcessReader, ProcessSnapshot, ProcessTree } from './process-tree.ts';

interface IdentifiedClient {
  readonly client: Client | undefined;
  /** As far as the hints and the kernel show, the client itself ran its helper for its own key. */
  readonly judged: boolean;
}

/** Who connected. */
interface Peer {
  readonly pid: number;
  readonly ppid?: number | undefined;
}

/** What a client was started with. */
interface Origin {
  /** An agent's shell started it, so that its own helper has CLAUDECODE too. */
  readonly byAgent: boolean;
  /** As the hints give it. */
  readonly session: string | undefined;
}

/** Clients whose environment has been read; one or two are usual. */
const CACHE_LIMIT = 256;

/**
 * Finds out which client asks, and whether an early repeat of its calls counts as a sign that its key was rejected. Claude
 * Code sets CLAUDECODE for everything that it runs (the agent's shell, hooks, the status line, MCP servers) except for its
 * helpers. Where the client itself has inherited CLAUDECODE, its helper is recognised by how it is run: in the client's
 * process group, with a socket as stdin, in the session that the client was started in. test/claude/ checks this with the
 * real client.
 */
export class ClientIdentity {
  readonly #reader: ProcessReader;
  readonly #snapshot: ProcessSnapshot;
  readonly #tree: ProcessTree;
  readonly #origins = new Map<string, Origin>();

  constructor(reader: ProcessReader) {
    this.#reader = reader;
    this.#snapshot = new ProcessSnapshot(reader);
    this.#tree = new ProcessTree(this.#snapshot);
  }

  /** @param peer as the kernel says; undefined without the addon: then the helper's own hints count. */
  identify(peer: Peer | undefined, hintsHeader: string | undefined): IdentifiedClient {
    const hints = parseHints(hintsHeader);
    const pid = peer?.pid ?? hints?.pid;
    // 0: the peer is in another pid namespace, where the parent pid of its hints names another process than here.
    if (pid === undefined || pid === 0) return { client: undefined, judged: false };
    this.#snapshot.discard();
    const client = this.#tree.clientOf(pid, hints?.ppid, peer?.ppid);
    if (client === undefined || hints === undefined) return { client, judged: false };
    return { client, judged: this.#isForOwnKey(hints, pid, client) };
  }

  isAlive({ pid, startTime }: Pick<Client, 'pid' | 'startTime'>): boolean {
    return this.#reader.processParent(pid)?.startTime === startTime;
  }

  #isForOwnKey(hints: ClientHints, pid: number, client: Client): boolean {
    if (hints.entrypoint === undefined || hints.purpose !== undefined) return false;
    // A wrapper may change the helper's stdin or process group (timeout does); a terminal as stdin means a person.
    if (!hints.agent && client.isClaudeCode) return hints.stdin !== undefined && hints.stdin !== 'tty';
    if (hints.stdin !== 'socket' || !this.#sharesGroup(pid, client)) return false;
    if (!hints.agent) return true;
    const { byAgent, session } = this.#originOf(client);
    return byAgent && session === hints.session;
  }

  /** 0: the helper is hidden from us, which proves nothing against it. */
  #sharesGroup(helperPid: number, client: Client): boolean {
    const group = this.#snapshot.processGroup(helperPid);
    return group === 0 || group === this.#snapshot.processGroup(client.pid);
  }

  #originOf({ id, pid }: Client): Origin {
    const known = this.#origins.get(id);
    if (known !== undefined) return known;
    const origin = readOrigin(pid);
    if (this.#origins.size >= CACHE_LIMIT) this.#origins.clear();
    this.#origins.set(id, origin);
    return origin;
  }
}

/** Empty where the environment of other processes cannot be read (macOS, hardened processes): then the helper is not judged. */
function readOrigin(pid: number): Origin {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`);
    const byAgent = valueIn(environment, 'CLAUDECODE') !== undefined;
    const session = valueIn(environment, 'CLAUDE_CODE_SESSION_ID')?.slice(0, SESSION_START);
    environment.fill(0);
    return { byAgent, session };
  } catch {
    return { byAgent: false, session: undefined };
  }
}

/** Makes a string of this one variable only: others may be secrets, and strings cannot be wiped. */
function valueIn(environment: Buffer, name: string): string | undefined {
  const start = Buffer.from(`${name}=`);
  const isFirst = environment.subarray(0, start.length).equals(start);
  const before = isFirst ? 0 : environment.indexOf(`\0${name}=`) + 1;
  if (!isFirst && before === 0) return undefined;
  const from = before + start.length;
  const end = environment.indexOf(0, from);
  return environment.toString('utf8', from, end === -1 ? environment.length : end);
}
