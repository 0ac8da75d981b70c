import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { type ClientHints, parseHints, SESSION_START } from '../protocol/request.ts';
import type { ClientSurroundings, KnownClient } from './known-clients.ts';
import { attempt, variablesOf } from './proc.ts';
import { homeFolder } from './process-io.ts';
import { type Client, type ProcessReader, ProcessSnapshot, ProcessTree } from './process-tree.ts';

/** own: the client itself ran its helper · other: a person, a script, what an agent runs · unknown: the kernel does not show it. */
export type CallOrigin = 'own' | 'other' | 'unknown';

/** Who asks for a key, as far as process and hints show. */
export interface Caller {
  readonly client: Client | undefined;
  /** It says that its key was refused: for judging only, since anybody can say so. */
  readonly saysRejected: boolean;
  /** By its hints alone, which cost nothing to look at: it may be the client's own call for its own key. */
  readonly mayBeOwn: boolean;
  /** The same by the kernel's word. To be asked only if it matters: it reads the environment of another process. */
  origin(): CallOrigin;
}

export const NOBODY: Caller = { client: undefined, saysRejected: false, mayBeOwn: false, origin: () => 'other' };

/** Files that a client depends on, at one moment. */
export interface SettingsStamp {
  /** Changes with any of them, and if one is made or removed. */
  readonly fingerprint: string;
  /** When one of them was changed last, on the wall clock. */
  readonly changedAtWallMs: number;
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
 * helpers. What counts is the environment of the process just below the client, since a wrapper may give the helper another
 * one. Where the client itself has inherited CLAUDECODE, its helper is recognised by how it is run: in the client's
 * process group, with a socket as stdin, in the session that the client was started in. test/claude/ checks this with the
 * real client.
 */
export class ClientIdentity {
  readonly #reader: ProcessReader;
  readonly #snapshot: ProcessSnapshot;
  readonly #tree: ProcessTree;
  readonly #origins = new Map<string, Origin>();
  readonly #settingsFiles = new Map<string, readonly string[]>();

  constructor(reader: ProcessReader) {
    this.#reader = reader;
    this.#snapshot = new ProcessSnapshot(reader);
    this.#tree = new ProcessTree(this.#snapshot);
  }

  /** @param peer as the kernel says; undefined without the addon: then the helper's own hints count. */
  identify(peer: Peer | undefined, hintsHeader: string | undefined): Caller {
    const hints = parseHints(hintsHeader);
    const pid = peer?.pid ?? hints?.pid;
    // 0: the peer is in another pid namespace, where the parent pid of its hints names another process than here.
    if (pid === undefined || pid === 0) return hints?.rejected === true ? { ...NOBODY, saysRejected: true } : NOBODY;
    this.#snapshot.discard();
    const client = this.#tree.clientOf(pid, hints?.ppid, peer?.ppid);
    if (client === undefined || hints === undefined) return { ...NOBODY, client };
    const mayBeOwn = this.#mayBeOwn(hints, pid, client);
    let known: CallOrigin | undefined;
    const origin = () => {
      known ??= mayBeOwn ? this.#originOfCall(hints, { pid, ppid: peer?.ppid }, client) : 'other';
      return known;
    };
    return { client, saysRejected: hints.rejected, mayBeOwn, origin };
  }

  /** The files whose change makes this client drop its key. */
  settingsOf(client: Client): SettingsStamp {
    let files = this.#settingsFiles.get(client.id);
    if (files === undefined) {
      files = client.known?.settingsFiles?.(surroundingsOf(client.pid)) ?? [];
      if (this.#settingsFiles.size >= CACHE_LIMIT) this.#settingsFiles.clear();
      this.#settingsFiles.set(client.id, files);
    }
    return stampOf(files);
  }

  isAlive({ pid, startTime }: Pick<Client, 'pid' | 'startTime'>): boolean {
    return this.#reader.processParent(pid)?.startTime === startTime;
  }

  #mayBeOwn(hints: ClientHints, pid: number, client: Client): boolean {
    if (hints.purpose !== undefined) return false;
    if (client.known?.agentVariable === undefined) return true;
    // A terminal as stdin means a person.
    if (hints.stdin === undefined || hints.stdin === 'tty') return false;
    return !hints.agent || this.#isHelperOfAgentsClient(hints, pid, client);
  }

