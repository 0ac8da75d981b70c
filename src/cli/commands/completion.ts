import { Argument, Command } from 'commander';
import { bashCompletion } from '../completion/bash.ts';
import { type CompletionNode, completionTree } from '../completion/completion-tree.ts';
import { fishCompletion } from '../completion/fish.ts';
import { zshCompletion } from '../completion/zsh.ts';
import type { CliIo } from '../io.ts';

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
export function completionCommand(io: CliIo, program: () => Promise<Command>): Command {
  return new Command('completion')
    .description('print a script that completes commands and options')
    .addArgument(new Argument('<shell>', 'the shell it is for').choices(Object.keys(SHELLS)))
    .addHelpText('after', HOW)
    .action(async (shell: string) => {
      io.stdout(SHELLS[shell]?.(completionTree(await program())) ?? '');
    });
}
