import path from 'node:path';
import type { Case, Command, Function as FunctionNode, PipelineNode, Statement, Word } from 'unbash';
import { Course } from './course.ts';
import { combined, Expander, negated, type ShellSurroundings, type Truth } from './expand.ts';
import { commandWords, DECLARERS, placesIn } from './places.ts';
import type { ProfileLibrary } from './profile-library.ts';
import { parseScript, type Spanned } from './script.ts';
import { type Frame, ShAssigner } from './sh-assigner.ts';
import { ShellVariables } from './variables-of-shell.ts';

type Flow = 'return' | 'exit' | 'break' | undefined;

/**
 * Follows sh, bash or zsh through its startup files without running anything: what is set, exported and unset, by what is
 * sourced and called, in conditions as far as they can be decided.
 */
export class ShShell {
  readonly variables: ShellVariables;
  readonly #kind: 'bash' | 'zsh';
  readonly #library: ProfileLibrary;
  readonly #around: ShellSurroundings;
  readonly #functions = new Map<string, { readonly node: FunctionNode; readonly frame: Frame }>();
  readonly #expander: Expander;
  readonly #assigner: ShAssigner;
  #frame: Frame | undefined;
  #flow: Flow;
  readonly #course = new Course(() => {
    this.#flow = undefined;
  });
  #positional: readonly (string | undefined)[] = [];

  constructor(
    kind: 'bash' | 'zsh',
    library: ProfileLibrary,
    around: ShellSurroundings,
    known: Readonly<Record<string, string | undefined>>,
  ) {
    this.#kind = kind;
    this.#library = library;
    this.#around = around;
    const own = kind === 'zsh' ? { ZSH_VERSION: '5.9', BASH_VERSION: '' } : { BASH_VERSION: '5.2', ZSH_VERSION: '' };
    const ostype = around.platform === 'darwin' ? 'darwin24' : 'linux-gnu';
    // As in a terminal, where most guards against anything else let profiles pass.
    this.variables = new ShellVariables({
      HOME: around.homeDir,
      '-': 'himBHs',
      PS1: '$ ',
      OSTYPE: ostype,
      ...own,
      ...known,
    });
    const lookup = (name: string) =>
      /^[1-9]\d*$/.test(name) ? this.#positional[Number(name) - 1] : this.variables.valueOf(name);
    this.#expander = new Expander(around, lookup, () => this.#frame?.file ?? '');
    this.#assigner = new ShAssigner(this.variables, this.#expander, library, around, () => ({
      frame: this.#frame,
      isCertain: this.#course.isCertain,
    }));
  }

  /** A file that is not there is none. */
  run(file: string): void {
    const found = this.#library.script(file, this.#kind);
    if (found === undefined || this.#course.isDeepest || this.#flow === 'exit') return;
    const { script, places } = found;
    const lineOf = (node: Spanned) => script.lineAt(script.spanOf(node).start);
    this.#inFrame({ file, places, lineOf }, () => this.#statements(script.root.commands));
    if (this.#flow === 'return') this.#flow = undefined;
  }

  #inFrame(frame: Frame, run: () => void): void {
    const before = this.#frame;
    this.#frame = frame;
    this.#course.deeper(run);
    this.#frame = before;
  }

  #statements(statements: readonly Statement[]): Truth {
    let verdict: Truth = true;
    for (const { command, background } of statements) {
      if (!this.#course.mayStep() || this.#flow !== undefined) break;
      verdict = background ? true : this.#run(command);
    }
    return verdict;
  }

  #run(node: Statement['command'] | FunctionNode['body']): Truth {
    switch (node.type) {
      case 'Command':
        return this.#command(node);
      case 'AndOr':
        return this.#andOr(node.commands, node.operators);
      case 'Pipeline': {
        const [only, ...others] = node.commands;
        const isNegated = node.prefixes.filter(({ type }) => type === 'Negation').length % 2 === 1;
        // In zsh the last part of a pipe runs in the shell itself, in bash none does.
        const last = others.length === 0 ? only : this.#kind === 'zsh' ? others.at(-1) : undefined;
        const verdict = last && this.#run(last);
        return isNegated ? negated(verdict) : verdict;
      }
      case 'Redirected':
        return this.#run(node.command);
      case 'CompoundList':
        return this.#statements(node.commands);
      case 'BraceGroup':
        return this.#statements(node.body.commands);
      case 'TestCommand':
        return this.#expander.judge(node.expression);
      case 'Function':
        this.#define(node);
        return true;
      case 'If':
        this.#course.choose([
          ...[node, ...node.elif].map(({ clause, then }) => ({
            judge: () => this.#statements(clause.commands),
            run: () => this.#statements(then.commands),
          })),
          { judge: () => true, run: () => this.#statements(node.else?.commands ?? []) },
        ]);
        return undefined;
      case 'For':
        this.#loop(node.name.value, this.#expander.words(node.wordlist ?? []), () =>
          this.#statements(node.body.commands),
        );
        return undefined;
      case 'Case':
        this.#case(node);
        return undefined;
      case 'While':
        this.#course.perhaps(() => {
          this.#statements(node.clause.commands);
          this.#statements(node.body.commands);
        });
        return undefined;
      case 'ArithmeticFor':
      case 'Select':
        this.#course.perhaps(() => this.#statements(node.body.commands));
        return undefined;
      default:
        // A subshell, arithmetic, a coprocess: nothing of it stays.
        return undefined;
    }
  }

  #andOr(commands: readonly PipelineNode[], operators: readonly ('&&' | '||')[]): Truth {
    let verdict: Truth = commands[0] && this.#run(commands[0]);
    for (const [index, operator] of operators.entries()) {
      const next = commands[index + 1];
      if (next === undefined || this.#flow !== undefined) break;
      if (verdict === undefined) this.#course.perhaps(() => void this.#run(next));
      else if (verdict === (operator === '&&')) verdict = this.#run(next);
    }
    return verdict;
  }

  #loop(name: string, words: readonly (string | undefined)[], body: () => void): void {
    for (const word of words) {
      if (this.#flow !== undefined) break;
      this.variables.set(name, { value: word, place: undefined, isExported: false, isCertain: true });
      this.#course.pass(word, body);
      if (this.#flow === 'break') this.#flow = undefined;
    }
  }

  #case({ word, items }: Case): void {
    const text = this.#expander.inCondition(word);
    for (const { pattern, body } of items) {
      const verdicts = pattern.map((each) => (text === undefined ? undefined : this.#expander.matches(text, each)));
      const verdict = combined('||', verdicts);
      this.#course.when(verdict, () => this.#statements(body.commands));
      if (verdict === true) return;
    }
  }

  #define(node: FunctionNode): void {
    if (this.#frame !== undefined) this.#functions.set(node.name.value, { node, frame: this.#frame });
  }

  #command(command: Command): Truth {
    const [name] = commandWords(command);
    if (name === undefined) {
      for (const part of command.prefix)
        if (part.type === 'Assignment') this.#assigner.assign(part, this.variables.exportsAll);
      return true;
    }
    const args = command.args.slice(
      command.name?.value === name.replace(/^\\/, '') || command.name?.value === `\\${name}` ? 0 : 1,
    );
    const words = () => this.#expander.words(args.filter((arg): arg is Word => arg.type === 'Word'));
    if (DECLARERS.has(name)) return this.#assigner.declare(name, args);
    const called = this.#functions.get(name);
    if (called !== undefined) return this.#call(called, words());
    switch (name) {
      case 'unset':
        if (this.#course.isCertain)
          for (const each of words()) if (each !== undefined && !each.startsWith('-')) this.variables.unset(each);
        return true;
      case 'source':
      case '.':
        return this.#source(words()[0]);
      case 'eval':
        return this.#eval(command, words());
      case 'emulate':
        return this.#eval(command, words().slice(words().indexOf('-c') + 1));
      case 'set':
      case 'setopt':
        this.#assigner.options(words());
        return true;
      case 'return':
      case 'exit':
      case 'break':
      case 'continue':
        this.#flow = name === 'continue' ? 'break' : name;
        return true;
      case 'test':
      case '[':
        return this.#expander.test(args);
      case ':':
        this.#assigner.defaults(args);
        return true;
      case 'read':
        this.#assigner.fill(args);
        return undefined;
      case 'printf':
        if (words()[0] === '-v') this.#assigner.fill(args.slice(1, 2));
        return true;
      case 'true':
      case 'alias':
      case 'echo':
        return true;
      case 'false':
        return false;
      default:
        return undefined;
    }
  }

  #call({ node, frame }: { node: FunctionNode; frame: Frame }, args: readonly (string | undefined)[]): Truth {
    if (this.#course.isDeepest) return undefined;
    const before = this.#positional;
    this.#positional = args;
    let verdict: Truth;
    this.variables.within('function', () =>
      this.#inFrame(frame, () => {
        verdict = this.#run(node.body);
      }),
    );
    this.#positional = before;
    if (this.#flow === 'return') this.#flow = undefined;
    return verdict;
  }

  #source(given: string | undefined): Truth {
    if (given === undefined) return undefined;
    const file = path.resolve(this.#around.homeDir, given);
    if (this.#library.script(file, this.#kind) === undefined) return false;
    this.run(file);
    return true;
  }

  #eval(command: Command, words: readonly (string | undefined)[]): Truth {
    if (this.#frame === undefined || this.#course.isDeepest || words.some((word) => word === undefined))
      return undefined;
    const script = parseScript(words.join(' '), this.#kind);
    const { file, lineOf } = this.#frame;
    const line = lineOf(command);
    // What it sets is in the text of the `eval` and not at a line of its own: it is known, but not taken out.
    const places = new Map(
      [...placesIn(file, script)].map(([node, place]) => [
        node,
        this.#library.placeAt({ file, name: place.name, value: place.value, line }),
      ]),
    );
    let verdict: Truth;
    this.#inFrame({ file, places, lineOf: () => line }, () => {
      verdict = this.#statements(script.root.commands);
    });
    return verdict;
  }
}
