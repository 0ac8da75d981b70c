import { basename } from 'node:path';
import { ProviderError } from '../../errors.ts';
import type { Flaw } from '../../platform/place-rules.ts';
import type { ProgramEnd } from '../../platform/run-program.ts';
import { firstLine } from '../../platform/text.ts';
import type { ToolFailure } from './presets.ts';
import { bounded, type RunSubject, shown } from './run-subject.ts';
import { startFailure, withoutWindowsLines } from './start-failures.ts';

/** What a tool says when a person has to log in, unlock or confirm something first. */
interface SignedOut {
  readonly says: RegExp;
  /** The row is for these programs only. */
  readonly of?: RegExp;
  /** What to type; `it`: what was recognised is the command; absent: only the tool knows. */
  readonly run?: string;
}

/**
 * The first row that fits. All of them count as an expired login: what may put a prompt before a person is never repeated
 * unless somebody asks for the key.
 */
const SIGNED_OUT: readonly SignedOut[] = [
  // Their own advice, whatever else they say. Each of these commands is in the documentation of its tool.
  {
    says: /\b(?:gcloud auth (?:application-default )?login|az login|op signin|databricks auth login|aws (?:sso )?login|vault login|bao login|gh auth login|glab auth login|bw (?:login|unlock)|rbw (?:login|unlock)|lpass login|doppler login|infisical login|akeyless auth|tsh login|oc login|heroku login|dcli sync)\b/i,
    run: 'it',
  },
  // 1Password CLI 2: the desktop app's prompt was closed or timed out; ghostty-org/ghostty#3521.
  {
    says: /authorization (?:prompt dismissed|was denied|timeout|timed out)|connecting to desktop app|no accounts configured for use with 1password/i,
    run: 'op signin',
  },
  // macOS security(1), errSecInteractionNotAllowed and errSecUserCanceled; docker/docker-credential-helpers#193.
  {
    says: /user interaction is not allowed|user canceled the operation|passphrase you entered is not correct|-25308\b/i,
    run: 'security unlock-keychain',
  },
  // doy/rbw, src/bin/rbw-agent/actions.rs.
  { says: /failed to read password from pinentry/i, run: 'rbw unlock' },
  // bitwarden/clients, apps/cli/src/base-program.ts.
  { of: /^bw$/, says: /vault is locked|master password is required/i, run: 'bw unlock' },
  { of: /^bw$/, says: /you are not logged in/i, run: 'bw login' },
  // GnuPG and pass; Homebrew/homebrew-core#14737, ish-app/ish#1739, diablodale/pinentry-wsl-ps1#6.
  {
    says: /^gpg: .*(?:operation cancelled|inappropriate ioctl|no pinentry|timeout|bad passphrase|no passphrase|no secret key|end of file|window too small|agent)|\bpinentry\b/im,
  },
  // AWS CLI and botocore, SSOTokenLoadError and TokenRetrievalError; boto/boto3#4119, aws/aws-sdk-java-v2#4830, aws/aws-cli#8561.
  {
    says: /error (?:loading|when retrieving) (?:sso )?token|unable to load sso token|sso (?:session|token)\b.*(?:expired|invalid)|token has expired and refresh failed|InvalidGrantException/i,
    run: 'aws sso login',
  },
  // AWS CLI without any login, and STS about one that is over.
  { says: /ExpiredToken|token included in the request is expired|unable to locate credentials|NoCredential/i },
  // Microsoft Entra's error codes, a refused or expired refresh token; Azure/azure-cli#16209, #23105, #25108.
  { of: /^az$/, says: /AADSTS\d{5,}|interactive authentication is needed/i, run: 'az login' },
  { says: /AADSTS\d{5,}|interactive authentication is needed/i },
  // Google's reauthentication; GoogleCloudPlatform/cloud-run-proxy#43, kubernetes/kubernetes#96289, pulumi/pulumi-gcp#479.
  {
    of: /^(?:gcloud|gsutil|bq)$/,
    says: /invalid_grant|invalid_rapt|rapt_required|reauthentication (?:required|failed|challenge)/i,
    run: 'gcloud auth login',
  },
  {
    says: /default credentials were not found|could not automatically determine credentials/i,
    run: 'gcloud auth application-default login',
  },
  // RFC 6749, 5.2; RFC 8628, 3.5.
  { says: /\binvalid_grant\b|invalid_rapt|rapt_required|\bexpired_token\b/ },
  // In plain words, whoever says them. "Locked" alone is said of files and databases, too.
  {
    says: /(?:not|isn't|must be|need to be) (?:currently )?(?:signed|logged) ?in|(?:session|login) (?:has |is |was )?(?:expired|over)\b|re-?authenticat|please (?:log|sign) ?in|login required|(?:vault|agent|keychain|keyring|wallet|collection) is (?:currently )?locked|locked collection|(?:prompt|request) (?:was )?dismissed|(?:cancell?ed|aborted|dismissed|denied) by (?:the )?user|user cancell?ed|no credentials (?:found|available|provider)|credentials (?:have |are )?(?:expired|missing)/i,
  },
];

/** They may put a dialogue before a person, and wait for it. */
const PROMPTING =
  /^(?:op|security|gpg2?|pass|gopass|rbw|bw|lpass|secret-tool|kwallet-query|keepassxc-cli|dcli|age|sops|ykman|aws-vault|saml2aws|pinentry.*)$/;

/** The failure that the end of a run stands for, or undefined if the command succeeded. */
export function runFailure(ended: ProgramEnd, subject: RunSubject): ProviderError | undefined {
  switch (ended.end) {
    case 'exited':
      return ended.status === 0 ? undefined : exitFailure(ended, subject);
    case 'late':
      return lateFailure(subject);
    case 'too-long':
      return new ProviderError('misconfigured', `${nameOf(subject)} printed over 1 MiB and was stopped`, {
        remedy: 'let the command print the key alone, or one JSON object',
      });
    case 'not-started':
      return startFailure(ended.code, subject);
    case 'stopped':
      return new ProviderError('transient', `${nameOf(subject)} was stopped`);
  }
}

/** Whoever can change the program is given what the daemon gives it, and decides which key is served. */
export function unsafeProgram({ reason, remedy }: Flaw): ProviderError {
  return new ProviderError('misconfigured', `the program is not run: ${reason}`, { code: 'ERR_UNSAFE_FILE', remedy });
}

function exitFailure(ended: ProgramEnd, subject: RunSubject): ProviderError {
  const program = shown(failingProgram(subject));
  const own = ownFailure(ended.stderr, subject);
  const login = own === undefined ? loginWanted(ended.stderr, program, subject) : undefined;
  const secrets = [...subject.secrets, ...wordsOf(ended.stdout)];
  const said = firstLine(login?.said ?? tellingPart(ended.stderr), secrets);
  const how = ended.status === null ? `was killed by ${ended.signal}` : `exited with status ${ended.status}`;
  const message = `${nameOf(subject)} ${how}${said === '' ? ' and said nothing' : `: ${said}`}`;
  if (ended.status !== null && subject.deniedStatus.includes(ended.status)) {
    return new ProviderError('denied', message, { remedy: 'ask the person who granted you access to this key' });
  }
  if (own !== undefined) {
    const retryAfterMs = retryAfter(ended.stderr);
    const { kind, remedy } = own;
    return new ProviderError(kind, message, { remedy, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
  }
  if (login !== undefined) return new ProviderError('login-expired', message, { remedy: login.remedy });
  // POSIX, 2.8.2, and env, nice, timeout: 127 for a program that is not there, 126 for one that may not be run.
  if (ended.status === 127 || ended.status === 126) {
    // As env(1) names it; a shell passes the carriage return on as it is.
    if (/\\r['’]?:|\^M:|\r: /.test(ended.stderr)) {
      return new ProviderError('misconfigured', message, { remedy: withoutWindowsLines(shown(subject.command[0])) });
    }
    const [, missing] = NOT_RUN.exec(ended.stderr) ?? [];
    const which = missing === undefined ? program : shown(missing);
    const install = `install ${which}, or write its full path; PATH is ${bounded(subject.env['PATH'] ?? '')}`;
    return new ProviderError('misconfigured', message, {
      remedy: ended.status === 127 ? install : `make ${which} executable: chmod u+x`,
    });
  }
  return new ProviderError('transient', message, {
    remedy: `run ${program} in a terminal as provider "${subject.provider}" does, to see what it wants`,
  });
}

/** What a tool with a preset says in its own words; undefined: nothing that is known of it alone. */
function ownFailure(stderr: string, { preset }: RunSubject): ToolFailure | undefined {
  return preset?.failures.find(({ says }) => says.test(stderr));
}

/** `Please retry in 58 minutes`, as 1Password says it. */
function retryAfter(stderr: string): number | undefined {
  const [, count, unit = ''] = /\bretry in (\d{1,4}) (second|minute|hour)s?\b/i.exec(stderr) ?? [];
  const unitMs = { second: 1_000, minute: 60_000, hour: 3_600_000 }[unit.toLowerCase()];
  return count === undefined || unitMs === undefined ? undefined : Number(count) * unitMs;
}

/** How shells say it. */
const NOT_RUN = /(?:^|[:\s'‘])([\w./+-]+)['’]?: (?:command not found|not found|permission denied|no such file)/im;

/** Of a Python traceback, which starts with where, the end says what. */
function tellingPart(stderr: string): string {
  return /^Traceback /m.test(stderr) ? stderr.trimEnd().slice(stderr.trimEnd().lastIndexOf('\n') + 1) : stderr;
}

/** It succeeded, as the last program of a pipeline does whatever became of the first. */
export function nothingPrinted(ended: ProgramEnd, subject: RunSubject): ProviderError {
  const login = loginWanted(ended.stderr, shown(failingProgram(subject)), subject);
  const said = firstLine(login?.said ?? tellingPart(ended.stderr), subject.secrets);
  const message = `${nameOf(subject)} succeeded but printed nothing${said === '' ? '' : `: ${said}`}`;
  if (login !== undefined) return new ProviderError('login-expired', message, { remedy: login.remedy });
  return new ProviderError('misconfigured', message, { remedy: 'let the command print the key on stdout' });
}

export function notAnObject(subject: RunSubject): ProviderError {
  const message = `${nameOf(subject)} did not print a JSON object, but output = "json" asks for one`;
  return new ProviderError('misconfigured', message, {
    remedy: 'correct the command, or remove output from the credential',
  });
}

/** A tool with a preset, which has changed what it prints, or is another program of that name. */
export function notAsKnown(subject: RunSubject, field: string): ProviderError {
  const message = `${nameOf(subject)} printed no JSON object with ${field} in it`;
  return new ProviderError('misconfigured', message, {
    remedy: `see what ${subject.preset?.tool} prints; without preset in [providers.${subject.provider}], command, field and expires_field say it all`,
  });
}

interface LoginWanted {
  /** The line that says so; before it some tools say what they are about to do. */
  readonly said: string;
  readonly remedy: string;
}

function loginWanted(stderr: string, program: string, { command }: RunSubject): LoginWanted | undefined {
  for (const { says, of, run } of SIGNED_OUT) {
    const found = of === undefined || of.test(program) ? says.exec(stderr) : null;
    if (found === null) continue;
    // What precedes their own advice says why.
    const said = run === 'it' ? tellingPart(stderr) : stderr.slice(stderr.lastIndexOf('\n', found.index) + 1);
    if (run === undefined)
      return { said, remedy: `log in to ${program} again, or unlock it: run it in a terminal once` };
    const login = run === 'it' ? found[0] : run;
    const profile = /^aws\b/.test(login) ? /--profile[ =]([\w.@+-]+)/.exec(command.join(' '))?.[1] : undefined;
    return { said, remedy: `run: ${login}${profile === undefined ? '' : ` --profile ${profile}`}` };
  }
  return undefined;
}

/** It ran longer than it may; a prompt that nobody answered is not put up again unasked. */
export function lateFailure(subject: RunSubject): ProviderError {
  const { preset } = subject;
  const seconds = subject.limitMs / 1000;
  const message = `${nameOf(subject)} gave no answer within ${seconds} s and was stopped`;
  const program = shown(failingProgram(subject));
  if (preset?.mayPrompt ?? PROMPTING.test(program)) {
    return new ProviderError('login-expired', message, {
      remedy: `run ${program} in a terminal and answer its prompt, or raise timeout in [providers.${subject.provider}]`,
    });
  }
  return new ProviderError('transient', message, {
    remedy: `see whether ${program} waits for input, or raise timeout in [providers.${subject.provider}]`,
  });
}

const SHELL = /^(?:(?:ba|da|z|k|a|mk|fi)?sh|busybox)$/;
/** They run the program that is named after them. */
const WRAPPER =
  /^(?:exec|command|builtin|env|nice|ionice|nohup|timeout|time|sudo|doas|stdbuf|setsid|chronic|caffeinate|if|then|else|while|until|do|!)$/;
/** They fail for nothing that a person could be told, or run nothing. */
const BUILTIN =
  /^(?:cd|export|set|source|\.|unset|umask|ulimit|trap|test|\[+|echo|printf|true|false|:|read|local|wait|exit|return|shift|fi|done|eval|cat|tr|head|tail)$/;

/** The program that a message should be about: the first one in a shell's script, the one that a wrapper runs. */
function failingProgram({ preset, command: [program, ...args] }: RunSubject): string {
  if (preset !== undefined) return preset.tool;
  const own = basename(program);
  if (SHELL.test(own)) {
    const script = args[args.findIndex((arg) => /^-[a-z]*c[a-z]*$/.test(arg)) + 1];
    if (!args.some((arg) => /^-[a-z]*c[a-z]*$/.test(arg)) || script === undefined) return own;
    const commands = script.split(/[;&|\n(){}`]+/).map((part) => programIn(part.trim().split(/\s+/)));
    return commands.find((each) => each !== undefined && !BUILTIN.test(each)) ?? own;
  }
  return WRAPPER.test(own) ? (programIn(args) ?? own) : own;
}

/** Past assignments, wrappers and their options: `A=1 timeout -k 1 10s op read …`. */
function programIn(words: readonly string[]): string | undefined {
  const word = words.find((each) => !/^(?:\w+=.*|-.*|[\d.]+[smhd]?|\$)$/.test(each) && !WRAPPER.test(basename(each)));
  return word !== undefined && /^[\w./~+-]+$/.test(word) ? basename(word) : undefined;
}

function nameOf({ command }: RunSubject): string {
  return `the command "${shown(command[0])}"`;
}

/** Whatever was printed on stdout may be the key, and some tools repeat it on stderr. */
function wordsOf(stdout: Buffer): readonly string[] {
  return stdout
    .subarray(0, 65_536)
    .toString('utf8')
    .split(/[\s"',:{}[\]]+/)
    .filter((word) => word.length >= 6);
}
