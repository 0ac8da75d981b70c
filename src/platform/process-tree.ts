import { closeSync } from 'node:fs';
import { JAVASCRIPT, KNOWN_CLIENTS, type KnownClient, programName } from './known-clients.ts';
import type { NativeBindings, ParentFacts, ProcessFacts } from './native.ts';
import { attempt, processInfo, statOf } from './proc.ts';

/**
 * The client of a helper: not the helper itself, which runs for a millisecond, but the program that ran it. That is the
 * first ancestor that is a known client, else the nearest one that is not a wrapper, so that a user's own script around the
 * helper changes nothing (docs/protocol.md, "Who is the client").
 */

/** How facts about processes are read. */
export interface ProcessReader {
  processParent(pid: number): ParentFacts | undefined;
  processInfo(pid: number): ProcessFacts | undefined;
  /** The parent alone, which may be cheaper to read; 0 if there is no such process or it is hidden. */
  parentPid?(pid: number): number;
  /** Likewise. */
  processGroup?(pid: number): number;
  /** Keeps a handle of that very process; undefined where the system cannot, or if the process is gone. */
  hold?(process: Pick<Client, 'pid' | 'startTime'>): HeldProcess | undefined;
}

/** Until it has exited, no other process can have its pid. */
interface HeldProcess {
  hasExited(): boolean;
  release(): void;
}

/** The process for which a helper asks, distinguished from every other that has or had its pid. */
export interface Client {
  /** Pid and start time as one word, made once: a client is looked up several times for every answer. */
  readonly id: string;
  readonly pid: number;
  readonly startTime: string;
  /** For events and status: the executable's base name. */
  readonly name: string;
  /** undefined: any other program. */
  readonly known: KnownClient | undefined;
}

/** At most this many ancestors are followed. */
const MAX_DEPTH = 32;

/** Entries of the cache; a client takes one or two of them. */
const CACHE_LIMIT = 256;
/** Processes with a handle; each takes a descriptor. */
const HELD_LIMIT = 64;

interface HeldAncestor {
  /** As seen from there. */
  readonly client: Client | null;
  readonly process: HeldProcess;
}

export class ProcessTree {
  readonly #reader: ProcessReader;
  /** By pid and start time of an ancestor: the client as seen from there; null where there is none. */
  readonly #clients = new Map<string, Client | null>();
  /** Clients, and what lies between a client and a program that asks often, by pid: as long as one lives, it is not looked up again. */
  readonly #held = new Map<number, HeldAncestor>();

  constructor(reader: ProcessReader) {
    this.#reader = reader;
  }

  /**
   * The client of a helper; undefined if no ancestor can be identified. `parentHint` is the parent pid of the helper's hints,
   * used only if the kernel shows nothing of the helper (it has exited, or /proc hides it).
   *
   * @param knownParent the helper's parent pid, if the kernel has returned it already.
   */
  clientOf(helperPid: number, parentHint?: number, knownParent?: number): Client | undefined {
    const parent = knownParent ?? this.#parentOf(helperPid) ?? parentHint;
    if (parent === undefined || parent === helperPid) return undefined;
    return this.#clientFrom(parent, MAX_DEPTH) ?? undefined;
  }

  /** The process just below the client on the way from the helper; it may be the helper itself. undefined: not found. */
  belowClient(helperPid: number, { pid: clientPid }: Client): number | undefined {
    let below = helperPid;
    for (let depth = 0; depth < MAX_DEPTH; depth += 1) {
      const parent = this.#parentOf(below);
      if (parent === clientPid) return below;
      if (parent === undefined || parent < 1) return undefined;
      below = parent;
    }
    return undefined;
  }

  #parentOf(pid: number): number | undefined {
    if (this.#reader.parentPid === undefined) return this.#reader.processParent(pid)?.ppid;
    const parent = this.#reader.parentPid(pid);
    return parent === 0 ? undefined : parent;
  }

  #clientFrom(pid: number, depth: number): Client | null {
    if (pid < 1 || depth === 0) return null;
    const held = this.#held.get(pid);
    if (held !== undefined) {
      if (!held.process.hasExited()) return held.client;
      this.#letGo(pid, held);
    }
    const facts = this.#reader.processParent(pid);
    if (facts === undefined) return null;
    const key = processId(pid, facts.startTime);
    const known = this.#clients.get(key);
    if (known !== undefined) {
      this.#remember(key, known);
      // A shell around the helper ends with the helper, but this one has been asked for before.
      if (this.#held.size < HELD_LIMIT) this.#hold({ pid, startTime: facts.startTime }, known);
      return known;
    }
    const info = this.#reader.processInfo(pid);
    if (info === undefined || info.startTime !== facts.startTime) return null;
    const client = this.#judge(pid, info, depth);
    this.#remember(key, client);
    if (client?.pid === pid) this.#hold(client, client);
    return client;
  }

