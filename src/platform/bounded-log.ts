import type { Clock, Timer } from './clock.ts';
import type { Log } from './log.ts';
import type { AdjustableLog } from './pino-log.ts';

type Level = 'debug' | 'info' | 'warn' | 'error';

/** So many lines of one kind in one window; the rest is counted. */
const LINES = 30;
const WINDOW_MS = 60_000;
/** The kinds are few, because messages are written in the code; a message with foreign text in front must not add up. */
const MOST_KINDS = 256;

interface Kind {
  sinceMs: number;
  lines: number;
  leftOut: number;
  /** Writes what is said of those that were left out. */
  tell: (leftOut: number) => void;
}

/**
 * A log that no event can flood: of each kind, which is a message up to its first colon, a limited number of lines is
 * written in a minute, then one line with the number of those that were left out (`leftOut`). There is a timer only while
 * there is something to tell.
 */
export class BoundedLog implements AdjustableLog {
  readonly #log: AdjustableLog;
  readonly #kinds: Kinds;

  constructor(log: AdjustableLog, clock: Clock) {
    this.#log = log;
    this.#kinds = new Kinds(clock);
  }

  get level(): string {
    return this.#log.level;
  }

  set level(level: string) {
    this.#log.level = level;
  }

  isLevelEnabled(level: string): boolean {
    return this.#log.isLevelEnabled(level);
  }

  debug(fields: object, message: string): void {
    this.#write(this.#log, 'debug', fields, message);
  }

  info(fields: object, message: string): void {
    this.#write(this.#log, 'info', fields, message);
  }

  warn(fields: object, message: string): void {
    this.#write(this.#log, 'warn', fields, message);
  }

  error(fields: object, message: string): void {
    this.#write(this.#log, 'error', fields, message);
  }

  /** Lines of children count with all others of their kind. */
  child(bindings: object): Log {
    const log = this.#log.child(bindings);
    const write = (level: Level) => (fields: object, message: string) => this.#write(log, level, fields, message);
    return {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
      child: (more) => this.child({ ...bindings, ...more }),
    };
  }

  /** Tells what is still to be told; a timer would keep the process. */
  close(): void {
    this.#kinds.close();
  }

  #write(log: Log, level: Level, fields: object, message: string): void {
    if (!this.isLevelEnabled(level)) return;
    const tell = (leftOut: number) => log[level]({ ...fields, leftOut }, message);
    if (this.#kinds.admit(`${level} ${message.split(':', 1)[0]}`, tell)) log[level](fields, message);
  }
}

class Kinds {
  readonly #clock: Clock;
  readonly #kinds = new Map<string, Kind>();
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  admit(name: string, tell: Kind['tell']): boolean {
    const nowMs = this.#clock.now();
    const kind = this.#kindOf(name, nowMs, tell);
    if (kind.lines < LINES) {
      kind.lines++;
      return true;
    }
    kind.leftOut++;
    kind.tell = tell;
    this.#timer ??= this.#clock.after(kind.sinceMs + WINDOW_MS - nowMs, () => this.#windowOver());
    return false;
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const kind of this.#kinds.values()) this.#end(kind);
    this.#kinds.clear();
  }

  #kindOf(name: string, nowMs: number, tell: Kind['tell']): Kind {
    const known = this.#kinds.get(name);
    if (known !== undefined && nowMs - known.sinceMs < WINDOW_MS) return known;
    if (known !== undefined) this.#end(known);
    else if (this.#kinds.size >= MOST_KINDS) this.#forgetOver(nowMs);
    const key = known === undefined && this.#kinds.size >= MOST_KINDS ? '' : name;
    const other = key === '' ? this.#kinds.get(key) : undefined;
    if (other !== undefined) return other;
    const kind = { sinceMs: nowMs, lines: 0, leftOut: 0, tell };
    this.#kinds.set(key, kind);
    return kind;
  }

  #windowOver(): void {
    this.#timer = undefined;
    this.#forgetOver(this.#clock.now());
    const waiting = [...this.#kinds.values()].filter(({ leftOut }) => leftOut > 0);
    if (waiting.length === 0) return;
    const firstMs = Math.min(...waiting.map(({ sinceMs }) => sinceMs));
    this.#timer = this.#clock.after(firstMs + WINDOW_MS - this.#clock.now(), () => this.#windowOver());
  }

  #forgetOver(nowMs: number): void {
    for (const [name, kind] of this.#kinds) {
      if (nowMs - kind.sinceMs < WINDOW_MS) continue;
      this.#kinds.delete(name);
      this.#end(kind);
    }
  }

  #end(kind: Kind): void {
    if (kind.leftOut > 0) kind.tell(kind.leftOut);
    kind.leftOut = 0;
  }
}
