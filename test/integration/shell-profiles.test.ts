import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readProfiles } from '../../src/claude/shell/profiles.ts';
import { followRemedy } from '../fakes/follow-remedy.ts';
import { TemporaryHome } from '../unit/claude/home.ts';
import { runDoctor } from '../unit/claude/run-doctor.ts';

const CORPUS = path.join(import.meta.dirname, '..', 'fixtures', 'profiles');
const FILES = { bash: '.bashrc', zsh: '.zshrc', fish: '.config/fish/config.fish' } as const;
type Kind = keyof typeof FILES;
const KINDS = Object.keys(FILES) as Kind[];

/** Files beside the profile, which some of the corpus read. */
const BESIDE = {
  '.env': '# for tools\nANTHROPIC_API_KEY=sk-ant-api03-from-dot-env-000000\nREGION=eu\n',
  '.secrets': 'export ANTHROPIC_AUTH_TOKEN=from-secrets-000000000000\nexport OTHER_SECRET=1\n',
  '.aliases': "alias ll='ls -l'\n",
  '.zsh/keys.zsh': 'export FROM_ZSH_FOLDER=1\n',
};

/** A machine without one of the shells tests the others. */
const THERE = KINDS.filter((kind) => spawnSync(kind, ['-c', 'exit 0']).status === 0);
const READ_ONLY = { bash: ['--norc', '-n'], zsh: ['-fn'], fish: ['--no-config', '--no-execute'] };

function homeWith(kind: Kind, text: string): TemporaryHome {
  const home = new TemporaryHome();
  for (const [name, content] of Object.entries(BESIDE)) home.write(name, content);
  home.write(FILES[kind], text);
  home.write('bin/broker-key', '#!/bin/sh\necho sk-ant-api03-given-00000000000000000\n', 0o755);
  home.write('.claude/settings.json', JSON.stringify({ apiKeyHelper: `${home.path('bin/broker-key')} anthropic` }));
  home.write('project/README', '');
  return home;
}

interface Asked {
  readonly exported: Map<string, string>;
  readonly everything: string;
}

/** What the shell itself says: what it exports, then every variable and function that it has. */
function ask(kind: Kind, home: TemporaryHome): Asked {
  const list = { bash: 'set', zsh: 'typeset; functions', fish: 'set; functions -a' }[kind];
  const { stdout, status } = spawnSync(
    kind,
    ['-ic', `printf '\\000MARK\\000'; env -0; printf '\\000MARK\\000'; ${list}`],
    {
      cwd: home.root,
      env: { HOME: home.root, PATH: '/usr/bin:/bin', TERM: 'dumb', USER: 'u', LANG: 'C.UTF-8' },
      timeout: 20_000,
      maxBuffer: 16 * 1024 * 1024,
    },
  );
  const [, environment = '', everything = ''] = stdout.toString().split('\0MARK\0');
  expect(status).toBe(0);
  const pairs = environment.split('\0').filter((line) => line.includes('='));
  return {
    exported: new Map(pairs.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)])),
    everything,
  };
}

const profilesOf = (home: TemporaryHome) =>
  readProfiles({ homeDir: home.root, env: {}, platform: 'linux', systemRoot: home.path('system') });

const corpus = THERE.flatMap((kind) =>
  readdirSync(path.join(CORPUS, kind))
    .sort()
    .map((name) => ({ kind, name, text: readFileSync(path.join(CORPUS, kind, name), 'utf8') })),
);

test('the corpus is large enough', () => {
  expect(KINDS.flatMap((kind) => readdirSync(path.join(CORPUS, kind))).length).toBeGreaterThanOrEqual(60);
});

/** Each variable that the shell exports is one that the doctor says it exports, with its value, and the other way round. */
function expectTold(home: TemporaryHome, exported: ReadonlyMap<string, string>): void {
  const assignments = profilesOf(home).flatMap((profile) => profile.assignments);
  const names = new Set([
    ...assignments.map(({ name }) => name),
    ...[...exported.keys()].filter((name) => /^(ANTHROPIC|CLAUDE)_/.test(name)),
  ]);
  names.delete('ANTHROPIC_MODEL');
  for (const name of names) {
    const counting = assignments.filter((each) => each.name === name && each.exported !== 'no');
    const value = exported.get(name);
    if (value === undefined) expect(counting.filter((each) => each.exported === 'yes')).toEqual([]);
    else {
      expect(counting.length, name).toBeGreaterThan(0);
      // Of several places that set it the last one counts, whichever file it is in.
      const values = counting.map((each) => (each.exported === 'yes' ? each.value : undefined));
      if (!values.includes(undefined)) expect(values).toContain(value);
    }
  }
}

