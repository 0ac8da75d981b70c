import path from 'node:path';
import { Course } from './course.ts';
import { combined, judgeText, negated, type ShellSurroundings, type Truth } from './expand.ts';
import { literalStart, setArguments, withoutForerunners } from './fish-places.ts';
import { type FishBlock, type FishCommand, type FishStatement, type FishWord, parseFish } from './fish-script.ts';
import { globbed, patternOf } from './glob.ts';
import { ASSIGNMENT } from './places.ts';
import type { ProfileLibrary } from './profile-library.ts';
import { ShellVariables } from './variables-of-shell.ts';

/** Follows fish through its startup files without running anything. */
export class FishShell {
  readonly variables: ShellVariables;
  readonly #library: ProfileLibrary;
  readonly #around: ShellSurroundings;
  readonly #configFolder: string;
  readonly #functions = new Map<string, { readonly block: FishBlock; readonly file: string }>();
  #file = '';
  /** `return`, `exit`: the rest of the function or file does not run. */
  #isOver = false;
  readonly #course = new Course(() => {
    this.#isOver = false;
  });
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
    if (script === undefined || this.#course.isDeepest) return;
    const before = this.#file;
    this.#file = file;
    this.#scoped(() => this.#all(script.statements));
    this.#file = before;
    this.#isOver = false;
  }

  /** `set -l` of a file, a function or a block ends with it. */
  #scoped(body: () => void, kind: 'function' | 'block' = 'block'): void {
    this.#course.deeper(() => this.variables.within(kind, body));
  }

  #all(statements: readonly FishStatement[]): Truth {
    let verdict: Truth = true;
    for (const [index, statement] of statements.entries()) {
      if (!this.#course.mayStep() || this.#isOver) break;
      const { link } = statement;
      // What is piped into or from, and what runs beside the shell: fish runs its own commands in a pipe in the shell itself.
      if (link === 'and' || link === 'or') {
        const wanted = link === 'and';
        if (verdict === undefined) this.#course.perhaps(() => void this.#one(statement));
        else if (verdict === wanted) verdict = this.#one(statement);
      } else {
        verdict = this.#one(statement);
        if (statements[index + 1]?.link === 'pipe') verdict = undefined;
      }
    }
    return verdict;
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
    this.#course.choose(
      branches.map(({ condition, body }) => ({
        judge: () => {
          const verdict = condition === undefined ? true : this.#all(condition);
          // What the loop does may end it.
          return type === 'while' && verdict === true ? undefined : verdict;
        },
        run: () => this.#scoped(() => this.#all(body)),
      })),
    );
  }

  #switch({ head, branches }: FishBlock): void {
    const text = head[0] && this.#text(head[0]);
    for (const { patterns, body } of branches) {
      if (patterns.length === 0) continue;
      const fits = patterns.map((pattern) => {
        const wanted = this.#text(pattern);
        return text === undefined || wanted === undefined ? undefined : patternOf(wanted).test(text);
      });
      const verdict = combined('||', fits);
      this.#course.when(verdict, () => this.#scoped(() => this.#all(body)));
      if (verdict === true) return;
    }
  }

  #for({ head, branches }: FishBlock): void {
    const [name, , ...list] = head;
    for (const word of list.flatMap((each) => this.#files(each))) {
      this.variables.set(name?.literal ?? '', { value: word, place: undefined, isExported: false, isCertain: true });
      this.#course.pass(word, () => {
        for (const branch of branches) this.#all(branch.body);
      });
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
    if (this.#course.isDeepest || name.includes('/')) return undefined;
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
      if (this.#course.isCertain) this.variables.unset(variable);
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
    const place = this.#placeOf(command, variable, value);
    this.variables.set(variable, {
      value,
      place,
      isExported: flags.has('x'),
      isCertain: this.#course.isCertain,
      isGlobal,
    });
    if (flags.has('u')) this.variables.setExported(variable, false, this.#course.isCertain);
    return true;
  }

  #export(command: FishCommand, word: FishWord): void {
    const text = this.#text(word) ?? literalStart(word);
    const name = ASSIGNMENT.exec(text)?.[1];
    if (name === undefined) {
      this.variables.setExported(text, true, this.#course.isCertain);
      return;
    }
    const value = this.#text(word) === undefined ? undefined : text.slice(text.indexOf('=') + 1);
    const place = this.#placeOf(command, name, value);
    this.variables.set(name, { value, place, isExported: true, isCertain: this.#course.isCertain, isGlobal: true });
  }

  /** Also of a name that the text does not say, as in a function that is given it. */
  #placeOf(command: FishCommand, name: string, value: string | undefined) {
    const line = this.#library.fish(this.#file)?.lineAt(command.start) ?? 1;
    return (
      this.#library.fishPlace(this.#file, command) ?? this.#library.placeAt({ file: this.#file, name, value, line })
    );
  }

  #source(word: FishWord | undefined): Truth {
    const file = word && this.#text(word);
    if (file === undefined) return undefined;
    this.run(path.resolve(this.#around.homeDir, file));
    return true;
  }

  #eval(words: readonly FishWord[]): Truth {
    const texts = words.map((word) => this.#text(word));
    if (texts.includes(undefined) || this.#course.isDeepest) return undefined;
    let verdict: Truth;
    this.#course.deeper(() => {
      verdict = this.#all(parseFish(texts.join(' ')).statements);
    });
    return verdict;
  }

  #test(words: readonly FishWord[]): Truth {
    const given = words.filter((word) => word.literal !== ']');
    const [operator, operand, right] = given;
    if (given.length === 2 && operand !== undefined) {
      const text = this.#text(operand);
      return text === undefined ? undefined : judgeText(operator?.literal ?? '', text, this.#around);
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
    return text?.includes('*') ? globbed(text, this.#around.onDisk) : [text];
  }
}
