import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Argument, Command, Option } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { completionCommand } from '../../../src/cli/commands/completion.ts';
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
  const { stdout, stderr } = spawnSync(shell, [...args, '-c', code], { encoding: 'utf8', timeout: 20_000 });
  expect(stderr).toBe('');
  return stdout.split('\n').filter((line) => line !== '');
}

const completers: Readonly<Record<string, (file: string, words: readonly string[]) => string[]>> = {
  bash: (file, words) =>
    run(
      'bash',
      ['--norc'],
      `source ${file}; COMP_WORDS=(broker ${quoted(words)}); COMP_CWORD=${words.length}; _broker; printf '%s\\n' "\${COMPREPLY[@]}"`,
    ),
  // What zsh's own functions would be handed: they work only inside its line editor.
  zsh: (file, words) =>
    run(
      'zsh',
      ['-f'],
      `compdef() { :; }; _files() { print FILES; }; _describe() { print -rl -- \${(P)@[-1]%%:*}; }
       compadd() { if [[ $1 = -a ]]; then print -rl -- \${(P)2}; else print -rl -- "$@"; fi; }
       source ${file}; words=(broker ${quoted(words)}); CURRENT=${words.length + 1}; _broker`,
    ),
  fish: (file, words) =>
    run('fish', ['--no-config'], `source ${file}; complete -C "broker ${words.join(' ')}"`).map(
      (line) => line.split('\t')[0] ?? '',
    ),
};

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(' ');
}

describe.each(Object.keys(completers))('%s', (shell) => {
  const present = spawnSync(shell, ['--version']).status === 0;
  if (!present) console.warn(`skipped: there is no ${shell} here`);
  const complete = async (...words: string[]) => (completers[shell] ?? (() => []))(await script(shell), words);

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
});