  #hold(ancestor: Pick<Client, 'pid' | 'startTime'>, client: Client | null): void {
    const process = this.#reader.hold?.(ancestor);
    if (process === undefined) return;
    this.#held.set(ancestor.pid, { client, process });
    for (const [pid, held] of this.#held) {
      if (this.#held.size <= HELD_LIMIT && !held.process.hasExited()) continue;
      this.#letGo(pid, held);
    }
  }

  #letGo(pid: number, { process }: HeldAncestor): void {
    process.release();
    this.#held.delete(pid);
  }

  #judge(pid: number, info: ProcessFacts, depth: number): Client | null {
    const { startTime } = info;
    const self = { id: processId(pid, startTime), pid, startTime, name: programName(info) };
    const known = KNOWN_CLIENTS.find((each) => each.isProcess(info));
    if (known !== undefined) return { ...self, name: known.name, known };
    // Orphans become children of init, which ran nothing itself: all orphans would look like one client.
    if (pid === 1) return null;
    const above = this.#clientFrom(info.ppid, depth - 1);
    if (above?.known !== undefined || isWrapper(self.name)) return above;
    return { ...self, known: undefined };
  }

  /** The map keeps insertion order: what was used last goes to the end, what was used longest ago is dropped. */
  #remember(key: string, client: Client | null): void {
    this.#clients.delete(key);
    this.#clients.set(key, client);
    const oldest = this.#clients.keys().next();
    if (this.#clients.size > CACHE_LIMIT && !oldest.done) this.#clients.delete(oldest.value);
  }
}

function processId(pid: number, startTime: string): string {
  return `${pid}:${startTime}`;
}

/** Programs that run another program and are not themselves the client. */
const WRAPPERS: ReadonlySet<string> = new Set([
  ...['sh', 'bash', 'dash', 'ash', 'zsh', 'ksh', 'ksh93', 'mksh', 'fish', 'tcsh', 'csh', 'busybox', 'nu', 'pwsh'],
  ...['perl', 'ruby', ...JAVASCRIPT],
  ...['env', 'sudo', 'doas', 'su', 'runuser', 'timeout', 'gtimeout', 'nice', 'ionice', 'chrt', 'taskset', 'nohup'],
  ...['setsid', 'stdbuf', 'time', 'xargs', 'direnv', 'strace', 'caffeinate', 'flock', 'broker-key', 'broker-run'],
]);

function isWrapper(program: string): boolean {
  return WRAPPERS.has(program) || /^(?:python|pypy|perl|ruby|node)[\d.]*$/.test(program);
}

/** Reads each process once per question: reading /proc is the slowest part of identifying a client. */
export class ProcessSnapshot implements ProcessReader {
  readonly #reader: ProcessReader;
  /** Two or three: the helper, the process that ran it, and perhaps a shell in between. */
  readonly #seen: { readonly pid: number; readonly facts: ParentFacts | undefined }[] = [];

  constructor(reader: ProcessReader) {
    this.#reader = reader;
  }

  /** To be called before the next question: since the last one every process may have changed. */
  discard(): void {
    this.#seen.length = 0;
  }

  processParent(pid: number): ParentFacts | undefined {
    const known = this.#seen.find((each) => each.pid === pid);
    if (known !== undefined) return known.facts;
    const facts = this.#reader.processParent(pid);
    this.#seen.push({ pid, facts });
    return facts;
  }

  processInfo(pid: number): ProcessFacts | undefined {
    return this.#reader.processInfo(pid);
  }

  parentPid(pid: number): number {
    return this.#reader.parentPid?.(pid) ?? this.processParent(pid)?.ppid ?? 0;
  }

  processGroup(pid: number): number {
    return this.#reader.processGroup?.(pid) ?? this.processParent(pid)?.processGroup ?? 0;
  }

  hold(process: { readonly pid: number; readonly startTime: string }): HeldProcess | undefined {
    return this.#reader.hold?.(process);
  }
}

/** Reads processes from Linux's /proc without the addon: the same facts, more slowly. */
export const procReader: ProcessReader = { processParent: statOf, processInfo };

/** Reads processes through the addon. What the kernel refuses to show counts as hidden. */
export function nativeProcessReader(native: NativeBindings): ProcessReader {
  return {
    processParent: (pid) => attempt(() => native.processParent(pid)),
    processInfo: (pid) => attempt(() => native.processInfo(pid)),
    parentPid: (pid) => attempt(() => native.parentPid(pid)) ?? 0,
    processGroup: (pid) => attempt(() => native.processGroup(pid)) ?? 0,
    hold: ({ pid, startTime }) => {
      const fd = attempt(() => native.openProcess(pid)) ?? -1;
      if (fd < 0) return undefined;
      // From now on no other process can get the pid; before the call one may have got it.
      if (attempt(() => native.processParent(pid))?.startTime !== startTime) {
        closeSync(fd);
        return undefined;
      }
      const hasExited = () => {
        // Asked for every answer: no closure is made for it.
        try {
          return native.hasExited(fd);
        } catch {
          return true;
        }
      };
      return { hasExited, release: () => closeSync(fd) };
    },
  };
}
