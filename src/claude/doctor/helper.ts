import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { decodeJwt } from '../../credential/expiry.ts';
import { keyFault, mistakenForKey } from '../../credential/key.ts';
import type { Clock } from '../../platform/clock.ts';
import { isExecutable, programsOnPath, readRegularFile, realPathQuietly, statQuietly } from '../../platform/files.ts';
import { fingerprint, firstLine } from '../../platform/text.ts';
import { type ChainInput, effectiveHelper, effectiveVariable } from '../settings/effective.ts';
import type { SettingsFile } from '../settings/files.ts';
import { credentialOf, parseHelperCommand, runsBrokerHelper } from '../shell/helper-command.ts';

export interface HelperFacts extends CommandFacts {
  readonly settings: SettingsFile;
}

/** What a setting that names a command says, and what is there. */
export interface CommandFacts {
  readonly command: string;
  /** `file:line` of the setting. */
  readonly where: string;
  /** It runs `broker-key` or `broker get` by its words. */
  readonly ours: boolean;
  /** The credential that a command of ours asks for; undefined: the default one. */
  readonly credential: string | undefined;
  /** The first word; undefined where the command has none. */
  readonly program: string | undefined;
  readonly words: readonly string[];
  readonly how: 'absolute' | 'relative' | 'by name' | 'built-in' | 'unknown';
  /** Of the program, if that can be said. */
  readonly path: string | undefined;
  readonly found: boolean;
  readonly executable: boolean;
  /** Its mode allows what the file system that it lies on does not. */
  readonly onNoexec: boolean;
  /** The program's text if it is a script of reasonable size. */
  readonly script: string | undefined;
  /** What the doctor may run without being told to. */
  readonly mayRun: boolean;
}

/** Scripts are short; a larger file is a program. */
const MAX_SCRIPT_BYTES = 64 * 1024;

interface HelperSurroundings {
  readonly homeDir: string;
  readonly projectDir: string;
  readonly uid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** This installation's own `broker-key`, and the copy that it puts into settings. */
  readonly ownHelpers: readonly string[];
}

/** What can be said about the helper without running it. */
export function inspectHelper(input: ChainInput, around: HelperSurroundings): HelperFacts | undefined {
  const helper = effectiveHelper(input);
  return helper && inspectCommand(input, helper, around);
}

interface HelperLine {
  readonly command: string;
  readonly settings: Pick<SettingsFile, 'file' | 'scope' | 'mode' | 'uid'>;
  readonly line: number;
}

/** The same of any setting that names a command. */
export function inspectCommand<Line extends HelperLine>(
  input: ChainInput,
  { command, settings, line }: Line,
  given: HelperSurroundings,
): CommandFacts & { readonly settings: Line['settings'] } {
  // The client looks where the settings' own PATH leads.
  const around = { ...given, env: { ...given.env, PATH: effectiveVariable(input, 'PATH')?.value } };
  const { words } = parseHelperCommand(command);
  const program = words[0];
  const located = locate(hasQuotedTilde(command) ? `./${program}` : program, around);
  const stat = located.path === undefined ? undefined : statQuietly(located.path);
  const isOwn = isOwnBinary(located.path, around);
  const ours = runsBrokerHelper(command) || isOwn;
  const found = located.how === 'built-in' || stat?.isFile() === true;
  const executable = located.path === undefined ? found : isExecutable(located.path);
  return {
    command,
    settings,
    where: `${settings.file}:${line}`,
    ours,
    credential: ours ? credentialOf(command) : undefined,
    program,
    words,
    how: located.how,
    path: located.path,
    found,
    executable,
    onNoexec: !executable && found && ((stat?.mode ?? 0) & 0o100) !== 0 && stat?.uid === process.getuid?.(),
    script: located.path !== undefined && stat?.isFile() ? scriptText(located.path) : undefined,
    mayRun: found && (isOwn || isOwnSettings(settings, around)),
  };
}

