/**
 * Who wanted a key: not the helper, which lives for a millisecond, but the program that ran it. That is the first
 * ancestor that is Claude Code, else the nearest one that is more than a wrapper, so that a user's own script around
 * the helper changes nothing (docs/protocol.md, "Who is the client").
 */

/** Pid and start time together are never reused. The start time is opaque: clock ticks on Linux, seconds on macOS. */
export interface ParentFacts {
  readonly ppid: number;
  readonly processGroup: number;
  readonly startTime: string;
}

export interface ProcessFacts extends ParentFacts {
  /** As the kernel shortens it. */
  readonly name: string;
  /** Absent where it may not be read: processes of others, processes that are not dumpable. */
  readonly executable?: string;
  /** The first three words of the command line; empty for kernel threads and zombies. */
  readonly argv: readonly string[];
}

/** How processes are looked at; the addon is one. */
export interface ProcessReader {
  processParent(pid: number): ParentFacts | undefined;
  processInfo(pid: number): ProcessFacts | undefined;
}

/** Structurally the broker's `Client`. */
export interface ClientProcess {
  readonly pid: number;
  readonly startTime: string;
  readonly name: string;
  readonly isClaudeCode: boolean;
}

/** A chain of ancestors longer than this is not followed further. */
const MAX_DEPTH = 32;

/** Answers kept; a client is one or two of them. */
const CACHE_LIMIT = 256;

export class ProcessTree {
  readonly #reader: ProcessReader;
  /** By pid and start time of an ancestor: the client as seen from there; null where there is none. */
  readonly #clients = new Map<string, ClientProcess | null>();

  constructor(reader: ProcessReader) {
    this.#reader = reader;
  }

  /**
   * The client behind a helper. `parentHint` is the helper's own word for its parent, used only if the kernel shows
   * us nothing of the helper (it has exited, or /proc hides it). undefined: nobody who could be recognised again.
   */
  clientOf(helperPid: number, parentHint?: number): ClientProcess | undefined {
    const parent = this.#reader.processParent(helperPid)?.ppid ?? parentHint;
    if (parent === undefined || parent === helperPid) return undefined;
    return this.#clientFrom(parent, MAX_DEPTH) ?? undefined;
  }

  #clientFrom(pid: number, depth: number): ClientProcess | null {
    if (pid < 1 || depth === 0) return null;
    const facts = this.#reader.processParent(pid);
    if (facts === undefined) return null;
    const key = `${pid}:${facts.startTime}`;
    const known = this.#clients.get(key);
    if (known !== undefined) {
      this.#remember(key, known);
      return known;
    }
    const info = this.#reader.processInfo(pid);
    if (info === undefined || info.startTime !== facts.startTime) return null;
    const client = this.#judge(pid, info, depth);
    this.#remember(key, client);
    return client;
  }

  #judge(pid: number, info: ProcessFacts, depth: number): ClientProcess | null {
    const self = { pid, startTime: info.startTime, name: programName(info) };
    if (isClaudeCode(info)) return { ...self, name: 'claude', isClaudeCode: true };
    // Orphans are handed to init: it ran nothing itself, and all orphans would look like one client.
    if (pid === 1) return null;
    const above = this.#clientFrom(info.ppid, depth - 1);
    if (above?.isClaudeCode || isWrapper(self.name)) return above;
    return { ...self, isClaudeCode: false };
  }

  /** The map keeps insertion order: what was used last goes to the end, what was used longest ago is dropped. */
  #remember(key: string, client: ClientProcess | null): void {
    this.#clients.delete(key);
    this.#clients.set(key, client);
    const oldest = this.#clients.keys().next();
    if (this.#clients.size > CACHE_LIMIT && !oldest.done) this.#clients.delete(oldest.value);
  }
}

/** The executable's base name; the kernel marks one that an update has replaced while it runs. */
export function programName({ executable, name }: ProcessFacts): string {
  return baseName(executable?.replace(/ \(deleted\)$/, '') ?? name);
}

/**
 * The native binary is called `claude` or lies under `claude/versions/`; the older package is node running
 * `…/claude-code/cli.js` or a link named `claude` to it.
 */
export function isClaudeCode(info: ProcessFacts): boolean {
  const [program = '', script = ''] = info.argv;
  if (isClaudeName(programName(info)) || isClaudeName(baseName(program))) return true;
  if (CLAUDE_EXECUTABLE.test(info.executable ?? '')) return true;
  return JAVASCRIPT.has(programName(info)) && (isClaudeName(baseName(script)) || CLAUDE_SCRIPT.test(script));
}

const CLAUDE_EXECUTABLE = /\/claude\/versions\/[^/]+$/;

const CLAUDE_SCRIPT = /\/claude-code\/(?:.*\/)?cli\.[cm]?js$/;

const JAVASCRIPT: ReadonlySet<string> = new Set(['node', 'nodejs', 'bun', 'deno', 'MainThread']);

/** Programs that run another program and are not, by themselves, who wanted it. */
const WRAPPERS: ReadonlySet<string> = new Set([
  ...['sh', 'bash', 'dash', 'ash', 'zsh', 'ksh', 'ksh93', 'mksh', 'fish', 'tcsh', 'csh', 'busybox', 'nu', 'pwsh'],
  ...['perl', 'ruby', ...JAVASCRIPT],
  ...['env', 'sudo', 'doas', 'su', 'runuser', 'timeout', 'gtimeout', 'nice', 'ionice', 'chrt', 'taskset', 'nohup'],
  ...['setsid', 'stdbuf', 'time', 'xargs', 'direnv', 'strace', 'caffeinate', 'flock', 'broker-key'],
]);

function isWrapper(program: string): boolean {
  return WRAPPERS.has(program) || /^(?:python|pypy|perl|ruby|node)[\d.]*$/.test(program);
}

function isClaudeName(name: string): boolean {
  return name === 'claude' || name === 'claude.exe';
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
