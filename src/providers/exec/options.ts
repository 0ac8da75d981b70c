import { resolve } from 'node:path';
import { z } from 'zod';
import { expandHome } from '../../config/paths.ts';
import { flawAbove } from '../../config/safe-file.ts';
import {
  duration,
  filePath,
  once,
  optionalFile,
  optionalText,
  type SourceConflict,
  text,
} from '../../config/schema.ts';
import { isExecutable, programsOnPath } from '../../platform/files.ts';
import type { ProviderDefinition } from '../provider.ts';
import { NICKNAMES, PRESET_NAMES, PRESET_WORDS, PRESETS, type Preset, presetArgs } from './presets.ts';

const argument = () => z.string().regex(/^[^\0]*$/, 'the text has a NUL in it');
const command = () =>
  z
    .array(argument())
    .min(1, 'an empty command; write it as a list, like ["op", "read", "op://dev/claude/key"]')
    .refine(([program]) => program !== '', 'the program is an empty text');
const variable = () =>
  z
    .string()
    .regex(
      /^[A-Za-z_][A-Za-z0-9_]*$/,
      'the name of a variable has letters, digits and underscores, and no digit first',
    );

const execProviderSchema = once(() =>
  z.strictObject({
    command: command()
      .optional()
      .describe(
        'Program and arguments, one text each; no shell reads them. `~/` in front of the program is the home folder. With `preset`: what runs the tool, if PATH does not have it.',
      ),
    preset: z
      .enum(PRESET_NAMES)
      .optional()
      .meta({
        description: `One of ${PRESET_NAMES.join(', ')}. A tool that the broker knows: its arguments, where the expiry is, what its failures mean. Default: none.`,
        examples: ['1password'],
      }),
    timeout: duration({ minMs: 100, maxMs: 600_000 })
      .prefault('30s')
      .describe('After this time the command is stopped with everything that it started. Default: 30s. At most 10m.'),
    cwd: optionalFile().describe('Folder to run in. Default: the home folder.'),
    pass_env: z
      .array(variable())
      .default([])
      .describe(
        "Variables of the daemon's environment that the command gets besides PATH, HOME, USER, LANG and the like.",
      ),
    env: z.record(variable(), text()).default({}).describe('Variables set for the command. No place for secrets.'),
    env_files: z
      .record(variable(), filePath())
      .default({})
      .meta({
        description:
          'Variables whose values are read from files before each run: for a session key or a service account token. A changed file counts as a new login.',
        examples: [{ OP_SERVICE_ACCOUNT_TOKEN: '~/.config/op/token' }],
        secret: false,
      }),
    denied_status: z
      .array(z.int().min(1).max(255))
      .default([])
      .describe('Exit statuses that mean that access was taken away: the key is dropped. Default: none.'),
    login_files: z
      .array(filePath())
      .default([])
      .describe("Files that change when the command's own login is renewed; a change clears a hold-off at once."),
  }),
);

const execCredentialSchema = once(() =>
  z.strictObject({
    command: command().optional().describe("Instead of the provider's command."),
    args: z.array(argument()).default([]).describe('Appended to the command.'),
    output: z
      .enum(['auto', 'text', 'json'])
      .default('auto')
      .describe(
        'What stdout is: the key, or a JSON object to be walked with field. Default: auto, an object if it is one.',
      ),
    reference: optionalText().meta({
      description: 'With a preset: what is read, op://vault/item/field of 1Password or the id of a Bitwarden item.',
      examples: ['op://dev/claude/key'],
      secret: false,
    }),
    resource: optionalText().meta({
      description: 'With the preset azure: what the token is for.',
      examples: ['https://cognitiveservices.azure.com'],
    }),
    account: optionalText().meta({
      description: "With the presets 1password and gcloud: whose login. Default: the tool's own choice.",
      examples: ['me@example.com'],
    }),
    tenant: optionalText().meta({
      description: "With the preset azure: in which tenant. Default: that of the tool's current account.",
      examples: ['example.onmicrosoft.com'],
    }),
  }),
);

/** The file that is run; undefined if there is none. As spawn finds it: in PATH, or from `cwd` on. */
export function programFile(
  program: string,
  { homeDir, cwd, path }: { readonly homeDir: string; readonly cwd: string; readonly path: string | undefined },
): string | undefined {
  if (!program.includes('/')) return programsOnPath(program, path)[0];
  const file = resolve(cwd, expandHome(program, homeDir));
  return isExecutable(file) ? file : undefined;
}