  #originOfCall(hints: ClientHints, { pid, ppid }: Peer, client: Client): CallOrigin {
    const { known } = client;
    if (known?.agentVariable === undefined || hints.agent) return 'own';
    this.#snapshot.discard();
    const below = ppid === client.pid ? pid : this.#tree.belowClient(pid, client);
    if (below === undefined) return 'unknown';
    // The helper lets nobody read its environment, but has said the same in its hints.
    const facts =
      below === pid ? { agent: false, entrypoint: hints.entrypoint !== undefined, mcp: false } : readCall(below, known);
    if (facts === undefined) return 'unknown';
    if (facts.mcp) return 'other';
    if (!facts.agent && facts.entrypoint) return 'own';
    // Hooks and the agent's commands have process groups of their own: what cleared its environment is told by that.
    if (!this.#sharesGroup(below, client)) return 'other';
    if (!facts.agent) return 'own';
    const { byAgent, session } = this.#originOf(client);
    return byAgent && session === facts.session ? 'own' : 'other';
  }

  #isHelperOfAgentsClient(hints: ClientHints, pid: number, client: Client): boolean {
    if (hints.stdin !== 'socket' || !this.#sharesGroup(pid, client)) return false;
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

/** Empty where the environment of other processes cannot be read (macOS, hardened processes). */
function readOrigin(pid: number): Origin {
  const [agent, session] = variablesOf(pid, ['CLAUDECODE', 'CLAUDE_CODE_SESSION_ID']) ?? [];
  return { byAgent: agent !== undefined, session: session?.slice(0, SESSION_START) };
}

interface CallFacts {
  readonly agent: boolean;
  readonly session?: string | undefined;
  readonly entrypoint: boolean;
  /** It makes headers for an MCP server. */
  readonly mcp: boolean;
}

/** undefined: it cannot be read. */
function readCall(pid: number, { agentVariable = '' }: KnownClient): CallFacts | undefined {
  const names = [agentVariable, 'CLAUDE_CODE_SESSION_ID', 'CLAUDE_CODE_ENTRYPOINT', 'CLAUDE_CODE_MCP_SERVER_NAME'];
  const values = variablesOf(pid, names);
  if (values === undefined) return undefined;
  const [agent, session, entrypoint, mcp] = values;
  return {
    agent: agent !== undefined,
    session: session?.slice(0, SESSION_START),
    entrypoint: entrypoint !== undefined,
    mcp: mcp !== undefined,
  };
}

function surroundingsOf(pid: number): ClientSurroundings {
  const [configDir, home] = variablesOf(pid, ['CLAUDE_CONFIG_DIR', 'HOME']) ?? [];
  return {
    cwd: attempt(() => readlinkSync(`/proc/${pid}/cwd`)),
    homeDir: homeFolder(home),
    env: { CLAUDE_CONFIG_DIR: configDir },
    argv: attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')) ?? [],
    platform: process.platform,
  };
}

function stampOf(files: readonly string[]): SettingsStamp {
  let changedAtWallMs = Number.NEGATIVE_INFINITY;
  const stamps = files.map((file) => {
    // Most of them do not exist, and an error that is thrown costs ten times as much as the system call.
    const stats = attempt(() => statSync(file, { throwIfNoEntry: false }));
    if (stats === undefined) return '-';
    changedAtWallMs = Math.max(changedAtWallMs, stats.ctimeMs);
    return `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
  });
  return { fingerprint: stamps.join('\n'), changedAtWallMs };
}
