import type { CompletionNode } from './completion-tree.ts';

/** For `source <(broker completion bash)`; needs nothing but bash 3.2. */
export function bashCompletion(nodes: readonly CompletionNode[]): string {
  return `# broker: completion for bash
_broker() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} path='' words='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path \${COMP_WORDS[i]}" in
      ${patterns(nodes)}) path="$path \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$path $previous" in
${valueCases(nodes)}    *) case "$path" in
${wordCases(nodes)}    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _broker broker
`;
}

function patterns(nodes: readonly CompletionNode[]): string {
  const paths = nodes.filter(({ path }) => path.length > 0).map(({ path }) => key(path));
  return paths.length === 0 ? "''" : paths.join('|');
}

function valueCases(nodes: readonly CompletionNode[]): string {
  const cases = nodes.flatMap(({ path, values }) =>
    [...values].map(([option, choices]) => `    ${key([...path, option])}) words='${choices.join(' ')}' ;;\n`),
  );
  return cases.join('');
}

function wordCases(nodes: readonly CompletionNode[]): string {
  const cases = nodes.map(({ path, commands, options, words }) => {
    const all = [...commands.map(({ word }) => word), ...words, ...options.map(({ word }) => word)];
    return `      ${key(path)}) words='${all.join(' ')}' ;;\n`;
  });
  return cases.join('');
}

function key(path: readonly string[]): string {
  return `'${path.map((word) => ` ${word}`).join('')}'`;
}
