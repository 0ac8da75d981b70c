import type { CompletionNode, Suggestion } from './completion-tree.ts';

/** For a file `_broker` on `$fpath`, or `source <(broker completion zsh)` after compinit. */
export function zshCompletion(nodes: readonly CompletionNode[]): string {
  const paths = nodes.filter(({ path }) => path.length > 0).map(({ path }) => key(path));
  return `#compdef broker
# broker: completion for zsh
_broker() {
  local at='' i
  local -a commands options choices
  for ((i = 2; i < CURRENT; i++)); do
    case "$at \${words[i]}" in
      ${paths.length === 0 ? "''" : paths.join('|')}) at="$at \${words[i]}" ;;
    esac
  done
  case "$at \${words[CURRENT-1]}" in
${nodes.flatMap(valueCases).join('')}  esac
  case "$at" in
${nodes.map(nodeCase).join('')}  esac
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

function valueCases({ path, values }: CompletionNode): readonly string[] {
  return [...values].map(
    ([option, choices]) => `    ${key([...path, option])}) compadd ${choices.join(' ')}; return ;;\n`,
  );
}

function nodeCase({ path, commands, options, words }: CompletionNode): string {
  const fill = `commands=(${described(commands)}) options=(${described(options)}) choices=(${words.join(' ')})`;
  return `    ${key(path)}) ${fill} ;;\n`;
}

function described(suggestions: readonly Suggestion[]): string {
  return suggestions.map(({ word, description }) => quoted(`${word}:${description.replaceAll(':', '\\:')}`)).join(' ');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function key(path: readonly string[]): string {
  return `'${path.map((word) => ` ${word}`).join('')}'`;
}
