import type { Command } from 'commander';

export interface Suggestion {
  readonly word: string;
  readonly description: string;
}

/** What may stand after the words that lead to a command. */
export interface CompletionNode {
  /** `service install`; empty for the program itself. */
  readonly path: readonly string[];
  readonly commands: readonly Suggestion[];
  readonly options: readonly Suggestion[];
  /** Values of the options that have a fixed set of them, by the option's word. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  /** Words of an argument that has a fixed set of them. */
  readonly words: readonly string[];
}

/** Everything that can be completed, taken from the commands themselves, parents first. */
export function completionTree(program: Command): readonly CompletionNode[] {
  return nodesOf(program, [], []);
}

function nodesOf(
  command: Command,
  path: readonly string[],
  inherited: readonly Suggestion[],
): readonly CompletionNode[] {
  const help = command.createHelp();
  const commands = help.visibleCommands(command);
  const own = help
    .visibleOptions(command)
    .flatMap(({ long, short, description }) =>
      [long, short].filter((word) => word != null).map((word) => ({ word, description })),
    );
  const options = [...own, ...inherited.filter(({ word }) => !own.some((one) => one.word === word))];
  const values = new Map<string, readonly string[]>();
  for (const { long, short, argChoices } of command.options) {
    for (const word of [long, short]) if (word != null && argChoices !== undefined) values.set(word, argChoices);
  }
  const node: CompletionNode = {
    path,
    commands: commands.map((one) => ({ word: one.name(), description: one.description() })),
    options,
    values,
    words: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
  };
  return [
    node,
    ...commands.flatMap((one) => (one.name() === 'help' ? [] : nodesOf(one, [...path, one.name()], options))),
  ];
}
