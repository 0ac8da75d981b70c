import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeManPages } from '../../build/man.ts';
import { buildProgram, COMMANDS } from '../../src/cli/program.ts';
import { configJsonSchema } from '../../src/config/json-schema.ts';
import { helperPath } from '../../src/platform/native.ts';
import { providerDefinitions } from '../../src/providers/registry.ts';
import { FakeIo } from '../fakes/fake-io.ts';

let folder: string;
let files: readonly string[];
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'broker-man-'));
  files = await writeManPages(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** As a reader sees it: without requests and escapes. */
function textOf(name: string): string {
  const source = readFileSync(path.join(folder, name), 'utf8');
  const text = source.replaceAll(/^\.(?:[A-Z]+|nh|ad l|nf|fi)\b ?/gm, '');
  return text.replaceAll('\\-', '-').replaceAll('\\:', '').replaceAll('\\(dq', '"').replaceAll('\\&', '');
}

function* commandsIn(command: Command, words: string): Generator<readonly [words: string, command: Command]> {
  const children = command.commands.filter((each) => each.name() !== 'help');
  if (children.length === 0) yield [words, command];
  for (const child of children) yield* commandsIn(child, `${words} ${child.name()}`);
}

describe('the manual pages', () => {
  it('are those that package.json names', () => {
    const manifest = readFileSync(path.join(import.meta.dirname, '..', '..', 'package.json'), 'utf8');
    const { man } = JSON.parse(manifest) as { man: string[] };
    expect(man.map((file) => path.basename(file))).toEqual(files.map((file) => path.basename(file)));
  });

  it('broker(1) has every command with every option', async () => {
    const program = await buildProgram(new FakeIo(), COMMANDS, () => true);
    const page = textOf('broker.1');
    for (const [words, command] of commandsIn(program, 'broker')) {
      if (words === 'broker help' || words === 'broker names') continue;
      const start = page.indexOf(`\n${words}`);
      expect(start, words).toBeGreaterThan(0);
      for (const { flags, hidden } of command.options) if (!hidden) expect(page.slice(start)).toContain(`\n${flags}\n`);
    }
  });

  it.skipIf(helperPath() === undefined)('broker-key(1) has every option that its --help has', () => {
    const { stdout } = spawnSync(helperPath() ?? '', ['--help'], { encoding: 'utf8' });
    const flags = [...stdout.matchAll(/^ {2}(--[a-z]+)/gm)].map(([, flag]) => flag);
    expect(flags.length).toBeGreaterThan(3);
    for (const flag of flags) expect(textOf('broker-key.1')).toMatch(new RegExp(`^${flag}\\b`, 'm'));
  });

  it('broker.toml(5) has every key of every table', () => {
    const page = textOf('broker.toml.5');
    const keys = new Set<string>();
    const collect = (schema: unknown): void => {
      if (typeof schema !== 'object' || schema === null) return;
      for (const [key, value] of Object.entries(schema)) {
        if (key === 'properties') for (const name of Object.keys(value as object)) keys.add(name);
        collect(value);
      }
    };
    collect(configJsonSchema(providerDefinitions));
    for (const key of ['providers', 'credentials', 'daemon', 'type', 'method']) keys.delete(key);
    expect(keys.size).toBeGreaterThan(80);
    expect([...keys].filter((key) => !page.includes(`\n${key}\n`))).toEqual([]);
  });

  it('are such as man(1) and mandoc(1) take without a word, where there are any', () => {
    for (const file of files) {
      const man = spawnSync('man', ['--warnings', '-E', 'ascii', '-l', file], { encoding: 'utf8' });
      if (man.status === 0) expect(man.stderr).toBe('');
      const lint = spawnSync('mandoc', ['-Tlint', '-W', 'warning', file], { encoding: 'utf8' });
      // Before the release there is no date.
      if (lint.error === undefined) expect(lint.stdout.replace(/^.*missing date.*\n/m, '')).toBe('');
    }
  });
});
