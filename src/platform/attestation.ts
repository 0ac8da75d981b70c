import { shellWord } from '../errors.ts';
import { isClaudeProgram, isClaudeScript } from './known-clients.ts';
import { printable } from './text.ts';

/**
 * `[credentials.NAME] allow`: who may have the key. claude-code: the client's own helper calls · claude-code-background: those
 * of `claude --bg` · claude-code-node: those of the old client, which is a script that Node runs.
 */
export const ALLOW_WORDS = ['claude-code', 'claude-code-background', 'claude-code-node'] as const;
export type AllowWord = (typeof ALLOW_WORDS)[number];

/** One process as the kernel shows it. undefined: it does not. */
export interface ProcessView {
  readonly pid: number;
  readonly ppid: number;
  readonly startTime: string;
  /** As the kernel shortens it. */
  readonly name: string;
  readonly session: number;
  readonly hasTerminal: boolean;
  /** Real, effective, saved and file system uid. */
  readonly uids: string | undefined;
  readonly noNewPrivileges: boolean | undefined;
  /** What can be read of its namespaces even of a process that hides itself, as the helper does. */
  readonly surroundings: string | undefined;
  /** Its pid, mount, user and network namespace. */
  readonly namespaces: string | undefined;
  readonly executable: { readonly path: string /** Device and inode. */; readonly id: string } | undefined;
  readonly argv: readonly string[] | undefined;
}

export interface CallerFacts {
  /** From the process that asks up to the topmost one that can be seen. */
  readonly chain: readonly ProcessView[];
  /** Whether an agent's variables were in what it was started with. */
  startedByAgent(pid: number): boolean;
}

/** A helper setting as `broker claude install` wrote it. */
export interface HelperLine {
  /** The setting, verbatim. */
  readonly line: string;
  /** Its words, where a shell may replace itself by the program; empty where the line is more than one simple command. */
  readonly words: readonly string[];
}

/** What `broker claude install` recorded. */
export interface Enrolment {
  readonly lines: readonly HelperLine[];
  /** Device and inode of clients that are found under other names than the usual ones. */
  readonly clients: readonly { readonly id: string; readonly path: string }[];
}

/**
 * peer: the process cannot be seen, or ended · client: no client runs it · user, session, namespaces, privileges: something
 * between it and the client is not as the client is · line: the client runs it, and not as a recorded helper · nested: the
 * client runs inside another one's agent · background: the client belongs to `claude --bg`.
 */
type Clause = 'peer' | 'client' | 'user' | 'session' | 'namespaces' | 'privileges' | 'line' | 'nested' | 'background';

export type Verdict =
  | { readonly allowed: true; readonly client: ProcessView; readonly between: readonly ProcessView[] }
  | CallerRefused;

export interface CallerRefused {
  readonly allowed: false;
  readonly clause: Clause;
  /** What the call was taken for, in words that follow "taken for". */
  readonly taken: string;
  /** The fact that decided it. */
  readonly why: string;
  readonly remedy: string;
  readonly client: ProcessView | undefined;
}

/** Parents of the peer among which the client has to be. */
const CLIENT_WITHIN = 16;

const EXPLAIN = 'this is on purpose (`allow` in the configuration); why in full: broker doctor';

/**
 * Whether a call is the client's own helper call (docs/allow.md): one fact carries it. Every process from the caller up to the
 * client is in the client's session, where the client starts its helpers and its MCP servers and nothing else, and which no
 * process can join. The command line just below the client then tells a helper from an MCP server.
 */
export function judgeCaller(
  { chain, startedByAgent }: CallerFacts,
  allow: readonly AllowWord[],
  enrolment: Enrolment,
  uid: number,
): Verdict {
  const [peer] = chain;
  if (peer === undefined) return unseen('the kernel does not show it');
  const mayBeNode = allow.includes('claude-code-node');
  const isClient = (view: ProcessView) => isBinary(view, enrolment) || (mayBeNode && isNode(view));
  const at = chain.findIndex((view, depth) => depth > 0 && depth <= CLIENT_WITHIN && isClient(view));
  const client = chain[at];
  const below = chain[at - 1];
  if (client === undefined || below === undefined) return withoutClient(chain, mayBeNode);
  const between = chain.slice(0, at);
  const no = (clause: Clause, taken: string, why: string, remedy = EXPLAIN): CallerRefused => {
    return { allowed: false, clause, taken, why, remedy, client };
  };
  const difference = differenceFrom(client, between, uid);
  if (difference !== undefined) return no(difference.clause, commandOf(client, between), difference.why);
  if (!enrolment.lines.some((line) => runs(below, line))) {
    return no(
      'line',
      looksLikeHelper(below)
        ? 'a helper line that is not recorded'
        : 'an MCP server, or a helper line that is not recorded',
      'what the client runs is none of the lines that `broker claude install` has written',
      'write the line again: broker claude install',
    );
  }
  if (startedByAgent(client.pid)) return no('nested', NESTED, 'the client was started with CLAUDECODE', OUTSIDE);
  const isCompiled = isBinary(client, enrolment);
  // Above a compiled client its own parent may be npm's wrapper: a script of Node's that is called claude, too.
  const above = chain.slice(at + 1).filter((view, depth) => depth > 0 || !isCompiled || isBinary(view, enrolment));
  const hosts = above.slice(0, above.findLastIndex(isClient) + 1);
  if (hosts.length > 0 && !isBackground(hosts, isClient))
    return no('nested', NESTED, 'another client runs it', OUTSIDE);
  const needed = hosts.length > 0 ? 'claude-code-background' : isCompiled ? 'claude-code' : 'claude-code-node';
  if (allow.includes(needed)) return { allowed: true, client, between };
  const [clause, taken] =
    hosts.length > 0
      ? (['background', 'the helper of a background session (claude --bg)'] as const)
      : (['client', 'the helper of a client in the foreground'] as const);
  return no(clause, taken, `\`allow\` does not have "${needed}"`, `to serve it too, add "${needed}" to \`allow\``);
}

