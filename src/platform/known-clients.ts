import path from 'node:path';
import type { ProcessFacts } from './native.ts';

/** A program that runs `broker-key` for itself and is known to ask again when its key was refused: what the rule needs of it. */
export interface KnownClient {
  /** For events and status. */
  readonly name: string;
  /** How long it keeps a key, unless it names another interval. */
  readonly intervalMs: number;
  /** How long an ask of it may wait: nine seconds, or half a second less than its own time limit. */
  readonly waitMs: number;
  /** Its turn ends well after some refusals; a client that ends by itself is never refused. */
  readonly mayBeRefused: boolean;
  /** Marks what its agent runs, and not its own helper, in the environment. */
  readonly agentVariable?: string;
  isProcess(facts: ProcessFacts): boolean;
  /** The files whose change makes it drop its key. */
  settingsFiles?(surroundings: ClientSurroundings): readonly string[];
}

/** What is read of a client's own process, and no more: environments hold secrets. */
export interface ClientSurroundings {
  readonly cwd: string | undefined;
  readonly homeDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly argv: readonly string[];
  readonly platform: NodeJS.Platform;
}

/** Most clients warn or give up at ten seconds or later. */
export const USUAL_WAIT_MS = 9_000;

/** Claude Code and its Agent SDK, as docs/claude-client.md has it: keeps keys for 300 s, warns at 10 s, ends a turn at the third failed call. */
export const CLAUDE_CODE: KnownClient = {
  name: 'claude',
  intervalMs: 300_000,
  waitMs: USUAL_WAIT_MS,
  mayBeRefused: true,
  agentVariable: 'CLAUDECODE',
  isProcess: isClaudeCode,
  settingsFiles: claudeSettings,
};

/** Runs its command again 30 to 100 ms after every 401, waits 5 s for it, and ends by itself after about 7 s. */
export const CODEX: KnownClient = {
  name: 'codex',
  intervalMs: 300_000,
  waitMs: 4_500,
  mayBeRefused: false,
  isProcess: (facts) => CODEX_PROGRAM.test(programName(facts)),
};

/** In third-party mode: keeps a token for an hour, and says CLAUDE_HELPER_CONTEXT=mid-session-refresh when it was refused. */
export const CLAUDE_DESKTOP: KnownClient = {
  name: 'claude-desktop',
  intervalMs: 3_600_000,
  waitMs: USUAL_WAIT_MS,
  mayBeRefused: false,
  isProcess: (facts) => DESKTOP_PROGRAM.test(programName(facts)) || DESKTOP_EXECUTABLE.test(facts.executable ?? ''),
};

export const KNOWN_CLIENTS: readonly KnownClient[] = [CLAUDE_CODE, CODEX, CLAUDE_DESKTOP];

/** The native program is called `codex`, or `codex` with its platform. */
const CODEX_PROGRAM = /^codex(?:-(?:x86_64|aarch64)-[\w-]+)?(?:\.exe)?$/;

const DESKTOP_PROGRAM = /^(?:Claude|claude-desktop)$/;
const DESKTOP_EXECUTABLE = /\/(?:Claude\.app\/Contents\/MacOS|claude-desktop)\/[^/]+$/;

/**
 * The native binary is called `claude` or is under `claude/versions/`; the older package, and the Agent SDK, are node running
 * `…/claude-code/cli.js`, `…/claude-agent-sdk/cli.js` or a link named `claude` to it.
 */
function isClaudeCode(facts: ProcessFacts): boolean {
  const [program = '', script = ''] = facts.argv;
  if (isClaudeName(programName(facts)) || isClaudeName(baseName(program))) return true;
  if (CLAUDE_EXECUTABLE.test(facts.executable ?? '')) return true;
  return JAVASCRIPT.has(programName(facts)) && runsClaude(script);
}

function runsClaude(script: string): boolean {
  return isClaudeName(baseName(script)) || CLAUDE_SCRIPT.test(script);
}

const CLAUDE_EXECUTABLE = /\/claude\/versions\/[^/]+$/;

/** By the file alone that it runs, which no process can choose as it can its name: for permission, not for judging. */
export function isClaudeProgram(executable: string): boolean {
  const file = executable.replace(/ \(deleted\)$/, '');
  return CLAUDE_EXECUTABLE.test(file) || CLAUDE_PACKAGE.test(file);
}

/** The old client: Node, and the script as its first word, until it has given itself a title, which is written over its words. */
export function isClaudeScript(executable: string, [program = '', script = '']: readonly string[]): boolean {
  return isJavaScriptRuntime(executable) && (runsClaude(script) || program === CLAUDE_CODE.name);
}

export function isJavaScriptRuntime(executable: string): boolean {
  return JAVASCRIPT.has(baseName(executable.replace(/ \(deleted\)$/, '')));
}

/** npm's file has the same name on every platform. */
const CLAUDE_PACKAGE = /\/@anthropic-ai\/claude-(?:code|agent-sdk)(?:-[\w-]+)?\/(?:[^/]+\/)*claude(?:\.exe)?$/;

const CLAUDE_SCRIPT = /\/(?:claude-code|claude-agent-sdk)\/(?:.*\/)?cli\.[cm]?js$/;

export const JAVASCRIPT: ReadonlySet<string> = new Set(['node', 'nodejs', 'bun', 'deno', 'MainThread']);

function isClaudeName(name: string): boolean {
  return name === 'claude' || name === 'claude.exe';
}

/** The executable's base name; the kernel marks one that an update has replaced while it runs. */
export function programName({ executable, name }: ProcessFacts): string {
  return baseName(executable?.replace(/ \(deleted\)$/, '') ?? name);
}

function baseName(file: string): string {
  return file.slice(file.lastIndexOf('/') + 1);
}

/** Where an administrator's settings of Claude Code are. */
export function managedFolder(platform: NodeJS.Platform, systemRoot = '/'): string {
  return path.join(systemRoot, platform === 'darwin' ? 'Library/Application Support/ClaudeCode' : 'etc/claude-code');
}

/** The user's, the project's, the local and the managed settings, and what `--settings` names. */
function claudeSettings({ cwd, homeDir, env, argv, platform }: ClientSurroundings): readonly string[] {
  const folders = [env['CLAUDE_CONFIG_DIR'] || path.join(homeDir, '.claude')];
  const managed = managedFolder(platform);
  const files = [path.join(managed, 'managed-settings.json'), path.join(managed, 'managed-settings.d')];
  if (cwd !== undefined) {
    files.push(path.join(cwd, '.claude', 'settings.json'), path.join(cwd, '.claude', 'settings.local.json'));
    files.push(...namedSettings(argv).map((file) => path.resolve(cwd, file)));
  }
  return [...folders.map((folder) => path.join(folder, 'settings.json')), ...files];
}

/** `--settings` takes a file or the settings themselves. */
function namedSettings(argv: readonly string[]): readonly string[] {
  return argv.flatMap((word, index) => {
    const named = word === '--settings' ? argv[index + 1] : /^--settings=(.*)$/s.exec(word)?.[1];
    return named === undefined || named === '' || named.trimStart().startsWith('{') ? [] : [named];
  });
}
