import { join } from 'node:path';
import { ProviderError } from '../../errors.ts';
import { CallScope } from '../call-scope.ts';
import type { Call, IssuedSecret, IssueRequest, Provider, ProviderHost } from '../provider.ts';
import { type RunSubject, runFailure, startFailure } from './failures.ts';
import type { ExecOptions, ExecSource } from './options.ts';
import { contentOf } from './output.ts';
import { type Command, commandEnvironment, type RunOutcome } from './run.ts';
import { SingleRun } from './single-run.ts';

export class ExecProvider implements Provider {
  readonly #options: ExecOptions;
  readonly #host: ProviderHost;
  readonly #single: SingleRun;
  readonly #calls: CallScope;

  constructor(options: ExecOptions, host: ProviderHost) {
    this.#options = options;
    this.#host = host;
    this.#single = new SingleRun(host.clock);
    this.#calls = new CallScope(host.name);
  }

  async issue(request: IssueRequest, call: Call): Promise<IssuedSecret> {
    const source = request.source as ExecSource;
    const command = this.#commandOf(source);
    const subject = this.#subjectOf(command);
    const outcome = await this.#calls.run(call, undefined, (signal) => this.#run(command, subject, signal));
    const failure = runFailure(outcome, subject);
    if (failure !== undefined) {
      outcome.stdout.fill(0);
      throw failure;
    }
    return {
      content: contentOf(outcome.stdout, source.output, `the command of provider "${this.#host.name}"`),
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
    // A command logs in by itself, each time it runs.
  }

  close(): void {
    this.#calls.close();
    this.#single.close();
  }

  async #run(command: Command, subject: RunSubject, signal: AbortSignal): Promise<RunOutcome> {
    try {
      return await this.#single.run(command, signal);
    } catch (error) {
      // Node throws some of spawn's failures instead of reporting them; its error holds all the arguments.
      throw startFailure(error instanceof Error && 'code' in error ? String(error.code) : 'unknown', subject);
    }
  }

  #commandOf(source: ExecSource): Command {
    const { homeDir, env, name } = this.#host;
    const [program, ...args] = source.command ?? this.#options.command ?? [];
    if (program === undefined) {
      throw new ProviderError('misconfigured', `provider "${name}" and its credential name no command`, {
        remedy: `add command = ["program", "argument"] to [providers.${name}] or to the credential`,
      });
    }
    return {
      program: program.startsWith('~/') ? join(homeDir, program.slice(2)) : program,
      args: [...args, ...source.args],
      cwd: this.#options.cwd ?? homeDir,
      env: commandEnvironment(env, homeDir, this.#options.pass_env, this.#options.env),
      limitMs: this.#options.timeout,
    };
  }

  #subjectOf(command: Command): RunSubject {
    const given = [...this.#options.pass_env, ...Object.keys(this.#options.env)];
    return {
      provider: this.#host.name,
      command,
      deniedStatus: this.#options.denied_status,
      secrets: given.flatMap((variable) => command.env[variable] ?? []),
    };
  }
}
