import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import { parse } from 'jsonc-parser';
import { beforeAll, describe, expect, it } from 'vitest';

import { buildProgram, COMMANDS } from '../../src/cli/program.ts';
import { checkConfig } from '../../src/config/load.ts';
import { providerDefinitions } from '../../src/providers/registry.ts';
import { FakeIo } from '../fakes/fake-io.ts';

/** What the pages tell the reader to type and to write has to be good: every command line, flag and table. */
const ROOT = join(import.meta.dirname, '..', '..');
const PAGES = globSync(['README.md', 'docs/**/*.md'], { cwd: ROOT }).sort();
const pages = PAGES.map((page) => [page, readFileSync(join(ROOT, page), 'utf8')] as const);

let program: Command;

beforeAll(async () => {
  program = await buildProgram(new FakeIo(), COMMANDS, () => true);
});

function blocks(text: string, language: string): string[] {
  const found = text.matchAll(new RegExp(`^( *)\`\`\`${language}\\n([\\s\\S]*?)^ *\`\`\``, 'gm'));
  return [...found].map(([, indent = '', body = '']) => body.replaceAll(new RegExp(`^${indent}`, 'gm'), ''));
}

/** `broker …` in shell blocks, continued lines joined, and in inline code. */
function commandLines(text: string): string[] {
  const typed = blocks(text, '(?:sh|bash)?').flatMap((body) => body.replaceAll(/\\\n\s*/g, '').split('\n'));
  const inline = [...text.replaceAll(/^ *```[\s\S]*?^ *```/gm, '').matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
  return [...typed, ...inline].flatMap((line) => {
    const command = /^(?:\$ )?(?:.*&& )?(?:[A-Z_]+=\S+ )?broker ([a-z-]+(?: .*)?)$/s.exec(
      line.replace(/\n\s*/g, ' '),
    )?.[1];
    return command === undefined
      ? []
      : [
          command
            .replace(/ +[#&>|;].*$/s, '')
            .replace(/…|\.\.\./g, '')
            .trim(),
        ];
  });
}

/** Undefined if there is such a command with such flags; else what is wrong. */
function faultOf(line: string): string | undefined {
  const words = line.match(/"[^"]*"|'[^']*'|\S+/g) ?? [];
  let command: Command = program;
  for (const [at, word] of words.entries()) {
    // What follows is another program's.
    if (command.name() === 'run' && (word === '--' || (!word.startsWith('-') && words[at - 1] !== '--env'))) return;
    if (word.startsWith('-')) {
      const flag = word.split('=')[0];
      const known = [...command.options, ...program.options].some(({ long, short }) => long === flag || short === flag);
      if (!known && flag !== '--help' && flag !== '-h') return `${command.name()} has no ${flag}`;
    } else if (command.commands.length > 0) {
      // `install|uninstall|show` names several.
      const names = word.split(/[|/]/);
      const next = command.commands.find((each) => names.includes(each.name()));
      const unknown = names.find((name) => command.commands.every((each) => each.name() !== name));
      if (unknown !== undefined || next === undefined) return `${command.name()} has no ${word}`;
      command = next;
    }
  }
  return undefined;
}

describe('what the pages tell to type', () => {
  it.each(pages)('%s', (_, text) => {
    const faults = commandLines(text).flatMap((line) => {
      const fault = faultOf(line);
      return fault === undefined ? [] : [`broker ${line}: ${fault}`];
    });
    expect(faults).toEqual([]);
  });

  it('is looked at, and a wrong flag is noticed', () => {
    expect(pages.flatMap(([, text]) => commandLines(text)).length).toBeGreaterThan(100);
    expect(faultOf('claude install --credentials work')).toBe('install has no --credentials');
    expect(faultOf('service reinstall')).toBe('service has no reinstall');
  });
});

/** Tables that a page leaves to another page. */
const PROVIDERS: Readonly<Record<string, string>> = {
  vault: 'type = "vault"\naddress = "https://v.example.com"\n',
  aws: 'type = "aws-secrets-manager"\n',
  exec: 'type = "exec"\n',
};

function completed(block: string): string {
  const tables = [...block.matchAll(/^\[providers\.([\w-]+)\]/gm)].map(([, name]) => name);
  const needed = [...block.matchAll(/^\s*provider = "([\w-]+)"/gm)].map(([, name = '']) => name);
  const auth = [...block.matchAll(/^\[providers\.([\w-]+)\.auth\]/gm)].map(([, name = '']) => name);
  const missing = [...new Set([...needed, ...auth])].filter((name) => !tables.includes(name));
  const added = missing.map((name) => {
    const kind = Object.keys(PROVIDERS).find((word) => name.includes(word)) ?? 'exec';
    return `\n[providers.${name}]\n${PROVIDERS[kind]}`;
  });
  // A page may show a provider alone.
  const credential = /^\[credentials\./m.test(block)
    ? ''
    : `\n[credentials.shown]\nprovider = "shown"\ncommand = ["true"]\n[providers.shown]\n${PROVIDERS['exec']}`;
  return block + added.join('') + credential;
}

describe('the tables that the pages show', () => {
  const all = pages.flatMap(([page, text]) =>
    blocks(text, 'toml').map((block, index) => [`${page} ${index + 1}`, block] as const),
  );

  it.each(all)('%s', async (_, block) => {
    const options = { file: '/c/config.toml', types: providerDefinitions, env: {}, homeDir: '/home/ada' };
    const { faults = [] } = await checkConfig(Buffer.from(completed(block)), options);
    expect(faults.map(({ message, line }) => `${line}: ${message}`)).toEqual([]);
  });

  it('are looked at', () => {
    expect(all.length).toBeGreaterThan(15);
  });
});

describe('the security model', () => {
  const text = readFileSync(join(ROOT, 'docs', 'security-model.md'), 'utf8');
  const sections = text.split(/^## /m).slice(1);
  const claims = sections.filter((section) => !/^(?:In one paragraph|Not covered)/.test(section));

  it.each(claims.map((section) => [section.split('\n', 1)[0], section]))('names the tests for: %s', (_, section) => {
    expect(section).toMatch(/Shown by: `test\//);
  });

  it('names tests that there are', () => {
    const named = [...text.matchAll(/`(test\/[^`]+)`/g)].map(([, file = '']) => file);
    expect(named.length).toBeGreaterThan(30);
    expect(named.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
  });
});

it('docs/dependencies.md has every direct dependency, in its own table, and no other', () => {
  const page = readFileSync(join(ROOT, 'docs', 'dependencies.md'), 'utf8');
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<
    'dependencies' | 'devDependencies',
    Record<string, string>
  >;
  const tables = page.split(/^## /m).slice(1);
  const rows = tables.map((table) => [...table.matchAll(/^\| `([^`]+)` \| [^|]+ \|/gm)].map(([, name]) => name));
  expect(rows).toEqual([Object.keys(dependencies), Object.keys(devDependencies)]);
});

describe('the JSON that the pages show', () => {
  it.each(
    pages.flatMap(([page, text]) => blocks(text, 'json').map((block, at) => [`${basename(page)} ${at + 1}`, block])),
  )('%s', (_, block) => {
    const errors: Parameters<typeof parse>[1] = [];
    parse(block ?? '', errors);
    expect(errors).toEqual([]);
  });
});
