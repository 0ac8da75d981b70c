import type { Command } from 'commander';

/** A command of ours that a message tells to type. */
export interface TypedCommand {
  /** Behind `broker`; what stands for something else (`PROVIDER`, `NAME`) included. */
  readonly words: readonly string[];
  /** Undefined if there is such a command with such options. */
  readonly fault: string | undefined;
}

/** A message that says "the broker keeps trying" names no command; these do. */
const INTRODUCED =
  /(?:`|\brun:? |\bsee:? |\btype:? |\btry:? |\bwith:? |\bstart it:? |\bagain:? |: |, or:? |; then: |\(|\band )`?broker ([a-z][^`;,:)'"]*)/g;

/** Every command of ours that a text tells to type, as far as words of it are one; `${…}` in it may be any word. */
export function typedCommands(text: string, program: Command): TypedCommand[] {
  const words = text.replaceAll(/(?<=[\w}])\$\{[^}]*\}/g, '').replaceAll(/\$\{[^}]*\}/g, ANY_WORD);
  const plain = words.replaceAll(/\\[nr]|\\/g, ' ');
  return [...plain.matchAll(INTRODUCED)].flatMap(([, rest = '']) => {
    const words = rest
      .trim()
      .split(/\s+/)
      .map((word) => word.replace(/\.$/, ''));
    const [first = ''] = words;
    if (program.commands.some((each) => each.name() === first)) return [parse(words, program)];
    // `run: broker stauts` is a mistake, "and broker cannot" a sentence.
    return PROSE.test(first) ? [] : [{ words, fault: `there is no command ${first}` }];
  });
}

const ANY_WORD = 'ANY';
const PROSE = /^(?:is|was|has|cannot|keeps|takes|does|made|starts|needs|again|itself|where|failed)$/;

function parse(words: readonly string[], program: Command): TypedCommand {
  let command = program;
  let args = 0;
  const taken: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    const child = args === 0 ? command.commands.find((each) => each.name() === word) : undefined;
    if (child !== undefined) command = child;
    else if (word.startsWith('-')) {
      const [flag = ''] = word.split('=');
      const option = [...command.options, ...program.options].find(({ long, short }) => [long, short].includes(flag));
      if (option === undefined && flag !== '--help' && flag !== '--')
        return { words: taken, fault: `${command.name()} has no ${flag}` };
      taken.push(word);
      if (
        option !== undefined &&
        (option.required || option.optional) &&
        !word.includes('=') &&
        words[at + 1] !== undefined
      )
        taken.push(words[++at] ?? '');
      continue;
    } else if (word === ANY_WORD && command.commands.length > 0) return { words: [...taken, word], fault: undefined };
    else if (command.commands.length > 0 || args >= command.registeredArguments.length) break;
    else args++;
    taken.push(word);
  }
  const isWhole = command.commands.length === 0 || command === program;
  return { words: taken, fault: isWhole ? undefined : `${command.name()} alone is no command` };
}
