import { Argument, Command } from 'commander';
import { configFile } from '../../config/paths.ts';
import { LARGEST_CONFIG_BYTES } from '../../config/safe-file.ts';
import { readToml } from '../../config/toml.ts';
import { readTextQuietly } from '../../platform/files.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { FORMATS, NAME } from '../../protocol/request.ts';
import { listTopics } from '../topics.ts';

const SHELLS: Readonly<Record<string, (nodes: readonly CompletionNode[]) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

const HOW = `
bash: echo 'source <(broker completion bash)' >> ~/.bashrc
zsh:  broker completion zsh > "\${fpath[1]}/_broker"
fish: broker completion fish | tee ~/.config/fish/completions/broker-key.fish > ~/.config/fish/completions/broker.fish`;

/** `broker completion bash|zsh|fish`. `program` gives the whole program, every command loaded. */
export function completionCommand(io: ProcessIo, program: () => Promise<Command>): Command {
  return new Command('completion')
    .description('print a script that completes commands, options and names, of broker-key too')
    .addArgument(new Argument('<shell>', 'the shell it is for').choices(Object.keys(SHELLS)))
    .addHelpText('after', HOW)
    .action(async (shell: string) => {
      io.stdout(SHELLS[shell]?.(completionTree(await program())) ?? '');
    });
}

/** `broker names TABLE`, which the scripts run at a Tab: the names in the configuration, whatever else may be wrong with it. */
export function namesCommand(io: ProcessIo): Command {
  return new Command('names')
    .description('the names in the configuration, for completion')
    .addArgument(new Argument('<table>').choices(NAMES))
    .action((table: Names) => {
      const text = readTextQuietly(configFile(io), LARGEST_CONFIG_BYTES) ?? '';
      const names = Object.keys(readToml(text).root[table] ?? {}).filter((name) => NAME.test(name));
      io.stdout(names.map((name) => `${name}\n`).join(''));
    });
}

const NAMES = ['credentials', 'providers'] as const;
/** Names that are in the configuration at the time of a Tab. */
type Names = (typeof NAMES)[number];

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
  readonly values: ReadonlyMap<string, readonly string[] | Names>;
  /** Words of an argument that has a fixed set of them. */
  readonly words: readonly string[];
  /** The argument is one of these. */
  readonly names: Names | undefined;
}

/** Its options as native/broker-key.c has them; a test compares. */
const HELPER: CompletionNode = {
  path: [],
  commands: [],
  options: [
    { word: '--format', description: 'raw, or what another helper has to print' },
    { word: '--rejected', description: 'the key was refused' },
    { word: '--version', description: 'print the version' },
    { word: '--help', description: 'show help' },
  ],
  values: new Map([['--format', FORMATS]]),
  words: [],
  names: 'credentials',
};

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
  const values = new Map<string, readonly string[] | Names>();
  for (const { long, short, argChoices } of command.options) {
    const choices = long === '--credential' ? 'credentials' : argChoices;
    for (const word of [long, short]) if (word != null && choices !== undefined) values.set(word, choices);
  }
  const argument = command.registeredArguments[0]?.name();
  const isHelp = path.length === 1 && path[0] === 'help';
  const node: CompletionNode = {
    path,
    commands: commands.map((one) => ({ word: one.name(), description: one.description() })),
    options,
    values,
    words: [
      ...command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
      ...(isHelp ? helpWords(command) : []),
    ],
    names: argument === 'name' ? 'credentials' : argument === 'provider' ? 'providers' : undefined,
  };
  return [
    node,
    ...commands.flatMap((one) =>
      one.name() === 'help' && path.length > 0 ? [] : nodesOf(one, [...path, one.name()], options),
    ),
  ];
}

function helpWords(help: Command): readonly string[] {
  const commands = help.parent?.commands.map((each) => each.name()) ?? [];
  return [...new Set(['topics', ...commands, ...listTopics().map(({ name }) => name)])];
}

/** For `source <(broker completion bash)`; needs nothing but bash 3.2. */
function bashCompletion(nodes: readonly CompletionNode[]): string {
  return `# broker: completion for bash
${bashFunction('_broker', nodes)}complete -o default -F _broker broker
${bashFunction('_broker_key', [HELPER])}complete -o default -F _broker_key broker-key
`;
}

