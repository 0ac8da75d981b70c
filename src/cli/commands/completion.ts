import { Argument, Command } from 'commander';
import type { ProcessIo } from '../../platform/process-io.ts';

const SHELLS: Readonly<Record<string, (nodes: readonly CompletionNode[]) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

const HOW = `
bash: echo 'source <(broker completion bash)' >> ~/.bashrc
zsh:  broker completion zsh > "\${fpath[1]}/_broker"
fish: broker completion fish > ~/.config/fish/completions/broker.fish`;

/** `broker completion bash|zsh|fish`. `program` gives the whole program, every command loaded. */
export function completionCommand(io: ProcessIo, program: () => Promise<Command>): Command {
  return new Command('completion')
    .description('print a script that completes commands and options')
    .addArgument(new Argument('<shell>', 'the shell it is for').choices(Object.keys(SHELLS)))
    .addHelpText('after', HOW)
    .action(async (shell: string) => {
      io.stdout(SHELLS[shell]?.(completionTree(await program())) ?? '');
    });
}

interface Suggestion {
  readonly word: string;
  readonly description: string;
}

/** What may stand after the words that lead to a command. */
interface CompletionNode {
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
function completionTree(program: Command): readonly CompletionNode[] {
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

/** For `source <(broker completion bash)`; needs nothing but bash 3.2. */
function bashCompletion(nodes: readonly CompletionNode[]): string {
  return `# broker: completion for bash
_broker() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} path='' words='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path \${COMP_WORDS[i]}" in
      ${pathPatterns(nodes)}) path="$path \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$path $previous" in
${bashValueCases(nodes)}    *) case "$path" in
${bashWordCases(nodes)}    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _broker broker
`;
}

function bashValueCases(nodes: readonly CompletionNode[]): string {
  const cases = nodes.flatMap(({ path, values }) =>
    [...values].map(([option, choices]) => `    ${caseLabel([...path, option])}) words='${choices.join(' ')}' ;;\n`),
  );
  return cases.join('');
}

function bashWordCases(nodes: readonly CompletionNode[]): string {
  const cases = nodes.map(({ path, commands, options, words }) => {
    const all = [...commands.map(({ word }) => word), ...words, ...options.map(({ word }) => word)];
    return `      ${caseLabel(path)}) words='${all.join(' ')}' ;;\n`;
  });
  return cases.join('');
}

/** For a file `_broker` on `$fpath`, or `source <(broker completion zsh)` after compinit. */
function zshCompletion(nodes: readonly CompletionNode[]): string {
  return `#compdef broker
# broker: completion for zsh
_broker() {
  local at='' i
  local -a commands options choices
  for ((i = 2; i < CURRENT; i++)); do
    case "$at \${words[i]}" in
      ${pathPatterns(nodes)}) at="$at \${words[i]}" ;;
    esac
  done
  case "$at \${words[CURRENT-1]}" in
${nodes.flatMap(zshValueCases).join('')}  esac
  case "$at" in
${nodes.map(zshNodeCase).join('')}  esac
  if [[ \${words[CURRENT]} == -* ]]; then
    _describe -o option options
  elif (( \${#commands} )); then
    _describe command commands
  elif (( \${#choices} )); then
    compadd -a choices
  else
    _files
  fi
}
if [[ \${funcstack[1]} == _broker ]]; then _broker "$@"; else compdef _broker broker; fi
`;
}

function zshValueCases({ path, values }: CompletionNode): readonly string[] {
  return [...values].map(
    ([option, choices]) => `    ${caseLabel([...path, option])}) compadd ${choices.join(' ')}; return ;;\n`,
  );
}

function zshNodeCase({ path, commands, options, words }: CompletionNode): string {
  const fill = `commands=(${zshDescribed(commands)}) options=(${zshDescribed(options)}) choices=(${words.join(' ')})`;
  return `    ${caseLabel(path)}) ${fill} ;;\n`;
}

function zshDescribed(suggestions: readonly Suggestion[]): string {
  return suggestions
    .map(({ word, description }) => zshQuoted(`${word}:${description.replaceAll(':', '\\:')}`))
    .join(' ');
}

function zshQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Patterns of `case` in bash and zsh: the words that lead to any command. */
function pathPatterns(nodes: readonly CompletionNode[]): string {
  const paths = nodes.filter(({ path }) => path.length > 0).map(({ path }) => caseLabel(path));
  return paths.length === 0 ? "''" : paths.join('|');
}

function caseLabel(path: readonly string[]): string {
  return `'${path.map((word) => ` ${word}`).join('')}'`;
}

/** For `~/.config/fish/completions/broker.fish`, or `broker completion fish | source`. */
function fishCompletion(nodes: readonly CompletionNode[]): string {
  const paths = nodes.filter(({ path }) => path.length > 0).map(({ path }) => fishQuoted(path.join(' ')));
  return `# broker: completion for fish
function __broker_at
    set -l at
    for word in (commandline -opc)[2..]
        contains -- "$at $word" ${paths.map((path) => `" "${path}`).join(' ')}; and set at "$at $word"
    end
    test "$at" = "$argv[1]"
end
complete -c broker -f
${nodes.flatMap(fishLines).join('\n')}
`;
}

function fishLines({ path, commands, options, values, words }: CompletionNode): readonly string[] {
  const at = `complete -c broker -n ${fishQuoted(`__broker_at '${path.map((word) => ` ${word}`).join('')}'`)}`;
  const named = (one: Suggestion) => `${at} -a ${fishQuoted(one.word)} -d ${fishQuoted(one.description)}`;
  return [
    ...commands.map(named),
    ...words.map((word) => `${at} -a ${fishQuoted(word)}`),
    ...options.map(({ word, description }) => {
      const flag = word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`;
      const choices = values.get(word);
      const takes = choices === undefined ? '' : ` -x -a ${fishQuoted(choices.join(' '))}`;
      return `${at} ${flag}${takes} -d ${fishQuoted(description)}`;
    }),
  ];
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
