import { expandHome } from '../../config/paths.ts';
import { flawOfFileItself } from '../../config/safe-file.ts';
import { parseExpiryField } from '../../credential/expiry.ts';
import { fieldAt } from '../../credential/field.ts';
import { trimKey } from '../../credential/key.ts';
import { asUtf8, parseObject, SecretBytes } from '../../credential/secret.ts';
import { codeOf, ProviderError } from '../../errors.ts';
import { type ProgramEnd, ProgramRun } from '../../platform/run-program.ts';
import { secretArguments } from '../../platform/text.ts';
import { abortable } from '../../platform/waiting.ts';
import { CallScope } from '../call-scope.ts';
import type { Call, IssuedSecret, IssueRequest, Provider, ProviderHost, SecretContent } from '../provider.ts';
import { readSecretFile } from '../secret-file.ts';
import { lateFailure, notAnObject, notAsKnown, nothingPrinted, runFailure, unsafeProgram } from './failures.ts';
import { commandOf, type ExecOptions, type ExecSource, programFile } from './options.ts';
import { PRESETS, type Preset } from './presets.ts';
import type { RunSubject } from './run-subject.ts';
import { startFailure } from './start-failures.ts';

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
    const content = contentOf(ended, source.output, subject);
    return {
      ...(subject.preset?.json === undefined
        ? { content, expiresAtServerMs: undefined }
        : this.#known(content, subject)),
      version: undefined,
      lease: undefined,
      ttlHintMs: undefined,
      serverTimeMs: undefined,
    };
  }

  loginInputs(): readonly string[] {
    const { login_files, pass_env, env_files } = this.#options;
    const { loginFiles = [], passEnv = [] } = this.#preset ?? {};
    const own = loginFiles.map((file) => expandHome(file, this.#host.homeDir));
    return [...login_files, ...Object.values(env_files), ...own, ...pass_env, ...passEnv];
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

  get #preset(): Preset | undefined {
    return this.#options.preset && PRESETS[this.#options.preset];
  }

  /** What a tool with a preset printed: the token and when it expires. */
  #known(content: SecretContent, subject: RunSubject): Pick<IssuedSecret, 'content' | 'expiresAtServerMs'> {
    const { key = '', expiry = '' } = subject.preset?.json ?? {};
    const token = content.kind === 'json' ? fieldAt(content.json, key) : undefined;
    if (content.kind !== 'json' || typeof token !== 'string' || token === '') {
      if (content.kind === 'text') content.text.wipe();
      throw notAsKnown(subject, key);
    }
    const expiresAtServerMs = parseExpiryField(fieldAt(content.json, expiry), this.#host.clock.wall());
    return { content: { kind: 'text', text: SecretBytes.fromString(token) }, expiresAtServerMs };
  }

  #subjectOf(source: ExecSource): RunSubject {
    const { homeDir, name } = this.#host;
    const [program, ...given] = commandOf(source, this.#options);
    if (program === undefined) {
      throw new ProviderError('misconfigured', `provider "${name}" and its credential name no command`, {
        remedy: `add command = ["program", "argument"] to [providers.${name}] or to the credential`,
      });
    }
    const { pass_env, env: set, env_files, cwd = homeDir || '/', timeout, denied_status } = this.#options;
    const { passEnv = [] } = this.#preset ?? {};
    const env = commandEnvironment(this.#options, this.#preset, this.#host);
    return {
      provider: name,
      preset: this.#preset,
      command: [expandHome(program, homeDir), ...given],
      cwd,
      env,
      limitMs: timeout,
      deniedStatus: denied_status,
      secrets: [
        ...[...pass_env, ...passEnv, ...Object.keys({ ...set, ...env_files })].flatMap((name) => env[name] ?? []),
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

/** The environment of a command: the few variables above, those of its preset, those named in `pass_env`, `env` and `env_files`. */
function commandEnvironment(options: ExecOptions, preset: Preset | undefined, host: ProviderHost) {
  const { env, homeDir } = host;
  const inherited = [...ALWAYS, ...(preset?.passEnv ?? []), ...options.pass_env].flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const fromFiles = Object.entries(options.env_files).map(
    ([name, file]) => [name, readSecretFile(file, `value of ${name}`, host)] as const,
  );
  const environment: Record<string, string> = {
    PATH: DEFAULT_PATH,
    HOME: homeDir,
    ...Object.fromEntries(inherited),
    ...preset?.setEnv,
    ...options.env,
    ...Object.fromEntries(fromFiles),
  };
  return environment;
}
