import path from 'node:path';
import type {
  Assignment as AssignmentNode,
  CommandExpansionPart,
  ParameterExpansionPart,
  TestExpression,
  Word,
  WordPart,
} from 'unbash';
import { statQuietly } from '../../platform/files.ts';
import { braced, globbed, patternOf } from './glob.ts';

/** What words mean in a shell that was never started: undefined is what only the shell itself can say. */
export interface ShellSurroundings {
  readonly homeDir: string;
  readonly platform: NodeJS.Platform;
  /** A file's place on this disk; tests have an /etc of their own. */
  readonly onDisk: (file: string) => string;
}

/** A condition: it holds, it does not, or only the shell knows. */
export type Truth = boolean | undefined;

export type Lookup = (name: string) => string | undefined;

export class Expander {
  readonly #around: ShellSurroundings;
  readonly #valueOf: Lookup;
  /** The file that is being read: `$0` of zsh, `BASH_SOURCE` of bash. */
  readonly #currentFile: () => string;
  /** In a condition a variable that nobody has set is not taken for unset: the terminal may set it. */
  #isCondition = false;

  constructor(around: ShellSurroundings, lookup: Lookup, currentFile: () => string) {
    this.#around = around;
    this.#valueOf = lookup;
    this.#currentFile = currentFile;
  }

  /** One word as one text, as in an assignment. */
  text(word: AssignmentNode['value'] | undefined): string | undefined {
    if (word === undefined || word.type === 'ArrayValue') return undefined;
    if (word.parts === undefined) return this.#tilde(word.value, word.text);
    const first = word.parts[0];
    const texts = word.parts.map((part) =>
      part === first && part.type === 'Literal' ? this.#tilde(part.value, part.text) : this.#part(part),
    );
    return texts.every((each) => each !== undefined) ? texts.join('') : undefined;
  }

  /** As arguments: braces and globs become the files that are there. */
  words(list: readonly Word[]): (string | undefined)[] {
    return list.flatMap((word) => {
      const one = this.text(word);
      if (one === undefined) return [undefined];
      const parts = word.parts ?? [];
      const braces = parts.some(({ type }) => type === 'BraceExpansion') ? braced(one) : [one];
      return parts.some(({ type }) => type === 'Glob')
        ? braces.flatMap((each) => globbed(each, this.#around.onDisk))
        : braces;
    });
  }

  /** `test …`, `[ … ]`. */
  test(args: readonly (Word | AssignmentNode)[]): Truth {
    const words = args.map((arg) => (arg.type === 'Word' ? arg : undefined));
    const given = words.map((word) => word?.value);
    const end = given.at(-1) === ']' ? given.length - 1 : given.length;
    if (given[0] === '!') return negated(this.test(args.slice(1)));
    if (given.slice(0, end).some((word) => word === '-a' || word === '-o')) return undefined;
    return this.#asCondition(() => {
      if (end === 1) return this.#unary('-n', words[0]);
      if (end === 2) return this.#unary(given[0] ?? '', words[1]);
      if (end === 3) return this.#binary(given[1] ?? '', words[0], words[2], false);
      return undefined;
    });
  }

  /** `[[ … ]]`. */
  judge(test: TestExpression): Truth {
    switch (test.type) {
      case 'TestUnary':
        return this.#asCondition(() => this.#unary(test.operator, test.operand));
      case 'TestBinary':
        return this.#asCondition(() => this.#binary(test.operator, test.left, test.right, true));
      case 'TestNot':
        return test.negations.length % 2 === 1 ? negated(this.judge(test.operand)) : this.judge(test.operand);
      case 'TestGroup':
        return this.judge(test.expression);
      case 'TestLogical':
        return combined(
          test.operator,
          test.operands.map((each) => this.judge(each)),
        );
    }
  }

  /** Whether a pattern of `case` fits. */
  matches(text: string, pattern: Word): Truth {
    const wanted = this.text(pattern);
    return wanted === undefined ? undefined : patternOf(wanted).test(text);
  }

  inCondition(word: Word): string | undefined {
    return this.#asCondition(() => this.text(word));
  }

