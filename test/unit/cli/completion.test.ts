import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Argument, Command, Option } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { completionCommand } from '../../../src/cli/commands/completion.ts';
import { FORMATS } from '../../../src/protocol/request.ts';
import { FakeIo } from '../../fakes/fake-io.ts';

function program(): Command {
  const root = new Command('broker').option('--verbose', "says more: isn't it").version('1');
  const service = root.command('service').description('the service: all of it');
  service
    .command('install')
    .description("install it's way")
    .option('--dry-run', 'change nothing')
    .addOption(new Option('--sandbox <how>', 'how').choices(['full', 'basic']));
  service.command('stop').description('stop it');
  root.command('shell').addArgument(new Argument('<kind>').choices(['one', 'two']));
  root.command('get').argument('[name]').option('--fast', 'be fast');
  root.command('login').argument('<provider>');
  root.command('events').option('--credential <name>', 'of one');
  root.command('help').argument('[what...]');
  return root;
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'broker-completion-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function script(shell: string): Promise<string> {
  const io = new FakeIo();
  await completionCommand(io, async () => program()).parseAsync([shell], { from: 'user' });
  const file = path.join(folder, `broker.${shell}`);
  writeFileSync(file, io.out);
  return file;
}

function run(shell: string, args: readonly string[], code: string): string[] {
  const { stdout, stderr } = spawnSync(shell, [...args, '-c', code], {
    encoding: 'utf8',
    timeout: 20_000,
    // fish keeps its own files there.
    env: { ...process.env, HOME: folder },
  });
  expect(stderr).toBe('');
  return stdout.split('\n').filter((line) => line !== '');
}

/** What `broker names` prints. */
const NAMES = 'broker() { if [ "$*" = "names credentials" ]; then echo work; echo home; else echo corp; fi; }';

const completers: Readonly<Record<string, (file: string, words: readonly string[], program?: string) => string[]>> = {
  bash: (file, words, program = 'broker') =>
    run(
      'bash',
      ['--norc'],
      `${NAMES}; source ${file}; COMP_WORDS=(${program} ${quoted(words)}); COMP_CWORD=${words.length}; _${program.replace('-', '_')}; printf '%s\\n' "\${COMPREPLY[@]}"`,
    ),
  // What zsh's own functions would be handed: they work only inside its line editor.
  zsh: (file, words, program = 'broker') =>
    run(
      'zsh',
      ['-f'],
      `${NAMES}; compdef() { :; }; _files() { print FILES; }; _describe() { print -rl -- \${(P)@[-1]%%:*}; }
       compadd() { if [[ $1 = -a ]]; then print -rl -- \${(P)2}; else print -rl -- "$@"; fi; }
       source ${file}; words=(${program} ${quoted(words)}); CURRENT=${words.length + 1}; _broker`,
    ),
  fish: (file, words, program = 'broker') =>
    run(
      'fish',
      ['--no-config'],
      `function broker; if test "$argv" = "names credentials"; echo work; echo home; else; echo corp; end; end
       source ${file}; complete -C "${program} ${words.join(' ')}"`,
    ).map((line) => line.split('\t')[0] ?? ''),
};

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(' ');
}

describe.each(Object.keys(completers))('%s', (shell) => {
  const present = spawnSync(shell, ['--version']).status === 0;
  if (!present) console.warn(`skipped: there is no ${shell} here`);
  const complete = async (...words: string[]) => (completers[shell] ?? (() => []))(await script(shell), words);
  const completeHelper = async (...words: string[]) =>
    (completers[shell] ?? (() => []))(await script(shell), words, 'broker-key');

  test.skipIf(!present)('commands', async () => {
    expect(await complete('')).toEqual(expect.arrayContaining(['service', 'shell']));
    expect(await complete('service', '')).toEqual(expect.arrayContaining(['install', 'stop']));
    expect(await complete('service', '')).not.toContain('shell');
  });

  test.skipIf(!present)('options, those of the whole program included', async () => {
    const found = await complete('service', 'install', '--');
    expect(found).toEqual(expect.arrayContaining(['--dry-run', '--sandbox', '--verbose', '--help']));
    expect(await complete('service', 'stop', '--')).not.toContain('--dry-run');
  });

  test.skipIf(!present)('values of options and arguments', async () => {
    expect((await complete('service', 'install', '--sandbox', '')).sort()).toEqual(['basic', 'full']);
    expect(await complete('shell', '')).toEqual(expect.arrayContaining(['one', 'two']));
  });

  test.skipIf(!present)('names that the configuration has', async () => {
    expect(await complete('get', '')).toEqual(expect.arrayContaining(['work', 'home']));
    expect(await complete('get', '--')).not.toContain('work');
    expect(await complete('login', '')).toContain('corp');
    expect(await complete('events', '--credential', '')).toEqual(expect.arrayContaining(['work', 'home']));
  });

  test.skipIf(!present)('commands and pages of broker help', async () => {
    expect(await complete('help', '')).toEqual(expect.arrayContaining(['topics', 'service', 'configuration', 'vault']));
  });

  test.skipIf(!present)('broker-key: names, options and formats', async () => {
    expect(await completeHelper('')).toEqual(expect.arrayContaining(['work', 'home']));
    expect(await completeHelper('--')).toEqual(expect.arrayContaining(['--format', '--rejected', '--help']));
    expect((await completeHelper('--format', '')).sort()).toEqual(['aws', 'headers', 'json', 'proxy', 'raw']);
  });
});

test('has the options and formats of broker-key that its source has', async () => {
  const source = readFileSync(new URL('../../../native/broker-key.c', import.meta.url), 'utf8');
  const flags = [...source.matchAll(/^ {8}" {2}(--[a-z]+)/gm)].map(([, flag]) => flag);
  const text = readFileSync(await script('bash'), 'utf8');
  expect(text).toContain(`words='${flags.join(' ')}'`);
  const formats = /FORMATS\[\] = \{([^}]*), NULL\}/.exec(source)?.[1]?.replaceAll(/["\s]/g, '').split(',');
  expect(formats).toEqual(expect.arrayContaining([...FORMATS]));
});

describe('broker names', () => {
  const names = async (table: string, text: string) => {
    const file = path.join(folder, 'config.toml');
    writeFileSync(file, text);
    return (await new FakeIo({ BROKER_CONFIG: file }).run('names', table)).out;
  };

  test('prints what the configuration has, also one with faults', async () => {
    const text =
      '[providers.corp]\ntype = "vualt"\n[credentials.work]\nx = y\n[credentials."no name"]\n[credentials.home]\n';
    expect(await names('credentials', text)).toBe('work\nhome\n');
    expect(await names('providers', text)).toBe('corp\n');
    expect(await names('credentials', '= nonsense')).toBe('');
  });
});
