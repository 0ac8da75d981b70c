import { readFileSync } from 'node:fs';
import { parseHints } from '../protocol/hints.ts';
import { ProcessSnapshot } from './process-snapshot.ts';
import { type ClientProcess, type ProcessReader, ProcessTree } from './process-tree.ts';

export interface IdentifiedClient {
  readonly client: ClientProcess | undefined;
  /** The client itself called its helper for its own key, as far as can be told. */
  readonly judged: boolean;
}

/** Clients whose environment has been looked at; one or two are usual. */
const CACHE_LIMIT = 256;

/**
 * Tells who asks, and whether an early repeat of theirs may be held against a key. The client runs its helper with an
 * open socket as stdin and in its own process group, and names its entry point; the agent's own shell commands do none
 * of that reliably, but CLAUDECODE is set for them, unless the client itself was started with it.
 */
export class ClientIdentity {
  readonly #reader: ProcessReader;
  readonly #snapshot: ProcessSnapshot;
  readonly #tree: ProcessTree;
  readonly #startedByAgent = new Map<string, boolean>();

  constructor(reader: ProcessReader) {
    this.#reader = reader;
    this.#snapshot = new ProcessSnapshot(reader);
    this.#tree = new ProcessTree(this.#snapshot);
  }

  /** @param peerPid as the kernel says; undefined without the addon, where the helper's own word has to do. */
  identify(peerPid: number | undefined, hintsHeader: string | undefined): IdentifiedClient {
    const hints = parseHints(hintsHeader);
    const pid = peerPid ?? hints?.pid;
    if (pid === undefined) return { client: undefined, judged: false };
    this.#snapshot.discard();
    const client = this.#tree.clientOf(pid, hints?.ppid);
    if (client === undefined || hints === undefined) return { client, judged: false };
    const runAsHelper = hints.stdin === 'socket' && hints.entrypoint !== undefined;
    const judged = runAsHelper && this.#sharesGroup(pid, client) && (!hints.agent || this.#wasStartedByAgent(client));
    return { client, judged };
  }

  isAlive({ pid, startTime }: Pick<ClientProcess, 'pid' | 'startTime'>): boolean {
    return this.#reader.processParent(pid)?.startTime === startTime;
  }

  /** The agent's shell commands run in process groups of their own. Where the helper is hidden from us, nothing is known. */
  #sharesGroup(helperPid: number, client: ClientProcess): boolean {
    const helper = this.#snapshot.processParent(helperPid);
    return helper === undefined || helper.processGroup === this.#snapshot.processParent(client.pid)?.processGroup;
  }

  /** A client inside an agent's shell hands CLAUDECODE on to its helper, so the word says nothing there. */
  #wasStartedByAgent({ pid, startTime }: ClientProcess): boolean {
    const key = `${pid}:${startTime}`;
    const known = this.#startedByAgent.get(key);
    if (known !== undefined) return known;
    const answer = hasVariable(pid, 'CLAUDECODE');
    if (this.#startedByAgent.size >= CACHE_LIMIT) this.#startedByAgent.clear();
    this.#startedByAgent.set(key, answer);
    return answer;
  }
}

/** False where the environment of others cannot be read (macOS, hardened processes). */
function hasVariable(pid: number, name: string): boolean {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`);
    const start = Buffer.from(`${name}=`);
    const found = environment.subarray(0, start.length).equals(start) || environment.includes(`\0${name}=`);
    environment.fill(0);
    return found;
  } catch {
    return false;
  }
}
