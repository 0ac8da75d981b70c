import { type KeyPath, pathId } from './key-path.ts';
import { DEEPEST, type Place, type Statement, TomlScanner } from './toml-scanner.ts';

/**
 * Where every key of a TOML text stands. smol-toml gives values without positions, so this follows the same text a
 * second time, looking only for keys and for where values end. It never throws: text that is not TOML gives the
 * positions of what can still be made out, which is what recovery after a syntax error needs.
 */
export class TomlPositions {
  readonly statements: readonly Statement[];
  readonly #offsets: ReadonlyMap<string, Place>;
  readonly #lineStarts: readonly number[];

  constructor(text: string) {
    const scanner = new TomlScanner(text);
    this.statements = scanner.scan();
    this.#offsets = scanner.offsets;
    this.#lineStarts = [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)];
  }

  /** The line, from 1, on which exactly this key stands or is first mentioned. */
  lineOf(path: KeyPath): number | undefined {
    const place = this.#offsets.get(pathId(path));
    return place === undefined ? undefined : this.lineAt(place.offset);
  }

  /** The line of the key, or of the innermost table around it that the file has. */
  lineNear(path: KeyPath): number | undefined {
    for (let length = Math.min(path.length, DEEPEST); length > 0; length--) {
      const line = this.lineOf(path.slice(0, length));
      if (line !== undefined) return line;
    }
    return undefined;
  }

  lineAt(offset: number): number {
    let low = 0;
    let high = this.#lineStarts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#lineStarts[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  }

  /** The statement that a line belongs to. */
  statementAt(line: number): Statement | undefined {
    const start = this.#lineStarts[line - 1] ?? 0;
    const end = this.#lineStarts[line] ?? Number.POSITIVE_INFINITY;
    return this.statements.find((statement) => statement.start < end && statement.end > start);
  }
}
