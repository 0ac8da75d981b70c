import { fstatSync, writeSync } from 'node:fs';
import { type DestinationStream, type Logger, pino } from 'pino';
import { describeForLog, type Log } from './log.ts';
import { hideShapes } from './text.ts';

export type LogFormat = 'json' | 'journal' | 'pretty';

interface PinoLogOptions {
  /** As in the configuration. Default info. */
  readonly level?: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
  readonly format: LogFormat;
  /** Takes one whole line, synchronously. Default: standard error. */
  readonly write?: (line: string) => void;
  /** For `pretty`. */
  readonly colour?: boolean;
}

/** A log whose level can be changed when the configuration is read again. */
export interface AdjustableLog extends Log {
  level: string;
  isLevelEnabled(level: string): boolean;
}

/** The last safeguard: no secret is logged on purpose, and one that is logged by mistake under such a name is redacted. */
const SECRET_NAMES = [
  'key',
  'value',
  'token',
  'password',
  'secret',
  'secretId',
  'secret_id',
  'authorization',
  'secrets',
];
const REDACTED_PATHS = SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

const DEEPEST_FIELD = 4;

/** What a provider, a command or a file said may have got into a message or a field. */
function withoutShapes(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return hideShapes(value);
  if (typeof value !== 'object' || value === null || value instanceof Error) return value;
  if (depth === DEEPEST_FIELD) return '[object]';
  if (Array.isArray(value)) return value.map((each) => withoutShapes(each, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withoutShapes(inner, depth + 1)]));
}

/** Pretty for a person, prefixed levels for the journal, else plain JSON lines. */
export function chooseLogFormat(options: {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly isTty: boolean;
  /** `--journal`: standard error is the journal although JOURNAL_STREAM does not say so. */
  readonly journal: boolean;
}): LogFormat {
  if (options.journal) return 'journal';
  if (options.isTty) return 'pretty';
  return options.env['JOURNAL_STREAM'] === nameOfStderr() ? 'journal' : 'json';
}

/** systemd.exec(5): children whose output goes elsewhere inherit JOURNAL_STREAM, so its device and inode have to match. */
function nameOfStderr(): string | null {
  try {
    const { dev, ino } = fstatSync(2, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
}

/**
 * Writes synchronously, so that the last lines before a crash are not lost, and never throws: a daemon whose standard
 * error is closed or full continues without a log.
 */
export async function createPinoLog(options: PinoLogOptions): Promise<AdjustableLog> {
  const write = options.write ?? writeToStderr;
  const logger: Logger = pino(
    {
      level: options.level ?? 'info',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
      serializers: { err: describeForLog, error: describeForLog },
      hooks: {
        logMethod(args, method) {
          const [fields, ...rest] = args as [unknown, ...unknown[]];
          method.apply(this, [withoutShapes(fields), ...rest.map((each) => withoutShapes(each))] as Parameters<
            typeof method
          >);
        },
      },
    },
    await destination(options, write),
  );
  return logger;
}

async function destination(options: PinoLogOptions, write: (line: string) => void): Promise<DestinationStream> {
  if (options.format === 'journal') return journalStream(write);
  if (options.format === 'json') return { write };
  const { prettyFactory } = await import('pino-pretty');
  const colorize = options.colour ?? false;
  const pretty = prettyFactory({ colorize, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname' });
  return { write: (line) => write(pretty(line)) };
}

/** sd-daemon(3): the journal takes the level from a `<N>` prefix, N as in syslog(3). */
function journalStream(write: (line: string) => void): DestinationStream {
  return { write: (line) => write(`<${syslogLevel(line)}>${line}`) };
}

function syslogLevel(line: string): number {
  if (line.startsWith('{"level":"fatal"')) return 2;
  if (line.startsWith('{"level":"error"')) return 3;
  if (line.startsWith('{"level":"warn"')) return 4;
  if (line.startsWith('{"level":"info"')) return 6;
  return 7;
}

function writeToStderr(line: string): void {
  try {
    const bytes = Buffer.from(line);
    for (let written = 0; written < bytes.length; ) written += writeSync(2, bytes, written);
  } catch {
    // Standard error is closed, full or not ready: there is nowhere to report that.
  }
}
