import { expandHome } from '../../config/paths.ts';
import { flawOfFileItself } from '../../config/safe-file.ts';
import { trimKey } from '../../credential/key.ts';
import { asUtf8, parseObject, SecretBytes } from '../../credential/secret.ts';
import { codeOf, ProviderError } from '../../errors.ts';
import { type ProgramEnd, ProgramRun } from '../../platform/run-program.ts';
import { secretArguments } from '../../platform/text.ts';
import { abortable } from '../../platform/waiting.ts';
import { CallScope } from '../call-scope.ts';
import type { Call, IssuedSecret, IssueRequest, Provider, ProviderHost, SecretContent } from '../provider.ts';
import {
  lateFailure,
  notAnObject,
  nothingPrinted,
  type RunSubject,
  runFailure,
  startFailure,
  unsafeProgram,
} from './failures.ts';
import { type ExecOptions, type ExecSource, programFile } from './options.ts';

/** A command past its `timeout` has two seconds to end politely, and what it left behind a moment to let go of stdout. */
const STOPPING_MS = 3_000;

/** Runs a command, without a shell, for every read: the command logs in as it likes. */
export class ExecProvider implements Provider {
  readonly callLimitMs: number;
  readonly #options: ExecOptions;
  readonly #host: ProviderHost;
  readonly #calls: CallScope;
  /** What runs now, by the command. */
  readonly #runs = new Map<string, ProgramRun>();

  constructor(options: ExecOptions, host: ProviderHost) {
    this.callLimitMs = options.timeout + STOPPING_MS;
    this.#options = options;
    this.#host = host;
    this.#calls = new CallScope(host.name);
  }

  async issue(request: IssueRequest, call: Call): Promise<IssuedSecret> {
    const source = request.source as ExecSource;
    const subject = this.#subjectOf(source);
    const limit = { clock: this.#host.clock, limitMs: this.callLimitMs, late: () => lateFailure(subject) };
    const ended = await this.#calls.run(call, limit, (signal) => this.#run(subject, signal));
    const failure = runFailure(ended, subject);
    if (failure !== undefined) {
      ended.stdout.fill(0);
      throw failure;
    }
    return {
      content: contentOf(ended, source.output, subject),
      version: undefined,
      lease: undefined,
      ttlHintMs: undefined,
      expiresAtServerMs: undefined,
      serverTimeMs: undefined,
    };
  }

  loginInputs(): readonly string[] {
    return [...this.#options.login_files, ...this.#options.pass_env];
  }

  forgetLogin(): void {
    // Nothing is remembered: a command logs in each time it runs.
  }

  close(): void {
    this.#calls.close();
    for (const run of this.#runs.values()) run.stop('SIGKILL');
  }

  /** A command runs once at a time: one that was given up may still be ending, and two would ask for one login twice. */
  async #run(subject: RunSubject, signal: AbortSignal): Promise<ProgramEnd> {
    const key = JSON.stringify(subject.command);
    for (let former = this.#runs.get(key); former !== undefined; former = this.#runs.get(key)) {
      const { ended } = former;
      await abortable(signal, () => ended);
    }
    const run = this.#start(subject);
    this.#runs.set(key, run);
    void run.ended.then(() => this.#runs.delete(key));
    const onAbort = () => run.stop();
    signal.addEventListener('abort', onAbort, { once: true });
    const ended = await run.ended;
    signal.removeEventListener('abort', onAbort);
    // Then the caller is gone, and with it whoever would wipe what was printed.
    if (signal.aborted) ended.stdout.fill(0);
    return ended;
  }

  #start(subject: RunSubject): ProgramRun {
    const { command, cwd, env, limitMs } = subject;
    const file = programFile(command[0], { homeDir: this.#host.homeDir, cwd, path: env['PATH'] });
    const flaw = file === undefined ? undefined : flawOfFileItself(file, process.getuid?.() ?? 0);
    if (flaw !== undefined) throw unsafeProgram(flaw);
    try {
      return new ProgramRun(command, { cwd, env, limitMs }, this.#host.clock);
    } catch (error) {
      // Node throws some of spawn's failures instead of reporting them; its error holds all the arguments.
      throw startFailure(codeOf(error), subject);
    }
  }

  #subjectOf(source: ExecSource): RunSubject {
    const { homeDir, name } = this.#host;
    const [program, ...args] = source.command ?? this.#options.command ?? [];
    if (program === undefined) {
      throw new ProviderError('misconfigured', `provider "${name}" and its credential name no command`, {
        remedy: `add command = ["program", "argument"] to [providers.${name}] or to the credential`,
      });
    }
    const { pass_env, env: set, cwd = homeDir || '/', timeout, denied_status } = this.#options;
    const env = commandEnvironment(this.#options, this.#host);
    const given = [...args, ...source.args];
    return {
      provider: name,
      command: [expandHome(program, homeDir), ...given],
      cwd,
      env,
      limitMs: timeout,
      deniedStatus: denied_status,
      secrets: [
        ...[...pass_env, ...Object.keys(set)].flatMap((variable) => env[variable] ?? []),
        ...secretArguments(given),
      ],
    };
  }
}

/** Makes a secret of what a command printed, and wipes the bytes it got. */
function contentOf(ended: ProgramEnd, output: ExecSource['output'], subject: RunSubject): SecretContent {
  const text = asUtf8(ended.stdout);
  try {
    const trimmed = trimKey(text);
    if (trimmed.length === 0) throw nothingPrinted(ended, subject);
    const json = output === 'text' || trimmed[0] !== OPENING_BRACE ? undefined : parseObject(trimmed.toString('utf8'));
    if (json !== undefined) return { kind: 'json', json };
    if (output !== 'json') return { kind: 'text', text: SecretBytes.from(Buffer.from(trimmed)) };
    throw notAnObject(subject);
  } finally {
    ended.stdout.fill(0);
    text.fill(0);
  }
}

const OPENING_BRACE = 0x7b;

/** What a command-line tool needs to find its programs, its configuration and its language; nothing of it is secret. */
const ALWAYS = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'LANGUAGE',
  'LC_ALL',
  'LC_CTYPE',
  'LC_MESSAGES',
  'TZ',
  'TMPDIR',
  'XDG_CONFIG_HOME',
  'XDG_CACHE_HOME',
  'XDG_DATA_HOME',
  'XDG_STATE_HOME',
  'XDG_RUNTIME_DIR',
] as const;

const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin';

/** The environment of a command: the few variables above, those named in `pass_env`, those set in `env`. */
function commandEnvironment({ env: set, pass_env }: ExecOptions, { env, homeDir }: ProviderHost) {
  const inherited = [...ALWAYS, ...pass_env].flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const environment: Record<string, string> = {
    PATH: DEFAULT_PATH,
    HOME: homeDir,
    ...Object.fromEntries(inherited),
    ...set,
  };
  return environment;
}
