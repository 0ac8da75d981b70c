import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fishPlacesIn } from '../../src/claude/shell/fish-places.ts';
import { parseFish } from '../../src/claude/shell/fish-script.ts';
import { placesIn } from '../../src/claude/shell/places.ts';
import { parseScript } from '../../src/claude/shell/script.ts';
import { TemporaryHome } from '../unit/claude/home.ts';
import { runDoctor } from '../unit/claude/run-doctor.ts';

/** Long enough to be told apart from chance; every place that may hold a secret holds one of these. */
const SECRET = /S3CR3T[0-9a-z]{20}/;
const secret = fc.stringMatching(/^[0-9a-z]{20}$/).map((tail) => `S3CR3T${tail}`);
const key = fc
  .tuple(fc.constantFrom('', 'sk-ant-api03-', 'Bearer ', '"', 'eyJ.'), secret)
  .map((parts) => parts.join(''));

const FILES = [
  '.claude/settings.json',
  'project/.claude/settings.json',
  'project/.claude/settings.local.json',
  'system/etc/claude-code/managed-settings.json',
  'system/etc/claude-code/managed-settings.d/10.json',
  '.claude/remote-settings.json',
  'system/etc/environment',
  '.claude.json',
  '.claude/.credentials.json',
  '.zshrc',
  '.bashrc',
  '.profile',
  '.config/fish/config.fish',
  '.config/fish/fish_variables',
  '.config/environment.d/a.conf',
] as const;

const VARIABLES = [
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_AUTH_TOKEN',
  'CLAUDE_CODE_OAUTH_TOKEN',
  'ANTHROPIC_CUSTOM_HEADERS',
  'AWS_BEARER_TOKEN_BEDROCK',
] as const;

const settings = fc
  .record({
    helper: fc.oneof(
      key.map((value) => `echo ${value}`),
      key.map((value) => `K=${value} /bin/true`),
      key,
      key.map((value) => `/bin/sh -c 'printf %s ${value}'`),
      fc.anything(),
    ),
    env: fc.dictionary(
      fc.constantFrom(...VARIABLES, 'ANTHROPIC_BASE_URL', 'CLAUDE_CODE_API_KEY_HELPER_TTL_MS'),
      fc.oneof(key, fc.anything()),
    ),
    url: key.map((value) => `https://user:${value}@gw.example.com/v1?k=${value}`),
  })
  .map(({ helper, env, url }) => JSON.stringify({ apiKeyHelper: helper, env: { ANTHROPIC_BASE_URL: url, ...env } }));

const profile = fc
  .array(
    fc.tuple(
      fc.constantFrom('export ', 'set -gx ', '', 'SETUVAR --export ', 'alias x='),
      fc.constantFrom(...VARIABLES),
      fc.constantFrom('=', ' ', ':', '="', "='"),
      key,
    ),
  )
  .map((lines) => lines.map((parts) => parts.join('')).join('\n'));

const content = fc.oneof(
  settings,
  profile,
  fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
  fc.tuple(settings, fc.nat(400)).map(([text, at]) => text.slice(0, at)),
  fc.constant('['.repeat(100_000)),
  fc.constant('{"a":'.repeat(20_000)),
  fc.constant(Buffer.alloc(5 * 1024 * 1024, 'export A=1\n')),
);

const entry = fc.oneof(
  { weight: 8, arbitrary: content.map((text) => ({ kind: 'file' as const, text })) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      { kind: 'loop' as const },
      { kind: 'folder' as const },
      { kind: 'fifo' as const },
      { kind: 'closed' as const },
    ),
  },
);

test('doctor never throws, never hangs and never prints a secret, whatever lies about', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(fc.constantFrom(...FILES), entry, { maxKeys: 5 }),
      fc.dictionary(fc.constantFrom(...VARIABLES, 'ANTHROPIC_BASE_URL', 'CLAUDE_CODE_USE_VERTEX'), key),
      fc.dictionary(
        fc.constantFrom('CLAUDE_CONFIG_DIR', 'ZDOTDIR', 'PATH'),
        fc.constantFrom('x', '/', '..', '/dev/null', ''),
      ),
      fc.boolean(),
      async (files, secrets, paths, json) => {
        using home = new TemporaryHome();
        mkdirSync(home.path('project'));
        for (const [name, made] of Object.entries(files)) place(home, name, made);
        const flags = ['--no-run-helper', json ? '--json' : '--fix'];
        const io = await runDoctor(home, flags, { ...secrets, ...paths });
        expect([0, 1, 2]).toContain(io.exitCode);
        expect(io.out).not.toBe('');
        expect(io.out + io.err).not.toMatch(SECRET);
      },
    ),
    { numRuns: 150 },
  );
});

test('the profile reader takes any text, in time that grows with its length', () => {
  const read = (text: string) => {
    for (const dialect of ['bash', 'zsh'] as const) placesIn('f', parseScript(text, dialect));
    fishPlacesIn('f', parseFish(text));
  };
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), read));
  const words = [
    'if ',
    'then ',
    'fi',
    'for x ',
    'do ',
    'done',
    'case ',
    'in ',
    'esac',
    'end',
    'export A=1',
    '<<A',
    '$(',
    '((',
  ];
  const piece = fc.constantFrom(...'\n;|&(){}<>"\'`$\\# =*[]!', ...words);
  const pieces = fc.array(piece, { maxLength: 80 }).map((each) => each.join(''));
  fc.assert(fc.property(pieces, read), { numRuns: 400 });
  for (const hard of [
    '"',
    '`',
    '\\\n',
    '<<A\n',
    '$(',
    '"$(',
    '((',
    'x(',
    'for x (',
    "alias a='",
    ';',
    '{ ',
    '>a ',
    'if ',
    'begin;',
    'ANTHROPIC_API_KEY=1\nexport ANTHROPIC_API_KEY\n',
  ]) {
    read(hard.repeat(20_000));
  }
});

function place(home: TemporaryHome, name: string, made: { kind: string; text?: string | Buffer }): void {
  const file = home.path(name);
  if (made.kind === 'file') home.write(name, made.text ?? '');
  else {
    mkdirSync(path.dirname(file), { recursive: true });
    if (made.kind === 'loop') symlinkSync(path.basename(file), file);
    if (made.kind === 'folder') mkdirSync(file);
    if (made.kind === 'fifo') execFileSync('mkfifo', [file]);
    if (made.kind === 'closed') chmodSync(home.write(name, 'x'), 0);
  }
}
