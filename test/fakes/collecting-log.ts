import { inspect } from 'node:util';
import type { Log } from '../../src/platform/log.ts';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: object;
  readonly message: string;
}

/** A log that keeps its lines, those of its children included. */
export class CollectingLog implements Log {
  readonly lines: LogLine[];
  readonly #bindings: object;

  constructor(lines: LogLine[] = [], bindings: object = {}) {
    this.lines = lines;
    this.#bindings = bindings;
  }

  debug(fields: object, message: string): void {
    this.#add('debug', fields, message);
  }

  info(fields: object, message: string): void {
    this.#add('info', fields, message);
  }

  warn(fields: object, message: string): void {
    this.#add('warn', fields, message);
  }

  error(fields: object, message: string): void {
    this.#add('error', fields, message);
  }

  child(bindings: object): CollectingLog {
    return new CollectingLog(this.lines, { ...this.#bindings, ...bindings });
  }

  /** Everything that was logged, at every depth, as one text to search in. */
  text(): string {
    return this.lines.map((line) => `${line.level} ${line.message} ${inspect(line.fields, EVERYTHING)}`).join('\n');
  }

  #add(level: LogLine['level'], fields: object, message: string): void {
    this.lines.push({ level, fields: { ...this.#bindings, ...fields }, message });
  }
}

const EVERYTHING = { depth: Number.POSITIVE_INFINITY, maxStringLength: null, maxArrayLength: null } as const;