export type ExecOptions = z.output<ReturnType<typeof execProviderSchema>>;
export type ExecSource = z.output<ReturnType<typeof execCredentialSchema>>;

export const execDefinition: ProviderDefinition<ExecOptions, ExecSource> = {
  type: 'exec',
  get nicknames() {
    return NICKNAMES;
  },
  summary: 'Any command that prints a key, run without a shell',
  get providerSchema() {
    return execProviderSchema();
  },
  get credentialSchema() {
    return execCredentialSchema();
  },
  environmentDefaults: {},
  risksOf: (options, source, { env, homeDir }) => {
    // A credential without a command of its own runs the provider's, which is looked at once.
    const tool = options.preset && PRESETS[options.preset].tool;
    const [program = tool] = (source === undefined ? options.command : source.command) ?? [];
    if (program === undefined || (source !== undefined && source.command === undefined)) return [];
    const { cwd = homeDir } = options;
    const file = programFile(program, { homeDir, cwd, path: env['PATH'] });
    const flaw = file === undefined ? undefined : flawAbove(file, process.getuid?.() ?? 0);
    return flaw === undefined
      ? []
      : [{ key: program === tool ? 'preset' : 'command', message: flaw.reason, remedy: flaw.remedy }];
  },
  conflictOf,
  identify: ({ command, args, output, ...words }) => JSON.stringify([command ?? null, args, output, ...wordsOf(words)]),
  describe: ({ command, reference, resource }) =>
    command === undefined ? (reference ?? resource ?? "the provider's command") : `command ${command[0]}`,
  async load() {
    const { ExecProvider } = await import('./provider.ts');
    return (options, host) => new ExecProvider(options, host);
  },
};

type Words = Pick<ExecSource, (typeof PRESET_WORDS)[number]>;

function wordsOf(words: Words): readonly string[] {
  return PRESET_WORDS.flatMap((word) => (words[word] === undefined ? [] : `${word}=${words[word]}`));
}

function conflictOf(source: ExecSource, options: ExecOptions, provider: string): SourceConflict | undefined {
  const here = `[providers.${provider}]`;
  const { preset: name } = options;
  if (name === undefined) {
    const word = PRESET_WORDS.find((each) => source[each] !== undefined);
    if (word !== undefined) {
      const remedy = `add preset to ${here}, one of ${PRESET_NAMES.join(', ')}, or remove ${word}`;
      return { key: word, message: `only a preset has ${word}, and ${here} names none`, remedy };
    }
    if (commandOf({ ...source, args: [] }, options).length > 0) return undefined;
    const message = `neither this credential nor ${here} names a command`;
    return { key: 'command', message, remedy: `add command = ["program", "argument"] here or to ${here}` };
  }
  const preset: Preset = PRESETS[name];
  for (const key of ['command', 'output'] as const) {
    if (source[key] === undefined || source[key] === 'auto') continue;
    return {
      key,
      message: `the preset ${name} sets ${key} itself`,
      remedy: `remove ${key}, or preset from ${here}`,
    };
  }
  for (const word of PRESET_WORDS) {
    const [form, written] = preset.form[word] ?? [/^[^-]/, 'write it without a dash in front'];
    const given = source[word];
    if (given === undefined) {
      if (!preset.needs.includes(word)) continue;
      return { key: word, message: `the preset ${name} needs ${word}`, remedy: `add it; ${written}` };
    }
    if (![...preset.needs, ...preset.takes].includes(word)) {
      return { key: word, message: `the preset ${name} has no ${word}`, remedy: `remove ${word}` };
    }
    if (!form.test(given)) {
      return { key: word, message: `this is not the form of ${word} with the preset ${name}`, remedy: written };
    }
  }
  return undefined;
}

/** Program and arguments; empty if neither provider nor credential names any. */
export function commandOf(source: ExecSource, options: ExecOptions): readonly string[] {
  if (options.preset === undefined) return [...(source.command ?? options.command ?? []), ...source.args];
  const preset: Preset = PRESETS[options.preset];
  return [...(options.command ?? [preset.tool]), ...presetArgs(preset, source), ...source.args];
}
