/**
 * Every failure that a person or a script can see is a BrokerError: a stable code to switch on, one sentence that
 * says what failed, and a remedy that says what to do. None of the three ever holds a secret: foreign text (a provider's
 * answer, a command's stderr) is redacted before it becomes part of one (src/platform/text.ts).
 */

/** Exit codes follow sysexits(3); HTTP statuses are what the socket answers with. */
const CODES = {
  ERR_USAGE: { exit: 64, http: 400 },
  ERR_KEY_UNUSABLE: { exit: 65, http: 502 },
  ERR_DAEMON_UNREACHABLE: { exit: 69, http: 503 },
  ERR_ALREADY_RUNNING: { exit: 69, http: 409 },
  ERR_PROVIDER_UNAVAILABLE: { exit: 69, http: 503 },
  ERR_NO_FIT_KEY: { exit: 69, http: 503 },
  ERR_OVERLOADED: { exit: 69, http: 503 },
  ERR_INTERNAL: { exit: 70, http: 500 },
  ERR_IO: { exit: 74, http: 500 },
  ERR_REFRESH_PENDING: { exit: 75, http: 504 },
  ERR_LOGIN_EXPIRED: { exit: 77, http: 403 },
  ERR_DENIED: { exit: 77, http: 403 },
  ERR_GONE: { exit: 77, http: 410 },
  ERR_KEY_REJECTED: { exit: 77, http: 403 },
  ERR_UNSAFE_FILE: { exit: 77, http: 403 },
  ERR_PEER_REFUSED: { exit: 77, http: 403 },
  ERR_CALLER_REFUSED: { exit: 77, http: 403 },
  ERR_CONFIG: { exit: 78, http: 500 },
  ERR_UNKNOWN_CREDENTIAL: { exit: 78, http: 404 },
  ERR_PROVIDER_MISCONFIGURED: { exit: 78, http: 502 },
} as const;

export type ErrorCode = keyof typeof CODES;

/** A daemon of another version may know others. */
export function isErrorCode(word: string): word is ErrorCode {
  return Object.hasOwn(CODES, word);
}

interface BrokerErrorOptions {
  /** What to do: one sentence in the imperative, with the command to type where there is one. */
  readonly remedy?: string;
  readonly cause?: unknown;
  /** Called when it was written to the client that it concerns. */
  readonly onWritten?: () => void;
}

export class BrokerError extends Error {
  readonly code: ErrorCode;
  readonly remedy: string | undefined;
  readonly onWritten: (() => void) | undefined;

  constructor(code: ErrorCode, message: string, options: BrokerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'BrokerError';
    this.code = code;
    this.remedy = options.remedy;
    this.onWritten = options.onWritten;
  }

  get exitCode(): number {
    return CODES[this.code].exit;
  }

  get httpStatus(): number {
    return CODES[this.code].http;
  }
}

/**
 * How a provider failed, which decides what the broker does next:
 * transient: back off and try again, a stale key may be served · login-expired: log in again once, then wait for a
 * person, a stale key may be served · denied, gone: access was taken away, so the key is dropped · misconfigured: ask
 * again rarely, and say what a person has to change.
 */
export type FailureKind = 'transient' | 'login-expired' | 'denied' | 'gone' | 'misconfigured';

const CODE_OF_FAILURE: Record<FailureKind, ErrorCode> = {
  transient: 'ERR_PROVIDER_UNAVAILABLE',
  'login-expired': 'ERR_LOGIN_EXPIRED',
  denied: 'ERR_DENIED',
  gone: 'ERR_GONE',
  misconfigured: 'ERR_PROVIDER_MISCONFIGURED',
};

/**
 * What failed, and so whom the failure stands in the way of: one secret (its path, parameter or command), the login that all
 * secrets of the provider are read with, or the address behind which all of it is. Nobody may be told, or held off by, a failure
 * of somebody else's secret.
 */
export type FailureConcern = 'secret' | 'login' | 'address';

export interface ProviderErrorOptions extends BrokerErrorOptions {
  /** What the provider itself asked for (Retry-After), in milliseconds from now. */
  readonly retryAfterMs?: number;
  /** It answered that it cannot answer (429, 5xx): what is not needed is not asked for a while. */
  readonly isOverloaded?: boolean;
  /** Replaces the kind's own code where that says too little: ERR_KEY_UNUSABLE for a secret that no client would accept. */
  readonly code?: ErrorCode;
  /** Default: the secret that was asked for. */
  readonly concerns?: FailureConcern;
  /** The server has judged a login and refused it: tried again, it may lock the account. */
  readonly isRefusedLogin?: true;
  /** It was asked so long ago, and gave no answer. Default: just now. */
  readonly waitedMs?: number;
}