const NESTED = 'a client that an agent has started';
const OUTSIDE = 'start that client in a terminal of its own';

/** @param why in words that follow a semicolon. */
export function unseen(why: string, remedy = 'see what is needed for `allow`: broker help allow'): CallerRefused {
  return { allowed: false, clause: 'peer', taken: 'a process that cannot be examined', why, remedy, client: undefined };
}

function isBinary({ executable }: ProcessView, { clients }: Enrolment): boolean {
  if (executable === undefined) return false;
  return isClaudeProgram(executable.path) || clients.some(({ id }) => id === executable.id);
}

function isNode({ executable, argv }: ProcessView): boolean {
  return executable !== undefined && argv !== undefined && isClaudeScript(executable.path, argv);
}

/** `claude --bg` is a client in a pty, run by other processes of the same program and nothing else in between. */
function isBackground(hosts: readonly ProcessView[], isClient: (view: ProcessView) => boolean): boolean {
  return hosts.every(isClient) && hosts.some(({ argv }) => argv?.includes('daemon') === true);
}

function runs({ argv = [] }: ProcessView, { line, words }: HelperLine): boolean {
  const isSame = (wanted: readonly string[]) =>
    wanted.length === argv.length && wanted.every((word, index) => word === argv[index]);
  return isSame(['/bin/sh', '-c', line]) || (words.length > 0 && isSame(words));
}

interface Difference {
  readonly clause: Clause;
  readonly why: string;
}

function differenceFrom(client: ProcessView, between: readonly ProcessView[], uid: number): Difference | undefined {
  const own = `${uid} ${uid} ${uid} ${uid}`;
  const differs = (is: (view: ProcessView, depth: number) => boolean) =>
    between.find((view, depth) => !is(view, depth));
  const stranger = client.uids === own ? differs(({ uids }) => uids === own) : client;
  if (stranger !== undefined) return { clause: 'user', why: `${named(stranger)} runs as another user` };
  const outside = differs(({ session }) => session === client.session);
  if (outside !== undefined) {
    return { clause: 'session', why: `${named(outside)} is in another session than the client` };
  }
  const elsewhere = differs(
    (view, depth) =>
      view.surroundings !== undefined &&
      view.surroundings === client.surroundings &&
      // Only the caller itself may hide them: the helper lets nobody look into it.
      (view.namespaces === client.namespaces || (depth === 0 && view.namespaces === undefined)),
  );
  if (elsewhere !== undefined) {
    return { clause: 'namespaces', why: `the namespaces of ${named(elsewhere)} are not the client's, or are hidden` };
  }
  const restricted = differs(({ noNewPrivileges }) => noNewPrivileges === client.noNewPrivileges);
  return (
    restricted && { clause: 'privileges', why: `${named(restricted)} is restricted (no_new_privs), the client is not` }
  );
}

/** Which of the commands that a client runs beside its helpers. */
function commandOf(client: ProcessView, between: readonly ProcessView[]): string {
  const isSandboxed = between.some(
    ({ noNewPrivileges, surroundings }) =>
      noNewPrivileges !== client.noNewPrivileges || surroundings !== client.surroundings,
  );
  if (isSandboxed) return "a sandboxed command of the agent's";
  const [shell = '', flag, text = ''] = between.at(-1)?.argv ?? [];
  if (flag === '-c' && /^(?:source|shopt|eval) /.test(text)) return "a command of the agent's shell";
  if (shell === '/bin/sh' && flag === '-c') return 'a hook, the status line or another command that Claude Code runs';
  return "a command of the agent's shell, a hook or the status line";
}

function withoutClient(chain: readonly ProcessView[], mayBeNode: boolean): CallerRefused {
  const refused = { allowed: false, clause: 'client', client: undefined } as const;
  const near = chain.slice(1, CLIENT_WITHIN + 1);
  if (!mayBeNode && near.some(isNode)) {
    const remedy = 'to serve it too, add "claude-code-node" to `allow`';
    return { ...refused, taken: 'a call of the old Node client', why: '`allow` does not have it', remedy };
  }
  const unknown = near.find(({ argv = [], name }) => name === 'claude' || /(?:^|\/)claude$/.test(argv[0] ?? ''));
  if (unknown !== undefined) {
    // An update marks what it has replaced.
    const file = unknown.executable?.path.replace(/ \(deleted\)$/, '');
    return {
      ...refused,
      taken: 'a call of another program',
      why: `the file that ${named(unknown)} runs from ${file === undefined ? 'cannot be seen' : 'is not known as Claude Code'}`,
      remedy:
        file === undefined ? EXPLAIN : `if it is: broker claude install --client ${printable(shellWord(file), 120)}`,
    };
  }
  const taken = chain[0]?.hasTerminal === true ? 'a command in a terminal' : "another program's call";
  return { ...refused, taken, why: 'no Claude Code client runs it', remedy: EXPLAIN };
}

function looksLikeHelper({ argv = [] }: ProcessView): boolean {
  return (argv[0] === '/bin/sh' && argv[1] === '-c') || /(?:^|\/)broker-key$/.test(argv[0] ?? '');
}

function named({ pid, name }: ProcessView): string {
  return `process ${pid} (${printable(name, 32)})`;
}