/** Variables that differ from one run to the next. */
const VOLATILE =
  /^(?:(?:export|integer|float|array|readonly|local|association|undefined|tied|\d+|[-\w]+) )*["']?(?:BASH\w*|S?RANDOM|SECONDS|EPOCH\w*|LINENO|PPID|PIPESTATUS|pipestatus|status|_|HISTCMD|history|TTYIDLE|ERRNO|fish_pid|fish_kill\w*|version|CMD_DURATION|last_pid|hostname|funcstack|SHLVL|[!$?#*@-]|argv)["']?[= ]/;

const stable = (text: string, gone: ReadonlySet<string>) =>
  text.split('\n').filter((line) => !VOLATILE.test(line) && ![...gone].some((name) => line.includes(name)));

function expectSame(before: Asked, after: Asked, gone: ReadonlySet<string>): void {
  for (const { exported } of [before, after]) for (const name of [...gone, '_']) exported.delete(name);
  expect(after.exported).toEqual(before.exported);
  expect(stable(after.everything, gone)).toEqual(stable(before.everything, gone));
}

function doctor(home: TemporaryHome, ...flags: string[]) {
  return runDoctor(home, ['--no-run-helper', ...flags]);
}

function expectReadable(kind: Kind, file: string, before: string): void {
  const reads = (text: string) => spawnSync(kind, [...READ_ONLY[kind], '/dev/stdin'], { input: text }).status === 0;
  if (reads(before)) expect(reads(readFileSync(file, 'utf8')), readFileSync(file, 'utf8')).toBe(true);
}

/** Whoever had a key of its own still has it, unless requests go to Anthropic again: no key comes to an address that had another. */
function expectNoKeyElsewhere(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): void {
  const address = after.get('ANTHROPIC_BASE_URL');
  if (address === undefined) return;
  for (const name of ['ANTHROPIC_AUTH_TOKEN', 'ANTHROPIC_API_KEY', 'ANTHROPIC_BASE_URL']) {
    expect(after.get(name), name).toBe(before.get(name));
  }
}

/** Runs the repair, and says which variables it took out. */
async function repaired(home: TemporaryHome): Promise<ReadonlySet<string>> {
  const { err } = await doctor(home, '--fix', '--yes');
  return new Set(
    [...err.matchAll(/sets (\w+)[^\n]*\n(?:(?!\n(?:done|not done|left)).|\n)*?\ndone/g)].map(([, name = '']) => name),
  );
}

/** Keys that stand alone at the top of their file: these at least are taken out. */
function plainKeys(home: TemporaryHome): ReadonlySet<string> {
  const all = profilesOf(home).flatMap(({ assignments }) => assignments);
  const plain = all.filter(
    (each) => each.exported === 'yes' && each.removal?.isSafe && /_(KEY|TOKEN)$/.test(each.name),
  );
  return new Set(plain.map(({ name }) => name));
}

describe('what a new shell exports is what the doctor says, and --fix takes out what was found and nothing else', () => {
  test.each(corpus)('$kind $name', async ({ kind, name, text }) => {
    using home = homeWith(kind, text);
    const before = ask(kind, home);
    expectTold(home, before.exported);
    const wanted = plainKeys(home);
    const gone = await repaired(home);
    expect([...wanted].filter((variable) => !gone.has(variable) && !/used|gateway|proxy/.test(name))).toEqual([]);
    const after = ask(kind, home);
    expectNoKeyElsewhere(before.exported, after.exported);
    expectSame(before, after, gone);
    expectReadable(kind, home.path(FILES[kind]), text);
    if (gone.size === 0) expect(readFileSync(home.path(FILES[kind]), 'utf8')).toBe(text);
  });
});

describe('every remedy, followed to the letter, leaves a file that the shell reads, and other variables as they were', () => {
  test.each(corpus)('$kind $name', async ({ kind, text }) => {
    using home = homeWith(kind, text);
    const { out } = await doctor(home, '--json');
    const findings: { id: string; remedy: string; title: string }[] = JSON.parse(out).findings;
    for (const { id, title, remedy } of findings.filter(
      (each) => each.id.startsWith('profile-') && each.id !== 'profile-holds-key',
    )) {
      using each = homeWith(kind, text);
      const before = ask(kind, each);
      const isFollowed = followRemedy(remedy.replaceAll(home.root, each.root));
      const variable = /sets (\w+)/.exec(title)?.[1] ?? '';
      expect(isFollowed, `${id}: ${remedy}`).toBe(true);
      expectReadable(kind, each.path(FILES[kind]), text);
      const after = ask(kind, each);
      expectNoKeyElsewhere(before.exported, after.exported);
      // What uses the variable has to change with it.
      for (const asked of [before, after]) {
        for (const name of [
          '_',
          variable,
          ...[...remedy.matchAll(/ANTHROPIC_\w+_URL|ANTHROPIC_BASE_URL/g)].map(([url]) => url),
          'LITELLM_KEY',
          'AIDER',
          'AIDER_KEY',
          'FOUND_KEY',
        ])
          asked.exported.delete(name);
      }
      expect(after.exported).toEqual(before.exported);
    }
  });
});

test('fragments of profiles in any order: what is not the variable stays', async () => {
  const fragments = THERE.map((kind) => ({
    kind,
    texts: corpus.filter((each) => each.kind === kind && !/returns|early/.test(each.name)).map(({ text }) => text),
  }));
  const profile = fc
    .constantFrom(...fragments)
    .chain(({ kind, texts }) =>
      fc.shuffledSubarray(texts, { minLength: 2, maxLength: 4 }).map((chosen) => ({ kind, text: chosen.join('\n') })),
    );
  await fc.assert(
    fc.asyncProperty(profile, async ({ kind, text }) => {
      using home = homeWith(kind, text);
      const before = ask(kind, home);
      expectTold(home, before.exported);
      const gone = await repaired(home);
      const after = ask(kind, home);
      expectSame(before, after, gone);
      expectReadable(kind, home.path(FILES[kind]), text);
    }),
    { numRuns: 12 },
  );
});
