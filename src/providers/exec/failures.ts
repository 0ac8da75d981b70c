import { ProviderError } from '../../errors.ts';
import type { ProgramEnd } from '../../platform/run-program.ts';
import { firstLine } from '../../platform/text.ts';

/** What is run, and what a message about it may say. */
export interface RunSubject {
  readonly provider: string;
  /** Program and arguments. */
  readonly command: readonly [program: string, ...args: string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limitMs: number;
  readonly deniedStatus: readonly number[];
  /** Known secrets that the command could echo: values of variables it was given. */
  readonly secrets: readonly string[];
}

/** The tools' own advice to log in again, recognised by the command they name. */
const LOGIN_COMMANDS =
  /\b(gcloud auth (?:application-default )?login|az login|op signin|databricks auth login|aws (?:sso )?login|vault login|bao login|gh auth login|glab auth login|bw (?:login|unlock)|doppler login|infisical login|akeyless auth|tsh login|oc login|heroku login)\b/i;
const SIGNED_OUT = /not (?:currently )?(?:signed|logged) ?in|session (?:has )?expired|re-?authenticat/i;

/** The failure that the end of a run stands for, or undefined if the command succeeded. */
export function runFailure(ended: ProgramEnd, subject: RunSubject): ProviderError | undefined {
  switch (ended.end) {
    case 'exited':
      return ended.status === 0 ? undefined : exitFailure(ended, subject);
    case 'late':
      return lateFailure(subject);
    case 'too-long':
      return new ProviderError('misconfigured', `${name(subject)} printed over 1 MiB and was stopped`, {
        remedy: 'let the command print the key alone, or one JSON object',
      });
    case 'not-started':
      return startFailure(ended.code, subject);
    case 'stopped':
      return new ProviderError('transient', `${name(subject)} was stopped`);
  }
}

/** The program itself could not be run. */
export function startFailure(code: string, { provider, command, env, cwd }: RunSubject): ProviderError {
  const [program] = command;
  const where = `[providers.${provider}]`;
  const shown = firstLine(program, []);
  if (code === 'ENOENT' && !program.includes('/')) {
    return new ProviderError('misconfigured', `the program "${shown}" was not found in the daemon's PATH`, {
      remedy: `give its full path in command of ${where}; PATH is ${bounded(env['PATH'] ?? '')}`,
    });
  }
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new ProviderError('misconfigured', `the program "${shown}" or the folder ${bounded(cwd)} does not exist`, {
      remedy: `correct command or cwd in ${where}`,
    });
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'ENOEXEC') {
    return new ProviderError('misconfigured', `the program "${shown}" cannot be run (${code})`, {
      remedy: 'make the file executable (chmod u+x) and, if it is a script, give it a first line like #!/bin/sh',
    });
  }
  return new ProviderError('transient', `the program "${shown}" could not be started (${bounded(code)})`, {
    remedy: 'check that this machine has memory, processes and open files to spare',
  });
}

function exitFailure(ended: ProgramEnd, subject: RunSubject): ProviderError {
  const said = firstLine(ended.stderr, [...subject.secrets, ...wordsOf(ended.stdout)]);
  const how = ended.status === null ? `was killed by ${ended.signal}` : `exited with status ${ended.status}`;
  const message = `${name(subject)} ${how}${said === '' ? ' and said nothing' : `: ${said}`}`;
  if (ended.status !== null && subject.deniedStatus.includes(ended.status)) {
    return new ProviderError('denied', message, { remedy: 'ask the person who granted you access to this key' });
  }
  const login = LOGIN_COMMANDS.exec(ended.stderr)?.[0];
  if (login !== undefined) return new ProviderError('login-expired', message, { remedy: `run: ${login}` });
  if (SIGNED_OUT.test(ended.stderr)) {
    return new ProviderError('login-expired', message, {
      remedy: `log in to ${firstLine(subject.command[0], [])} again`,
    });
  }
  return new ProviderError('transient', message, {
    remedy: `run the command of [providers.${subject.provider}] in a shell to see what it wants`,
  });
}

/** It ran longer than it may. */
export function lateFailure(subject: RunSubject): ProviderError {
  const seconds = subject.limitMs / 1000;
  return new ProviderError('transient', `${name(subject)} gave no answer within ${seconds} s and was stopped`, {
    remedy: `see whether it waits for input, or raise timeout in [providers.${subject.provider}]`,
  });
}

function name({ command }: RunSubject): string {
  return `the command "${firstLine(command[0], [])}"`;
}

/** Whatever was printed on stdout may be the key, and some tools repeat it on stderr. */
function wordsOf(stdout: Buffer): readonly string[] {
  return stdout
    .subarray(0, 65_536)
    .toString('utf8')
    .split(/[\s"',:{}[\]]+/)
    .filter((word) => word.length >= 6);
}

function bounded(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}