  #asCondition<T>(judge: () => T): T {
    this.#isCondition = true;
    try {
      return judge();
    } finally {
      this.#isCondition = false;
    }
  }

  #unary(operator: string, operand: Word | undefined): Truth {
    if (operator === '-t') return true;
    const text = this.text(operand);
    if (operator === '-o') return text === 'interactive' ? true : undefined;
    if (operator === '-v') return text !== undefined && this.#valueOf(text) !== undefined ? true : undefined;
    if (text === undefined) return undefined;
    return judgeText(operator, text, this.#around);
  }

  #binary(operator: string, left: Word | undefined, right: Word | undefined, isPattern: boolean): Truth {
    const [a, b] = [this.text(left), this.text(right)];
    if (a === undefined || b === undefined || right === undefined) return undefined;
    const isSame = isPattern ? patternOf(b).test(a) : a === b;
    if (operator === '=' || operator === '==') return isSame;
    return operator === '!=' ? !isSame : undefined;
  }

  #tilde(value: string, written: string): string | undefined {
    if (!written.startsWith('~')) return value;
    return /^~(\/|$)/.test(value) ? `${this.#around.homeDir}${value.slice(1)}` : undefined;
  }

  #part(part: WordPart): string | undefined {
    switch (part.type) {
      case 'Literal':
      case 'SingleQuoted':
      case 'AnsiCQuoted':
        return part.value;
      case 'Glob':
      case 'BraceExpansion':
      case 'ExtendedGlob':
        return part.text;
      case 'DoubleQuoted':
      case 'LocaleString': {
        const texts = part.parts.map((each) => this.#part(each));
        return texts.every((each) => each !== undefined) ? texts.join('') : undefined;
      }
      case 'SimpleExpansion':
        return this.#variable(part.text.slice(1));
      case 'ParameterExpansion':
        return this.#parameter(part);
      case 'CommandExpansion':
        return this.#command(part);
      default:
        return undefined;
    }
  }

  #variable(name: string): string | undefined {
    if (name === 'BASH_SOURCE' || name === '0') return this.#currentFile();
    return this.#valueOf(name);
  }

  #parameter({ text, parameter, prefix, operation }: ParameterExpansionPart): string | undefined {
    // zsh: the file that is being read, or its folder.
    const own = /^\$\{(?:0|\(%\):-%[xN]|\$\{\(%\):-%[xN]\}|BASH_SOURCE)(?:\[0\])?((?::[aAhP])*)\}$/.exec(text);
    if (own !== null)
      return own[1]
        ?.split('')
        .reduce((file, letter) => (letter === 'h' ? path.dirname(file) : file), this.#currentFile());
    if (prefix !== undefined) return undefined;
    const value = this.#variable(parameter);
    const [, letters] = /^\$\{\w+((?::[aAPhtr])+)\}$/.exec(text) ?? [];
    if (letters !== undefined) return value && letters.replaceAll(':', '').split('').reduce(modified, value);
    if (operation === undefined) return value;
    if (operation.type === 'Remove') {
      return value !== undefined && operation.operator === '%' && operation.operand.text === '/*'
        ? path.dirname(value)
        : undefined;
    }
    if (operation.type !== 'Default') return undefined;
    const { operator, operand } = operation;
    if (value === undefined && this.#isCondition) return undefined;
    if (operator.endsWith('+')) return value === undefined || value === '' ? '' : this.text(operand);
    if (operator.endsWith('?')) return value;
    const isGiven = value !== undefined && !(operator.startsWith(':') && value === '');
    return isGiven ? value : this.text(operand);
  }

  /** The few commands that profiles ask for the name of a file or of the system. */
  #command({ script }: CommandExpansionPart): string | undefined {
    const [statement, more] = script?.commands ?? [];
    if (statement === undefined || more !== undefined) return undefined;
    const { command } = statement;
    if (command.type === 'AndOr') {
      const [first, second] = command.commands;
      const isFolder =
        first?.type === 'Command' &&
        first.name?.value === 'cd' &&
        second?.type === 'Command' &&
        second.name?.value === 'pwd';
      const folder = isFolder ? first.args.at(-1) : undefined;
      return folder?.type === 'Word' ? this.text(folder) : undefined;
    }
    if (command.type !== 'Command') return undefined;
    const words = this.words(command.args.filter((arg) => arg.type === 'Word'));
    const last = words.at(-1);
    const name = command.name?.value;
    if (name === 'dirname' && last !== undefined) return path.dirname(last);
    if (name === 'uname' && words.every((word) => word === '-s'))
      return this.#around.platform === 'darwin' ? 'Darwin' : 'Linux';
    return name === 'echo' && words.every((word) => word !== undefined && !word.startsWith('-'))
      ? words.join(' ')
      : undefined;
  }
}

/** A test of one operand that every shell has: of a text, or of a file. */
export function judgeText(operator: string, text: string, { onDisk, homeDir }: ShellSurroundings): Truth {
  if (operator === '-n') return text !== '';
  if (operator === '-z') return text === '';
  if (!/^-[edfrswxLh]$/.test(operator)) return undefined;
  const stat = statQuietly(onDisk(path.resolve(homeDir, text)));
  if (stat === undefined) return false;
  return operator === '-d' ? stat.isDirectory() : operator === '-f' ? stat.isFile() : true;
}

/** zsh: `${file:h}` and the like. */
function modified(file: string, letter: string): string {
  if (letter === 'h') return path.dirname(file);
  if (letter === 't') return path.basename(file);
  return letter === 'r' ? file.replace(/\.[^./]*$/, '') : file;
}

export function negated(verdict: Truth): Truth {
  return verdict === undefined ? undefined : !verdict;
}

export function combined(operator: '&&' | '||', verdicts: readonly Truth[]): Truth {
  const decisive = operator === '||';
  if (verdicts.includes(decisive)) return decisive;
  return verdicts.includes(undefined) ? undefined : !decisive;
}
