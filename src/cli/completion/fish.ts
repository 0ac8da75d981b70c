import type { CompletionNode, Suggestion } from './completion-tree.ts';

/** For `~/.config/fish/completions/broker.fish`, or `broker completion fish | source`. */
export function fishCompletion(nodes: readonly CompletionNode[]): string {
  const paths = nodes.filter(({ path }) => path.length > 0).map(({ path }) => quoted(path.join(' ')));
  return `# broker: completion for fish
function __broker_at
    set -l at
    for word in (commandline -opc)[2..]
        contains -- "$at $word" ${paths.map((path) => `" "${path}`).join(' ')}; and set at "$at $word"
    end
    test "$at" = "$argv[1]"
end
complete -c broker -f
${nodes.flatMap(linesOf).join('\n')}
`;
}

function linesOf({ path, commands, options, values, words }: CompletionNode): readonly string[] {
  const at = `complete -c broker -n ${quoted(`__broker_at '${path.map((word) => ` ${word}`).join('')}'`)}`;
  const named = (one: Suggestion) => `${at} -a ${quoted(one.word)} -d ${quoted(one.description)}`;
  return [
    ...commands.map(named),
    ...words.map((word) => `${at} -a ${quoted(word)}`),
    ...options.map(({ word, description }) => {
      const flag = word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`;
      const choices = values.get(word);
      const takes = choices === undefined ? '' : ` -x -a ${quoted(choices.join(' '))}`;
      return `${at} ${flag}${takes} -d ${quoted(description)}`;
    }),
  ];
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
