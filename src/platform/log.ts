import { BrokerError } from '../errors.ts';
import { hideShapes } from './text.ts';

/** The part of pino's interface that the project uses, so that tests can collect lines without pino. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(bindings: object): Log;
}

const ignore = () => {};

export const silentLog: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => silentLog };

const DEEPEST_CAUSE = 3;

/**
 * An error as a log may show it. Errors of libraries carry whole requests as properties, tokens included: only their
 * name, code and stack are logged, and the stack without the message that it repeats, since that is foreign text.
 */
export function describeForLog(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return typeof error === 'object' ? '[object]' : error;
  const code = (error as NodeJS.ErrnoException).code;
  return {
    name: error.name,
    ...(code === undefined ? {} : { code }),
    ...(isOurs(error) ? { message: hideShapes(error.message), remedy: error.remedy } : {}),
    stack: framesOf(error),
    ...(error.cause === undefined || depth >= DEEPEST_CAUSE ? {} : { cause: describeForLog(error.cause, depth + 1) }),
  };
}

function isOurs(error: Error): error is BrokerError {
  return error instanceof BrokerError;
}

function framesOf(error: Error): string {
  const lines = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return lines.map((line) => line.trim()).join(' | ');
}