function bashFunction(name: string, nodes: readonly CompletionNode[]): string {
  return `${name}() {
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
`;
}

const LIST_NAMES = (names: Names) => `broker names ${names} 2>/dev/null`;

function bashWords(choices: readonly string[] | Names): string {
  return typeof choices === 'string' ? `"$(${LIST_NAMES(choices)})"` : `'${choices.join(' ')}'`;
}

function bashValueCases(nodes: readonly CompletionNode[]): string {
  const cases = nodes.flatMap(({ path, values }) =>
    [...values].map(([option, choices]) => `    ${caseLabel([...path, option])}) words=${bashWords(choices)} ;;\n`),
  );
  return cases.join('');
}

function bashWordCases(nodes: readonly CompletionNode[]): string {
  const cases = nodes.map(({ path, commands, options, words, names }) => {
    const all = [...commands.map(({ word }) => word), ...words, ...options.map(({ word }) => word)];
    // An option is being typed: no program has to be started for that.
    const more = names === undefined ? '' : `; [[ $current == -* ]] || words+=" $(${LIST_NAMES(names)})"`;
    return `      ${caseLabel(path)}) words='${all.join(' ')}'${more} ;;\n`;
  });
  return cases.join('');
}

/** For a file `_broker` on `$fpath`, or `source <(broker completion zsh)` after compinit. */
function zshCompletion(nodes: readonly CompletionNode[]): string {
  return `#compdef broker broker-key
# broker: completion for zsh
${zshFunction('_broker_commands', nodes)}${zshFunction('_broker_key', [HELPER])}_broker() {
  if [[ \${words[1]:t} == broker-key ]]; then _broker_key "$@"; else _broker_commands "$@"; fi
}
if [[ \${funcstack[1]} == _broker ]]; then _broker "$@"; else compdef _broker broker broker-key; fi
`;
}

function zshFunction(name: string, nodes: readonly CompletionNode[]): string {
  return `${name}() {
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
`;
}

function zshWords(choices: readonly string[] | Names): string {
  return typeof choices === 'string' ? `\${(f)"$(${LIST_NAMES(choices)})"}` : choices.join(' ');
}

function zshValueCases({ path, values }: CompletionNode): readonly string[] {
  return [...values].map(
    ([option, choices]) => `    ${caseLabel([...path, option])}) compadd ${zshWords(choices)}; return ;;\n`,
  );
}

function zshNodeCase({ path, commands, options, words, names }: CompletionNode): string {
  const choices = [...words, ...(names === undefined ? [] : [zshWords(names)])].join(' ');
  const fill = `commands=(${zshDescribed(commands)}) options=(${zshDescribed(options)}) choices=(${choices})`;
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
${nodes.flatMap((node) => fishLines(node, `complete -c broker -n ${fishQuoted(`__broker_at '${node.path.map((word) => ` ${word}`).join('')}'`)}`)).join('\n')}
complete -c broker-key -f
${fishLines(HELPER, 'complete -c broker-key').join('\n')}
`;
}

function fishWords(choices: readonly string[] | Names): string {
  return fishQuoted(typeof choices === 'string' ? `(${LIST_NAMES(choices)})` : choices.join(' '));
}

/** @param at `complete` with where the words of this node may stand. */
function fishLines({ commands, options, values, words, names }: CompletionNode, at: string): readonly string[] {
  const named = (one: Suggestion) => `${at} -a ${fishQuoted(one.word)} -d ${fishQuoted(one.description)}`;
  return [
    ...commands.map(named),
    ...words.map((word) => `${at} -a ${fishQuoted(word)}`),
    ...(names === undefined ? [] : [`${at} -a ${fishWords(names)}`]),
    ...options.map(({ word, description }) => {
      const flag = word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`;
      const choices = values.get(word);
      const takes = choices === undefined ? '' : ` -x -a ${fishWords(choices)}`;
      return `${at} ${flag}${takes} -d ${fishQuoted(description)}`;
    }),
  ];
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
