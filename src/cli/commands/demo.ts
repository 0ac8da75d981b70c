import { Command } from 'commander';
import type { ProcessIo } from '../../platform/process-io.ts';

/** `broker demo`: the whole thing against an embedded development Vault. */
export function demoCommand(io: ProcessIo): Command {
  return new Command('demo')
    .description('show the whole thing against an embedded development Vault; nothing needed, nothing left behind')
    .action(async () => {
      const { runDemo } = await import('../../demo/demo.ts');
      await runDemo({ clock: io.clock, env: io.env, print: (text) => io.stdout(text) });
    });
}
