import { readdirSync } from 'node:fs';
import path from 'node:path';
import { statQuietly } from '../../platform/files.ts';
import { negated, patternOf, type ShellSurroundings, type Truth } from './expand.ts';
import { literalStart, setArguments, withoutForerunners } from './fish-places.ts';
import { type FishBlock, type FishCommand, type FishStatement, type FishWord, parseFish } from './fish-script.ts';
import { ASSIGNMENT, type TrackedAssignment } from './places.ts';
import type { ProfileLibrary } from './profile-library.ts';
import { ShellVariables } from './variables-of-shell.ts';

const DEEPEST = 24;
const LONGEST = 40_000;

/** Follows fish through its startup files without running anything. */
export class FishShell {
  readonly variables: ShellVariables;
  readonly #library: ProfileLibrary;
  readonly #around: ShellSurroundings;
  readonly #configFolder: string;
  readonly #functions = new Map<string, { readonly block: FishBlock; readonly file: string }>();
  #file = '';
  #isCertain = true;
  #depth = 0;
  #left = LONGEST;
  /** `return`, `exit`: the rest of the function or file does not run. */
  #isOver = false;
  #args: readonly (string | undefined)[] = [];

  constructor(
    library: ProfileLibrary,
    around: ShellSurroundings,
    configFolder: string,
    known: Readonly<Record<string, string | undefined>>,
  ) {
    this.#library = library;
    this.#around = around;
    this.#configFolder = configFolder;
    const own = { FISH_VERSION: '3.7', __fish_config_dir: configFolder, BASH_VERSION: '', ZSH_VERSION: '' };
    this.variables = new ShellVariables({ HOME: around.homeDir, ...own, ...known });
  }

  run(file: string): void {
    const script = this.#library.fish(file);
    if (script === undefined || this.#depth >= DEEPEST) return;
    const before = this.#file;
    this.#file = file;
    this.#scoped(() => this.#all(script.statements));
    this.#file = before;
    this.#isOver = false;
  }

  /** `set -l` of a file, a function or a block ends with it. */
  #scoped(body: () => void, kind: 'function' | 'block' = 'block'): void {
    this.#depth += 1;
    this.variables.within(kind, body);
    this.#depth -= 1;
  }

  #all(statements: readonly FishStatement[]): Truth {
    let verdict: Truth = true;
    for (const [index, statement] of statements.entries()) {
      this.#left -= 1;
      if (this.#isOver || this.#left < 0) break;
      const { link } = statement;
      // What is piped into or from, and what runs beside the shell: fish runs its own commands in a pipe in the shell itself.
      if (link === 'and' || link === 'or') {
        const wanted = link === 'and';
        if (verdict === undefined) this.#perhaps(() => void this.#one(statement));
        else if (verdict === wanted) verdict = this.#one(statement);
      } else {
        verdict = this.#one(statement);
        if (statements[index + 1]?.link === 'pipe') verdict = undefined;
      }
    }
    return verdict;
  }

