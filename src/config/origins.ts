import { type KeyPath, pathId } from './key-path.ts';
import type { TomlPositions } from './toml-positions.ts';

/** Where an effective value comes from. */
export type Origin =
  | { readonly kind: 'file'; readonly line: number }
  | { readonly kind: 'env'; readonly variable: string }
  | { readonly kind: 'default' };

/** Remembers which values the environment contributed; what the file has is a value of the file. */
export class Origins {
  readonly #variables = new Map<string, string>();

  setVariable(path: KeyPath, variable: string): void {
    this.#variables.set(pathId(path), variable);
  }

  variableAt(path: KeyPath): string | undefined {
    return this.#variables.get(pathId(path));
  }

  of(path: KeyPath, positions: TomlPositions): Origin {
    const variable = this.variableAt(path);
    if (variable !== undefined) return { kind: 'env', variable };
    const line = positions.lineOf(path);
    return line === undefined ? { kind: 'default' } : { kind: 'file', line };
  }
}
