import path from 'node:path';
import type { Word } from 'unbash';
import type { Expander, ShellSurroundings, Truth } from './expand.ts';
import { ASSIGNMENT, type AssigningNode, type TrackedAssignment } from './places.ts';
import type { ProfileLibrary } from './profile-library.ts';
import type { Spanned } from './script.ts';
import type { ShellVariables } from './variables-of-shell.ts';

/** Where a statement comes from: its file, and the places that are known in it. */
export interface Frame {
  readonly file: string;
  readonly places: ReadonlyMap<AssigningNode, TrackedAssignment>;
  /** Of what `eval` runs, the line of the `eval`. */
  readonly lineOf: (node: Spanned) => number;
}

/** Where the shell is: within no file, nothing is set. */
interface Now {
  readonly frame: Frame | undefined;
  /** No condition is open around it that only the shell can decide. */
  readonly isCertain: boolean;
}

/** What sets and exports variables in sh, bash and zsh. */
export class ShAssigner {
  readonly #variables: ShellVariables;
  readonly #expander: Expander;
  readonly #library: ProfileLibrary;
  readonly #around: ShellSurroundings;
  readonly #whereNow: () => Now;

  constructor(
    variables: ShellVariables,
    expander: Expander,
    library: ProfileLibrary,
    around: ShellSurroundings,
    whereNow: () => Now,
  ) {
    this.#variables = variables;
    this.#expander = expander;
    this.#library = library;
    this.#around = around;
    this.#whereNow = whereNow;
  }

  get #now(): Now {
    return this.#whereNow();
  }

  declare(name: string, args: readonly AssigningNode[]): Truth {
    const flags = args.flatMap((arg) => (arg.type === 'Word' && /^[-+][A-Za-z]+$/.test(arg.value) ? [arg.value] : []));
    const has = (letter: string) => flags.some((flag) => flag.startsWith('-') && flag.includes(letter));
    if (has('f') || has('p')) return true;
    const removesExport = (name === 'export' && has('n')) || flags.some((flag) => /^\+\w*x/.test(flag));
    const exports = !removesExport && (name === 'export' || has('x'));
    const isLocal = name !== 'export' && name !== 'readonly' && !has('g');
    for (const arg of args) {
      const word = arg.type === 'Word' ? this.#expander.text(arg) : undefined;
      const variable = arg.type === 'Assignment' ? arg.name : (ASSIGNMENT.exec(word ?? '')?.[1] ?? word);
      if (variable === undefined) {
        if (exports && arg.type === 'Word') this.#exportsFromFile(arg);
        continue;
      }
      if (!/^[A-Za-z_]\w*$/.test(variable)) continue;
      if (isLocal) this.#variables.hide(variable, 'function');
      if (arg.type === 'Assignment' || ASSIGNMENT.test(word ?? '')) this.assign(arg, exports);
      else
        this.#variables.setExported(
          variable,
          exports || (!removesExport && this.#variables.exportsAll),
          this.#now.isCertain,
        );
      if (removesExport) this.#variables.setExported(variable, false, this.#now.isCertain);
    }
    return true;
  }

  assign(node: AssigningNode, isExported: boolean): void {
    const known = this.#now.frame?.places.get(node);
    const text = node.type === 'Word' ? this.#expander.text(node) : undefined;
    const name = node.type === 'Word' ? ASSIGNMENT.exec(text ?? '')?.[1] : node.name;
    if (name === undefined) return;
    const value =
      node.type === 'Word'
        ? text?.slice(text.indexOf('=') + 1)
        : node.append
          ? undefined
          : this.#expander.text(node.value);
    // `export "$1=$2"` in a function: the text says neither.
    const place = known ?? this.#placeOf(node, name, value);
    this.#variables.set(name, { value, place, isExported, isCertain: this.#now.isCertain });
  }

  #placeOf(node: AssigningNode, name: string, value: string | undefined): TrackedAssignment | undefined {
    if (this.#now.frame === undefined) return undefined;
    const { file, lineOf } = this.#now.frame;
    return this.#library.placeAt({ file, name, value, line: lineOf(node) });
  }

  /** `export $(grep -v '^#' .env | xargs)`. */
  #exportsFromFile(word: Word): void {
    const named = /(?:^|[\s'"<])([~./$][\w./~${}-]+|[\w-]*\.env[\w.-]*)/g;
    for (const [, name = ''] of word.text.matchAll(named)) {
      const file = path.resolve(this.#around.homeDir, name.replace(/^~|^\$\{?HOME\}?/, this.#around.homeDir));
      this.#variables.inherit(this.#library.environment(file), this.#now.isCertain);
    }
  }

  options(words: readonly (string | undefined)[]): void {
    if (!this.#now.isCertain) return;
    const text = words.join(' ');
    if (/^-[a-z]*a|-o allexport|^(all_?export|ALL_?EXPORT)\b/.test(text)) this.#variables.exportsAll = true;
    if (/^\+[a-z]*a|\+o allexport|^no_?all_?export\b/i.test(text)) this.#variables.exportsAll = false;
  }

  /** `read NAME`, `printf -v NAME …`: only the shell knows the value. */
  fill(args: readonly AssigningNode[]): void {
    for (const arg of args) {
      const name = arg.type === 'Word' ? this.#expander.text(arg) : undefined;
      if (name === undefined || !/^[A-Za-z_]\w*$/.test(name)) continue;
      const { isCertain } = this.#now;
      this.#variables.set(name, {
        value: undefined,
        place: this.#placeOf(arg, name, undefined),
        isExported: false,
        isCertain,
      });
    }
  }

  /** `: "${NAME:=value}"`. */
  defaults(args: readonly AssigningNode[]): void {
    for (const arg of args) {
      if (arg.type !== 'Word') continue;
      const [, name, value = ''] = /^"?\$\{([A-Za-z_]\w*):?=(.*)\}"?$/s.exec(arg.text) ?? [];
      if (name === undefined || this.#variables.has(name)) continue;
      const known = /[$`\\'"~]/.test(value) ? this.#expander.text(arg) : value;
      this.#variables.set(name, {
        value: known,
        place: this.#placeOf(arg, name, known),
        isExported: this.#variables.exportsAll,
        isCertain: this.#now.isCertain,
      });
    }
  }
}