  #perhaps(run: () => void): void {
    const before = this.#isCertain;
    this.#isCertain = false;
    run();
    this.#isCertain = before;
    this.#isOver = false;
  }

  #branch(verdict: Truth, run: () => void): void {
    if (verdict === true) run();
    else if (verdict === undefined) this.#perhaps(run);
  }

  #one(statement: FishStatement): Truth {
    if (statement.kind === 'command') {
      if (statement.inBackground) return true;
      const verdict = this.#command(statement);
      return statement.isNegated ? negated(verdict) : verdict;
    }
    this.#block(statement);
    return undefined;
  }

  #block(block: FishBlock): void {
    const { type, head, branches } = block;
    if (type === 'function') {
      const name = head[0]?.literal;
      if (name !== undefined) this.#functions.set(name, { block, file: this.#file });
      return;
    }
    if (type === 'switch') this.#switch(block);
    else if (type === 'for') this.#for(block);
    else this.#branches(type, branches);
  }

  #branches(type: FishBlock['type'], branches: FishBlock['branches']): void {
    for (const [index, { condition, body }] of branches.entries()) {
      const verdict = condition === undefined ? true : this.#all(condition);
      this.#branch(type === 'while' && verdict === true ? undefined : verdict, () =>
        this.#scoped(() => this.#all(body)),
      );
      if (verdict === true) return;
      if (verdict === false) continue;
      this.#perhaps(() => {
        for (const later of branches.slice(index + 1)) this.#all(later.body);
      });
      return;
    }
  }

  #switch({ head, branches }: FishBlock): void {
    const text = head[0] && this.#text(head[0]);
    for (const { patterns, body } of branches) {
      if (patterns.length === 0) continue;
      const fits = patterns.map((pattern) => {
        const wanted = this.#text(pattern);
        return text === undefined || wanted === undefined ? undefined : patternOf(wanted).test(text);
      });
      const verdict = fits.includes(true) ? true : fits.includes(undefined) ? undefined : false;
      this.#branch(verdict, () => this.#scoped(() => this.#all(body)));
      if (verdict === true) return;
    }
  }

  #for({ head, branches }: FishBlock): void {
    const [name, , ...list] = head;
    for (const word of list.flatMap((each) => this.#files(each))) {
      this.variables.set(name?.literal ?? '', { value: word, place: undefined, isExported: false, isCertain: true });
      const body = () => {
        for (const branch of branches) this.#all(branch.body);
      };
      if (word === undefined) this.#perhaps(body);
      else body();
    }
  }

  #command(command: FishCommand): Truth {
    const words = withoutForerunners(command.words);
    const [first, ...rest] = words;
    const name = first?.literal;
    if (name === undefined) return undefined;
    switch (name) {
      case 'set':
        return this.#set(command, rest);
      case 'export':
        for (const word of rest) this.#export(command, word);
        return true;
      case 'source':
      case '.':
        return this.#source(rest[0]);
      case 'eval':
        return this.#eval(rest);
      case 'test':
      case '[':
        return this.#test(rest);
      case 'status':
        return /^(is-|--is-)?(interactive|login)$/.test(rest[0]?.literal ?? '') ? true : undefined;
      case 'return':
      case 'exit':
        this.#isOver = true;
        return true;
      case 'true':
      case ':':
      case 'echo':
        return true;
      case 'false':
        return false;
      default:
        return this.#call(name, rest);
    }
  }

  #call(name: string, rest: readonly FishWord[]): Truth {
    if (this.#depth >= DEEPEST || name.includes('/')) return undefined;
    // Autoloaded from its own file, the first time that it is called.
    if (!this.#functions.has(name)) this.run(path.join(this.#configFolder, 'functions', `${name}.fish`));
    const called = this.#functions.get(name);
    if (called === undefined) return undefined;
    const [file, args] = [this.#file, this.#args];
    this.#file = called.file;
    this.#args = rest.map((word) => this.#text(word));
    this.#scoped(() => {
      for (const branch of called.block.branches) this.#all(branch.body);
    }, 'function');
    this.#isOver = false;
    this.#file = file;
    this.#args = args;
    return undefined;
  }

  #set(command: FishCommand, words: readonly FishWord[]): Truth {
    const { flags, name, values } = setArguments(words);
    const variable = name?.literal ?? (name && this.#text(name));
    if (variable === undefined) return undefined;
    if (flags.has('q')) return this.variables.has(variable) ? true : undefined;
    if (flags.has('e')) {
      if (this.#isCertain) this.variables.unset(variable);
      return true;
    }
    const isGlobal = flags.has('g') || flags.has('U');
    if (flags.has('l')) this.variables.hide(variable);
    // Without a scope, a new variable of a function ends with the function.
    const isOwn = !isGlobal && this.variables.isInFunction && !this.variables.has(variable);
    if (flags.has('f') || (isOwn && !flags.has('l'))) this.variables.hide(variable, 'function');
    const texts = values.map((word) => this.#text(word));
    const isWhole = !flags.has('a') && !flags.has('p') && texts.every((text) => text !== undefined);
    const value = isWhole ? texts.join(' ') : undefined;
    const place = this.#library.fishPlace(this.#file, command) ?? this.#dynamic(command, variable, value);
    this.variables.set(variable, { value, place, isExported: flags.has('x'), isCertain: this.#isCertain, isGlobal });
    if (flags.has('u')) this.variables.setExported(variable, false, this.#isCertain);
    return true;
  }

  #export(command: FishCommand, word: FishWord): void {
    const text = this.#text(word) ?? literalStart(word);
    const name = ASSIGNMENT.exec(text)?.[1];
    if (name === undefined) {
      this.variables.setExported(text, true, this.#isCertain);
      return;
    }
    const value = this.#text(word) === undefined ? undefined : text.slice(text.indexOf('=') + 1);
    const place = this.#library.fishPlace(this.#file, command) ?? this.#dynamic(command, name, value);
    this.variables.set(name, { value, place, isExported: true, isCertain: this.#isCertain, isGlobal: true });
  }

  /** A name that the text does not say, as in a function that is given it. */
  #dynamic(command: FishCommand, name: string, value: string | undefined): TrackedAssignment {
    const line = this.#library.fish(this.#file)?.lineAt(command.start) ?? 1;
    return this.#library.add({
      file: this.#file,
      name,
      value,
      line,
      lastLine: line,
      scope: 'function',
      exported: 'no',
      removal: undefined,
    });
  }

  #source(word: FishWord | undefined): Truth {
    const file = word && this.#text(word);
    if (file === undefined) return undefined;
    this.run(path.resolve(this.#around.homeDir, file));
    return true;
  }

  #eval(words: readonly FishWord[]): Truth {
    const texts = words.map((word) => this.#text(word));
    if (texts.includes(undefined) || this.#depth >= DEEPEST) return undefined;
    this.#depth += 1;
    const verdict = this.#all(parseFish(texts.join(' ')).statements);
    this.#depth -= 1;
    return verdict;
  }

  #test(words: readonly FishWord[]): Truth {
    const given = words.filter((word) => word.literal !== ']');
    const [operator, operand, right] = given;
    if (given.length === 2 && operand !== undefined) {
      const text = this.#text(operand);
      if (text === undefined) return undefined;
      if (operator?.literal === '-n') return text !== '';
      if (operator?.literal === '-z') return text === '';
      if (!/^-[edfrswxL]$/.test(operator?.literal ?? '')) return undefined;
      const stat = statQuietly(this.#around.onDisk(path.resolve(this.#around.homeDir, text)));
      return operator?.literal === '-d' ? (stat?.isDirectory() ?? false) : stat !== undefined;
    }
    if (given.length !== 3 || operator === undefined || right === undefined) return undefined;
    const [a, b] = [this.#text(operator), this.#text(right)];
    if (a === undefined || b === undefined) return undefined;
    return operand?.literal === '=' ? a === b : operand?.literal === '!=' ? a !== b : undefined;
  }

  #text(word: FishWord): string | undefined {
    const texts = word.parts.map((part, index) => {
      if (part.kind === 'text') {
        return index === 0 && part.isPlain ? part.text.replace(/^~(?=\/|$)/, () => this.#around.homeDir) : part.text;
      }
      if (part.kind === 'command') return this.#substituted(part.text.trim());
      const argument = /^argv\[(\d+)\]$/.exec(part.name)?.[1];
      if (argument !== undefined) return this.#args[Number(argument) - 1];
      return part.name === 'argv'
        ? this.#args.length === 1
          ? this.#args[0]
          : undefined
        : this.variables.valueOf(part.name);
    });
    return texts.every((text) => text !== undefined) ? texts.join('') : undefined;
  }

  #substituted(command: string): string | undefined {
    if (/^uname( -s)?$/.test(command)) return this.#around.platform === 'darwin' ? 'Darwin' : 'Linux';
    if (command === 'status dirname') return path.dirname(this.#file);
    return /^status (--current-)?filename$/.test(command) ? this.#file : undefined;
  }

  #files(word: FishWord): (string | undefined)[] {
    const text = this.#text(word);
    const folder = text === undefined ? '' : path.dirname(text);
    if (text === undefined || !/\*/.test(text) || folder.includes('*')) return [text];
    try {
      const names = readdirSync(this.#around.onDisk(folder)).sort();
      return names
        .filter((name) => patternOf(path.basename(text)).test(name))
        .slice(0, 200)
        .map((name) => path.join(folder, name));
    } catch {
      return [];
    }
  }
}
