import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { parse, stringify } from 'smol-toml';
import { getStaticTOMLValue, parseTOML } from 'toml-eslint-parser';
import { describe, expect, it } from 'vitest';
import { type KeyPath, TomlPositions } from '../../src/config/positions.ts';
import { readToml, tomlValue } from '../../src/config/toml.ts';
import { isTable } from '../../src/config/walk.ts';

/** smol-toml says what a text means, toml-eslint-parser where it says so: they have to read the same text. */
const ROOT = join(import.meta.dirname, '..', '..');

const blocks = globSync(['README.md', 'docs/**/*.md'], { cwd: ROOT }).flatMap((page) =>
  [...readFileSync(join(ROOT, page), 'utf8').matchAll(/^```toml\n([\s\S]*?)^```$/gm)].map(
    ([, block = ''], at) => [`${basename(page)} ${at + 1}`, block] as const,
  ),
);

const SAMPLES = {
  'every kind of string': `a = "x\\t\\u00e9\\U0001F600 \\e\\x41"\nb = 'C:\\x'\nc = """\nfirst \\\n   second\n"" x"""\nd = '''\n''x'''\n`,
  'every kind of number': 'a = 1_000\nb = 0xDEAD_beef\nc = 0o17\nd = 0b101\ne = 6.5e-3\nf = -inf\ng = nan\nh = +7\n',
  'every kind of date': 'a = 2024-01-02T03:04:05Z\nb = 2024-01-02 03:04:05.5+02:00\nc = 2024-01-02T03:04\n',
  'every kind of key': 'a.b."c d".\'e\' = 1\n"" = 2\n-_9 = 3\n["x.y".z]\nk = 1\n[x . y]\nk = 2\n',
  'tables in arrays': '[[a]]\nx = 1\n[a.b]\ny = 2\n[[a]]\nx = 3\n[[a.c]]\n[[a.c]]\nz = [{ p = 1 }, { p = [2, 3] }]\n',
  'braces over several lines':
    'auth = {\n  method = "token", # why\n  deep = { a.b = 1 },\n}\nlist = [\n  1,\n  2, # two\n]\n',
  'a byte order mark, CRLF and comments': '\uFEFF# x\r\na = 1 # y\r\n[t] # z\r\nb = """\r\nc\r\n"""\r\n',
};

const string = fc.string({ unit: 'grapheme', maxLength: 12 });
const scalar = fc.oneof(
  string,
  fc.boolean(),
  fc.integer(),
  // A larger whole number would be written like an integer that no number holds exactly.
  fc.double({ noNaN: true, min: -1e15, max: 1e15 }).map((value) => (Object.is(value, -0) ? 0 : value)),
);
const key = fc
  .oneof(fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/), string)
  .filter((name) => !/^(?:__proto__|constructor)$/.test(name));
const { table } = fc.letrec((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, scalar, fc.array(tie('value'), { maxLength: 4 }), tie('table')),
  table: fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: true }),
}));

const same = (text: string) => {
  const values = parse(text);
  expect(plain(getStaticTOMLValue(parseTOML(text.replace(/^\uFEFF/, ' '))))).toEqual(plain(values));
  return values;
};

/**
 * Without prototypes; of dates only that they are dates, as each parser has a class of its own for them; line ends in
 * multi-line texts as LF, which TOML leaves to the parser.
 */
function plain(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('\r\n', '\n');
  if (value instanceof Date) return Date;
  if (Array.isArray(value)) return value.map(plain);
  if (!isTable(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
}

function* leaves(value: unknown, path: KeyPath): Generator<readonly [KeyPath, unknown]> {
  if (isTable(value)) for (const [name, inner] of Object.entries(value)) yield* leaves(inner, [...path, name]);
  // An array of tables may be as many headers, which have no value to replace.
  else if (!Array.isArray(value) || !value.some(isTable)) yield [path, value];
  if (Array.isArray(value)) for (const [at, inner] of value.entries()) yield* leaves(inner, [...path, at]);
}

/** The text at the place of every value says that very value, on the line that is given for its key. */
async function placed(text: string): Promise<void> {
  const positions = await TomlPositions.of(text);
  const lines = text.split('\n');
  for (const [path, value] of leaves(parse(text), [])) {
    const span = positions.valueSpan(path);
    expect(span, path.join()).toBeDefined();
    expect(plain(parse(`x = ${text.slice(...(span ?? []))}`)['x'])).toEqual(plain(value));
    const line = positions.lineOf(path) ?? 0;
    expect(lines[line - 1], path.join()).toBeDefined();
    expect(positions.lineNear([...path, 'more'])).toBe(line);
  }
}

describe('both TOML parsers', () => {
  it.each(Object.entries(SAMPLES))('read the same values and places in %s', async (_, text) => {
    same(text);
    await placed(text);
  });

  it.each(blocks)('read the same values and places in %s', async (_, text) => {
    const { sound, root, broken } = readToml(text);
    expect(broken).toEqual([]);
    expect(same(sound)).toEqual(root);
    await placed(sound);
  });

  it('read the same in whatever can be written', async () => {
    await fc.assert(
      fc.asyncProperty(table, fc.boolean(), async (value, inOneLine) => {
        const root = value as Record<string, unknown>;
        const text = inOneLine ? `x = ${tomlValue(root)}\n` : stringify(root);
        same(text);
        await placed(text);
      }),
    );
  });
});

it('what cannot be seen is written as an escape, in names and in texts', () => {
  const odd = 'a\x7f\x9b\u202e\u200b\u2028\u{e0001}é😀';
  const text = tomlValue({ [odd]: odd });
  expect(text).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}]/u);
  expect(text).toContain('é😀');
  expect(parse(`x = ${text}`)).toEqual({ x: { [odd]: odd } });
});

it('a value can be replaced in its place, and nothing else changes', async () => {
  const text = '# mine\n[a]\nb = { c = "old", d = 1 } # why\n';
  const [start, end] = (await TomlPositions.of(text)).valueSpan(['a', 'b', 'c']) ?? [0, 0];
  expect(`${text.slice(0, start)}${tomlValue('new')}${text.slice(end)}`).toBe(text.replace('old', 'new'));
});

it('a text that is not TOML has no places', async () => {
  const positions = await TomlPositions.of('a = [');
  expect([positions.lineOf(['a']), positions.lineNear(['a', 'b']), positions.tableAt(3)]).toEqual([
    undefined,
    undefined,
    [],
  ]);
});