export class ProviderError extends BrokerError {
  readonly kind: FailureKind;
  readonly retryAfterMs: number | undefined;
  readonly isOverloaded: boolean;
  readonly concerns: FailureConcern;
  readonly isRefusedLogin: boolean;
  readonly waitedMs: number;

  constructor(kind: FailureKind, message: string, options: ProviderErrorOptions = {}) {
    super(options.code ?? CODE_OF_FAILURE[kind], message, options);
    this.name = 'ProviderError';
    this.kind = kind;
    this.retryAfterMs = options.retryAfterMs;
    this.isOverloaded = options.isOverloaded ?? options.retryAfterMs !== undefined;
    this.concerns = options.concerns ?? 'secret';
    this.isRefusedLogin = options.isRefusedLogin ?? false;
    this.waitedMs = options.waitedMs ?? 0;
  }

  /** The same failure, of more than one secret. */
  concerning(concerns: FailureConcern): ProviderError {
    return this.#as(concerns, this.message, this.remedy);
  }

  /** The same failure in other words. */
  saying(message: string, remedy: string | undefined): ProviderError {
    return this.#as(this.concerns, message, remedy);
  }

  #as(concerns: FailureConcern, message: string, remedy: string | undefined): ProviderError {
    const { kind, retryAfterMs, code, isRefusedLogin, isOverloaded, waitedMs } = this;
    return new ProviderError(kind, message, {
      code,
      concerns,
      isOverloaded,
      waitedMs,
      ...(isRefusedLogin ? { isRefusedLogin } : {}),
      ...(remedy === undefined ? {} : { remedy }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }
}

/** What a person reads: `error:` with the message, then `hint:` with the remedy. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return `error: ${String(error)}`;
  const remedy = error instanceof BrokerError ? error.remedy : undefined;
  return remedy === undefined ? `error: ${error.message}` : `error: ${error.message}\nhint: ${remedy}`;
}

/** The system's or Node's code of an error (`ENOENT`, `ERR_…`); `unknown` if it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
}

/** What a person can do about what the system refuses. */
const REFUSALS: Readonly<Record<string, string>> = {
  EMFILE: 'raise the limit on open files: ulimit -n, or LimitNOFILE= of the service',
  ENFILE: 'the whole machine has too many files open: end some programs',
  ENOSPC: 'make room on that disk',
  EDQUOT: 'make room: the quota on that disk is used up',
  EROFS: 'that file system is read-only: name another place, or mount it writable',
  EACCES: 'check who owns it and its folders, and their modes',
  EPERM: 'check who owns it and its folders, and their modes',
  ENOTDIR: 'one of the folders in that path is a file: move that away',
  ENOMEM: 'end some programs: the machine has too little memory',
};

export function remedyOfRefusal(code: string, otherwise = 'check that place, and try again'): string {
  return REFUSALS[code] ?? otherwise;
}

/** An error of the system itself (open, mkdir, write, spawn), in words; undefined for any other, which is a fault of ours. */
export function systemRefusal(error: unknown): BrokerError | undefined {
  const { syscall, path, code } = (error instanceof Error ? error : {}) as NodeJS.ErrnoException;
  if (typeof syscall !== 'string' || typeof code !== 'string') return undefined;
  // Of a program that cannot be started Node puts the path into `syscall` too.
  const what = typeof path === 'string' && !syscall.endsWith(path) ? `${syscall} ${path}` : syscall;
  return new BrokerError('ERR_IO', `the system refuses ${what} (${code})`, {
    remedy: remedyOfRefusal(code),
    cause: error,
  });
}

/** A fault of the broker itself. Foreign error texts may hold anything, so only the type is told. @param what `refreshing "main"` */
export function failedInside(what: string, fault: unknown): BrokerError {
  const type = fault instanceof Error ? fault.name : typeof fault;
  return new BrokerError('ERR_INTERNAL', `${what} failed inside the broker (${type})`, {
    remedy: 'this is a bug in broker: please report it with what broker bugreport makes',
    cause: fault,
  });
}

const PLAIN_WORD = /^[\w./:@%+=,-]+$/;

/** One word of a command that a remedy gives to type: in single quotes if a shell would not take it literally. */
export function shellWord(word: string): string {
  return PLAIN_WORD.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
