import { BrokerError, type ErrorCode, isErrorCode } from '../errors.ts';
import type { Problem } from './reports.ts';

/** RFC 9457 `title`: the same for every occurrence of a code. Also the list of all codes. */
export const PROBLEM_TITLES: Readonly<Record<ErrorCode, string>> = {
  ERR_USAGE: 'Request not understood',
  ERR_KEY_UNUSABLE: 'Key not usable',
  ERR_DAEMON_UNREACHABLE: 'Daemon unreachable',
  ERR_ALREADY_RUNNING: 'Already running',
  ERR_PROVIDER_UNAVAILABLE: 'Provider unavailable',
  ERR_NO_FIT_KEY: 'No key fit to serve',
  ERR_OVERLOADED: 'Too much at once',
  ERR_INTERNAL: 'Internal error',
  ERR_IO: 'Input or output failed',
  ERR_REFRESH_PENDING: 'Refresh still under way',
  ERR_LOGIN_EXPIRED: 'Login expired',
  ERR_DENIED: 'Denied by the provider',
  ERR_GONE: 'Secret gone',
  ERR_KEY_REJECTED: 'Key rejected by the API',
  ERR_UNSAFE_FILE: 'Unsafe file',
  ERR_PEER_REFUSED: 'Peer refused',
  ERR_CALLER_REFUSED: 'Caller refused',
  ERR_CONFIG: 'Configuration faulty',
  ERR_UNKNOWN_CREDENTIAL: 'Unknown credential',
  ERR_PROVIDER_MISCONFIGURED: 'Provider misconfigured',
};

export const PROBLEM_CONTENT_TYPE = 'application/problem+json';

/** The longest line that the helper prints: its own name, the daemon's line, a line end. */
const LONGEST_PRINTED_BYTES = 400;
export const LONGEST_LINE_BYTES = LONGEST_PRINTED_BYTES - 'broker-key: \n'.length;

export function problemOf(error: BrokerError, status: number = error.httpStatus): Problem {
  return {
    type: `urn:apikey-broker:error:${error.code}`,
    title: PROBLEM_TITLES[error.code],
    status,
    detail: error.message,
    code: error.code,
    remedy: error.remedy ?? null,
    exitCode: error.exitCode,
  };
}

/** The error that a problem document describes; undefined if the document is not one of ours. */
export function errorOfProblem(value: unknown): BrokerError | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { code, detail, remedy } = value as Partial<Record<keyof Problem, unknown>>;
  if (typeof detail !== 'string') return undefined;
  // A newer daemon may send codes that this version does not know.
  const known = typeof code === 'string' && isErrorCode(code) ? code : 'ERR_INTERNAL';
  return new BrokerError(known, detail, typeof remedy === 'string' ? { remedy } : {});
}

/**
 * `MESSAGE; REMEDY` in one line without a line end, to be printed after the program's name. What does not fit is cut from
 * the message, because the remedy is more useful.
 */
export function problemLine(error: BrokerError): string {
  const remedy = error.remedy === undefined ? '' : `; ${oneLine(error.remedy)}`;
  const tail = cut(remedy, LONGEST_LINE_BYTES / 2);
  const head = cut(oneLine(error.message), LONGEST_LINE_BYTES - Buffer.byteLength(tail));
  // A short message leaves the remedy more than half of the line.
  return head + cut(remedy, LONGEST_LINE_BYTES - Buffer.byteLength(head));
}

function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ').trim();
}

function cut(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  let end = bytes - 3;
  const buffer = Buffer.from(text);
  // Not in the middle of a character: UTF-8 continuation bytes are 10xxxxxx.
  while (end > 0 && ((buffer[end] ?? 0) & 0xc0) === 0x80) end--;
  return `${buffer.toString('utf8', 0, end)}...`;
}
