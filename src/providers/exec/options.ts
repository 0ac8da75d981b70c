import { resolve } from 'node:path';
import { z } from 'zod';
import { expandHome } from '../../config/paths.ts';
import { flawAbove } from '../../config/safe-file.ts';
import { duration, filePath, text } from '../../config/schema.ts';
import { isExecutable, programsOnPath } from '../../platform/files.ts';
import type { ProviderDefinition } from '../provider.ts';

const argument = () => z.string().regex(/^[^\0]*$/, 'no NUL');
const command = () =>
  z
    .array(argument())
    .min(1, 'an empty command; write it as a list, like ["op", "read", "op://dev/claude/key"]')
    .refine(([program]) => program !== '', 'the program is an empty text');
const variable = () => z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'not the name of a variable');

const execProviderSchema = z.strictObject({
  command: command()
    .optional()
    .describe(
      'Program and arguments, one text each; no shell reads them. `~/` in front of the program is the home folder.',
    ),
  timeout: duration({ minMs: 100, maxMs: 600_000 })
    .prefault('30s')
    .describe('After this time the command is stopped with everything that it started. Default: 30s. At most 10m.'),
  cwd: filePath().optional().describe('Folder to run in. Default: the home folder.'),
  pass_env: z
    .array(variable())
    .default([])
    .describe(
      "Variables of the daemon's environment that the command gets besides PATH, HOME, USER, LANG and the like.",
    ),
  env: z.record(variable(), text()).default({}).describe('Variables set for the command. No place for secrets.'),
  denied_status: z
    .array(z.int().min(1).max(255))
    .default([])
    .describe('Exit statuses that mean that access was taken away: the key is dropped. Default: none.'),
  login_files: z
    .array(filePath())
    .default([])
    .describe("Files that change when the command's own login is renewed; a change clears a hold-off at once."),
});

const execCredentialSchema = z.strictObject({
  command: command().optional().describe("Instead of the provider's command."),
  args: z.array(argument()).default([]).describe('Appended to the command.'),
  output: z
    .enum(['auto', 'text', 'json'])
    .default('auto')
    .describe(
      'What stdout is: the key, or a JSON object to be walked with field. Default: auto, an object if it is one.',
    ),
});

/** The file that is run; undefined if there is none. As spawn finds it: in PATH, or from `cwd` on. */
export function programFile(
  program: string,
  { homeDir, cwd, path }: { readonly homeDir: string; readonly cwd: string; readonly path: string | undefined },
): string | undefined {
  if (!program.includes('/')) return programsOnPath(program, path)[0];
  const file = resolve(cwd, expandHome(program, homeDir));
  return isExecutable(file) ? file : undefined;
}

export type ExecOptions = z.output<typeof execProviderSchema>;
export type ExecSource = z.output<typeof execCredentialSchema>;

export const execDefinition: ProviderDefinition<ExecOptions, ExecSource> = {
  type: 'exec',
  summary: 'Any command that prints a key, run without a shell',
  providerSchema: execProviderSchema,
  credentialSchema: execCredentialSchema,
  environmentDefaults: {},
  identify: ({ command, args, output }) => JSON.stringify([command ?? null, args, output]),
  risksOf: ({ command, cwd }, source, { env, homeDir }) => {
    // A credential without a command of its own runs the provider's, which is looked at once.
    const [program] = (source === undefined ? command : source.command) ?? [];
    if (program === undefined) return [];
    const file = programFile(program, { homeDir, cwd: cwd ?? homeDir, path: env['PATH'] });
    const flaw = file === undefined ? undefined : flawAbove(file, process.getuid?.() ?? 0);
    return flaw === undefined ? [] : [{ key: 'command', message: flaw.reason, remedy: flaw.remedy }];
  },
  describe: ({ command }) => (command === undefined ? "the provider's command" : `command ${command[0]}`),
  async load() {
    const { ExecProvider } = await import('./provider.ts');
    return (options, host) => new ExecProvider(options, host);
  },
};
