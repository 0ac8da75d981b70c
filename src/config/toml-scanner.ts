import { parse } from 'smol-toml';
import { type KeyPath, pathId } from './key-path.ts';

/** A table header or a `key = value` with its whole value, over as many lines as it takes. */
export interface Statement {
  readonly kind: 'header' | 'pair';
  readonly start: number;
  readonly end: number;
  /** undefined if the key itself is broken. */
  readonly path: KeyPath | undefined;
}

/** Deeper tables are not looked for: the schema knows none, and a hostile file must not cost time or stack. */
export const DEEPEST = 24;

export interface Place {
  readonly offset: number;
  /** Its own key or header, not only the beginning of a longer one. */
  readonly explicit: boolean;
}

/** Follows a TOML text as far as it can be followed, noting where keys stand and where values end. */
export class TomlScanner {
  readonly offsets = new Map<string, Place>();
  readonly #text: string;
  readonly #arrayLengths = new Map<string, number>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    if (text.charCodeAt(0) === 0xfeff) this.#at = 1;
  }

  scan(): Statement[] {
    const statements: Statement[] = [];
    let table: KeyPath = [];
    for (this.#skipVoid(); this.#at < this.#text.length; this.#skipVoid()) {
      const start = this.#at;
      if (this.#text[start] === '[') {
        const isArray = this.#text[start + 1] === '[';
        this.#at += isArray ? 2 : 1;
        const keys = this.#readKey();
        if (keys !== undefined) {
          table = this.#resolve(keys, isArray);
          this.#record(table, start);
        }
        this.#skipLine();
        statements.push({ kind: 'header', start, end: this.#at, path: keys && table });
      } else {
        const path = this.#pair(table);
        this.#skipLine();
        statements.push({ kind: 'pair', start, end: this.#at, path });
      }
    }
    return statements;
  }

  /** `key = value`; the path, or undefined where there is no key or no equals sign. */
  #pair(table: KeyPath): KeyPath | undefined {
    const start = this.#at;
    const keys = this.#readKey();
    if (keys === undefined || this.#text[this.#at] !== '=') return undefined;
    this.#at++;
    const path = [...table, ...keys];
    this.#record(path, start);
    this.#value(path);
    return path;
  }

  #readKey(): string[] | undefined {
    const keys: string[] = [];
    for (;;) {
      this.#skipBlanks();
      const start = this.#at;
      const quote = this.#text[start];
      if (quote === '"' || quote === "'") {
        if (!this.#string()) return undefined;
        const key = decoded(this.#text.slice(start, this.#at));
        if (key === undefined) return undefined;
        keys.push(key);
      } else {
        this.#skipWhile(/[A-Za-z0-9_-]*/y);
        if (this.#at === start) return undefined;
        keys.push(this.#text.slice(start, this.#at));
      }
      this.#skipBlanks();
      if (this.#text[this.#at] !== '.') return keys;
      this.#at++;
    }
  }

  /** False where the value breaks off; the rest of the line is then skipped by the caller. */
  #value(path: KeyPath, depth = 0): boolean {
    this.#skipBlanks();
    const first = this.#text[this.#at];
    if (first === '"' || first === "'") return this.#string();
    if (first === '[' && depth < DEEPEST) return this.#list(path, depth, ']');
    if (first === '{' && depth < DEEPEST) return this.#list(path, depth, '}');
    this.#skipWhile(/[^,\]}\n#]*/y);
    return true;
  }

  #list(path: KeyPath, depth: number, close: ']' | '}'): boolean {
    this.#at++;
    for (let index = 0; ; index++) {
      this.#skipVoid();
      if (this.#text[this.#at] === close) {
        this.#at++;
        return true;
      }
      const start = this.#at;
      const keys = close === '}' ? this.#readKey() : [index];
      if (keys === undefined || (close === '}' && this.#text[this.#at++] !== '=')) return false;
      const inner = [...path, ...keys];
      this.#record(inner, start);
      if (!this.#value(inner, depth + 1)) return false;
      this.#skipVoid();
      const end = this.#text[this.#at];
      if (end !== ',' && end !== close) return false;
      if (end === ',') this.#at++;
    }
  }

  #string(): boolean {
    const quote = this.#text[this.#at] === '"' ? '"' : "'";
    if (this.#text.startsWith(quote.repeat(3), this.#at)) {
      this.#at += 3;
      const whole = quote === '"' ? /(?:\\.|[^\\])*?"{3,5}(?!")/sy : /.*?'{3,5}(?!')/sy;
      return this.#skipWhile(whole) || this.#skipToEnd();
    }
    return this.#skipWhile(quote === '"' ? /"(?:\\.|[^"\\\n])*"/y : /'[^'\n]*'/y);
  }

  /** Puts the index of the current element behind every array of tables on the way. */
  #resolve(keys: readonly string[], isArray: boolean): KeyPath {
    const path: (string | number)[] = [];
    keys.forEach((key, i) => {
      path.push(key);
      if (i >= DEEPEST) return;
      const id = pathId(path);
      const length = this.#arrayLengths.get(id);
      const appends = isArray && i === keys.length - 1;
      if (appends) {
        this.#arrayLengths.set(id, (length ?? 0) + 1);
        path.push(length ?? 0);
      } else if (length !== undefined) {
        path.push(length - 1);
      }
    });
    return path;
  }

  #record(path: KeyPath, offset: number): void {
    for (let length = Math.min(path.length, DEEPEST); length > 0; length--) {
      const id = pathId(path.slice(0, length));
      const explicit = length === path.length;
      const known = this.offsets.get(id);
      if (known === undefined || (explicit && !known.explicit)) this.offsets.set(id, { offset, explicit });
    }
  }

  #skipVoid(): void {
    this.#skipWhile(/(?:[ \t\r\n]+|#[^\n]*)*/y);
  }

  #skipBlanks(): void {
    this.#skipWhile(/[ \t]*/y);
  }

  #skipLine(): void {
    this.#skipWhile(/[^\n]*/y);
  }

  #skipToEnd(): false {
    this.#at = this.#text.length;
    return false;
  }

  #skipWhile(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found !== null) this.#at += found[0].length;
    return found !== null;
  }
}

/** What a quoted key says, by the parser's own rules for escapes. */
function decoded(quoted: string): string | undefined {
  try {
    const { key } = parse(`key = ${quoted}`);
    return typeof key === 'string' ? key : undefined;
  } catch {
    return undefined;
  }
}