function locate(program: string | undefined, around: HelperSurroundings): Pick<HelperFacts, 'how' | 'path'> {
  if (program === undefined || program === '') return { how: 'unknown', path: undefined };
  const expanded = program.replace(/^(~|\$HOME|\$\{HOME\})(?=\/)/, () => around.homeDir);
  if (path.isAbsolute(expanded)) return { how: 'absolute', path: path.normalize(expanded) };
  if (/[$`*?]/.test(expanded)) return { how: 'unknown', path: undefined };
  if (BUILT_IN.test(expanded)) return { how: 'built-in', path: undefined };
  if (expanded.includes('/')) return { how: 'relative', path: path.resolve(around.projectDir, expanded) };
  return { how: 'by name', path: programsOnPath(expanded, around.env['PATH'])[0] };
}

/** Words that are not programs to /bin/sh: its built-ins and keywords. */
const BUILT_IN =
  /^(?:echo|printf|read|test|\[|exec|eval|cd|set|\.|:|true|false|if|for|while|until|case|\{|!|export|unset|umask|type|trap|times|wait|pwd|getopts|return|shift|exit|ulimit|alias|hash|command)$/;
function scriptText(file: string): string | undefined {
  const found = readRegularFile(file, { maxBytes: MAX_SCRIPT_BYTES });
  const text = found.state === 'read' ? found.bytes.toString('utf8') : '';
  return text.startsWith('#!') ? text : undefined;
}

/** What the first line of a script names and is not there; by its name where `env` looks for it. */
export function missingInterpreter(input: ChainInput, helper: CommandFacts): string | undefined {
  if (!helper.executable || hasWindowsLines(helper)) return undefined;
  const [, program, argument] =
    /^#![ \t]*(\/\S+)(?:[ \t]+(?:-S[ \t]+)?([\w.+][\w.+-]*)(?!\S))?/.exec(helper.script ?? '') ?? [];
  if (program === undefined) return undefined;
  if (!isExecutable(program)) return program;
  if (!program.endsWith('/env') || argument === undefined) return undefined;
  return programsOnPath(argument, effectiveVariable(input, 'PATH')?.value).length === 0 ? argument : undefined;
}

/** A script whose first line ends as on Windows. */
export function hasWindowsLines({ script = '' }: CommandFacts): boolean {
  return /^#![^\n]*\r\n/.test(script);
}

/** `"~/bin/broker-key"`: the shell looks for a folder named `~`. */
export function hasQuotedTilde(command: string): boolean {
  return /^\s*["']~\//.test(command);
}

/** By the file and not by its name: a repository can bring a `broker-key` of its own. */
function isOwnBinary(file: string | undefined, { ownHelpers, uid }: HelperSurroundings): boolean {
  const real = file === undefined ? undefined : realPathQuietly(file);
  if (real === undefined) return false;
  const stat = statQuietly(real);
  if (stat === undefined || (stat.mode & 0o022) !== 0 || (stat.uid !== uid && stat.uid !== 0)) return false;
  return ownHelpers.some((own) => realPathQuietly(own) === real);
}

/** Settings that only the user or an administrator can have written. */
function isOwnSettings({ scope, file, mode, uid }: HelperLine['settings'], around: HelperSurroundings): boolean {
  if (scope !== 'user' && scope !== 'managed') return false;
  const inProject = around.projectDir !== around.homeDir && `${file}/`.startsWith(`${around.projectDir}/`);
  return !inProject && (mode & 0o022) === 0 && (uid === around.uid || uid === 0);
}

/** What came of running the helper as the client runs it; the key itself is not kept. */
export interface HelperRun {
  readonly ms: number;
  /** hung: no end of its output within the limit. */
  readonly outcome: 'ended' | 'hung' | 'not started';
  readonly exitCode: number | undefined;
  /** Why the client would refuse the output; undefined if it would take it. */
  readonly refusal: string | undefined;
  /** What it is instead of a key, although the client would take it. */
  readonly mistaken: string | undefined;
  /** Kind and fingerprint of what was printed. */
  readonly shown: string | undefined;
  readonly kind: KeyKind | undefined;
  /** Of a JWT, how much of its life was left; negative once it is over. */
  readonly expiresInMs: number | undefined;
  /** The first line that it wrote to stderr, without what looks like a secret. */
  readonly message: string | undefined;
}

export type KeyKind = 'api-key' | 'oauth-token' | 'admin-key' | 'jwt' | 'json' | 'other';

/** The client warns at 10 s; a diagnosis is not worth a longer wait. */
const RUN_LIMIT_MS = 12_000;

/** Well above LONGEST_KEY, so that what is too long is seen to be. */
const MAX_OUTPUT_BYTES = 64 * 1024;
const LONGEST_MESSAGE = 400;

interface RunOptions {
  readonly command: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** What it writes to stderr may be shown. */
  readonly ours: boolean;
  readonly limitMs?: number;
}

/**
 * Runs a helper as the client does: `/bin/sh -c`, the whole environment, a standard input that stays open and silent,
 * done at the end of its output and not of the process. The key is judged and forgotten.
 */
export async function runHelper(options: RunOptions): Promise<HelperRun> {
  const { clock } = options;
  const started = clock.now();
  const child = spawn('/bin/sh', ['-c', options.command], {
    cwd: options.cwd,
    env: options.env,
    stdio: ['pipe', 'pipe', 'pipe'],
    // A group of its own, so that what a hanging helper left behind can be ended with it.
    detached: true,
  });
  child.stdin.on('error', () => {});
  const out = collect(child.stdout);
  const err = collect(child.stderr);
  const outcome = await ending(child, clock, options.limitMs ?? RUN_LIMIT_MS);
  const ms = Math.round(clock.now() - started);
  child.stdin.destroy();
  const output = out().trim();
  const key = Buffer.from(output);
  const refusal = keyFault(key);
  const expiry = decodeJwt(key)?.expiresAtMs;
  const told = firstLine(err(), [], LONGEST_MESSAGE);
  return {
    ms,
    outcome: outcome.kind,
    exitCode: outcome.exitCode,
    refusal,
    mistaken: refusal === undefined ? mistakenForKey(key)?.what : undefined,
    shown: refusal === undefined ? fingerprint(output) : undefined,
    kind: refusal === undefined ? keyKind(output) : undefined,
    expiresInMs: expiry === undefined ? undefined : expiry - clock.wall(),
    message: told || undefined,
  };
}

type Ending = { readonly kind: HelperRun['outcome']; readonly exitCode: number | undefined };

function ending(child: ChildProcess, clock: Clock, limitMs: number): Promise<Ending> {
  return new Promise((resolve) => {
    const timer = clock.after(limitMs, () => {
      endGroup(child);
      resolve({ kind: 'hung', exitCode: undefined });
    });
    child.once('error', () => {
      timer.cancel();
      resolve({ kind: 'not started', exitCode: undefined });
    });
    child.once('close', (code, signal) => {
      timer.cancel();
      resolve({ kind: 'ended', exitCode: code ?? (signal === null ? 0 : 128) });
    });
  });
}

function endGroup(child: ChildProcess): void {
  child.stdout?.destroy();
  child.stderr?.destroy();
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {}
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    if (size < MAX_OUTPUT_BYTES) chunks.push(chunk);
    size += chunk.length;
  });
  stream.on('error', () => {});
  return () => Buffer.concat(chunks).subarray(0, MAX_OUTPUT_BYTES).toString('utf8');
}

export function keyKind(value: string): KeyKind {
  const key = value.trim();
  if (key.startsWith('sk-ant-oat')) return 'oauth-token';
  if (key.startsWith('sk-ant-admin')) return 'admin-key';
  if (key.startsWith('sk-ant-')) return 'api-key';
  if (key.startsWith('{') || key.startsWith('[')) return 'json';
  return /^eyJ[\w-]+\.[\w-]+\.[\w-]*$/.test(key) ? 'jwt' : 'other';
}
