import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editToml, rootOf } from '../../../src/config/toml-edit.ts';

const FILE = `# of a person
default = "main" # the usual one

[providers.vault] # ours
  type = "vault"
  address = 'https://one.example.com'   # the old one

[providers.vault.auth]
method = "approle"
role_id = "abc"

# what is asked for
[credentials.main]
provider = "vault"
path = "secret/data/one"
# ttl = "15m"
`;

describe('editing TOML', () => {
  it('a value changes in its place, and nothing else', async () => {
    const edits = [{ path: ['providers', 'vault', 'address'], value: 'https://two.example.com' }];
    expect(editToml(FILE, edits)).toBe(FILE.replace("'https://one.example.com'", '"https://two.example.com"'));
  });

  it('a new key goes behind the last one of its table, or first, as it is asked for', async () => {
    const last = editToml(FILE, [{ path: ['credentials', 'main', 'field'], value: 'key' }]);
    expect(last).toBe(FILE.replace('secret/data/one"\n', 'secret/data/one"\nfield = "key"\n'));
    const first = editToml(FILE, [{ path: ['credentials', 'main', 'allow'], value: ['x'], first: true }]);
    expect(first).toBe(FILE.replace('[credentials.main]\n', '[credentials.main]\nallow = ["x"]\n'));
    const indented = editToml(FILE, [{ path: ['providers', 'vault', 'namespace'], value: 'a' }]);
    expect(indented).toContain('# the old one\n  namespace = "a"\n\n[providers.vault.auth]');
  });

  it('a key goes with its line, and another takes its place', async () => {
    const edits = [
      { path: ['providers', 'vault', 'auth', 'role_id'], value: undefined },
      { path: ['providers', 'vault', 'auth', 'method'], value: 'token' },
      { path: ['providers', 'vault', 'auth', 'token_file'], value: '~/t' },
    ];
    const expected = FILE.replace('method = "approle"\nrole_id = "abc"\n', 'method = "token"\ntoken_file = "~/t"\n');
    expect(editToml(FILE, edits)).toBe(expected);
  });

  it.each([
    ['inline tables', 'p = { a = 1, b = 2 }\n', ['p', 'a'], undefined, 'p = { b = 2 }\n'],
    ['the last of an inline table', 'p = { a = 1, b = 2 }\n', ['p', 'b'], undefined, 'p = { a = 1 }\n'],
    ['a new one in an inline table', 'p = { a = 1 } # x\n', ['p', 'c'], 3, 'p = { a = 1, c = 3 } # x\n'],
    ['an empty inline table', 'p = {}\n', ['p', 'c'], 3, 'p = { c = 3 }\n'],
    ['dotted keys', 'p.v.a = 1\n\n[q]\nz = 1\n', ['p', 'v', 'b'], 2, 'p.v.a = 1\np.v.b = 2\n\n[q]\nz = 1\n'],
    ['dotted keys in a table', '[p]\nv.a = 1\n', ['p', 'v', 'b'], 2, '[p]\nv.a = 1\nv.b = 2\n'],
    ['a header without keys', '[p.v]\n[q]\n', ['p', 'v', 'b'], 2, '[p.v]\nb = 2\n[q]\n'],
    ['no line end', '[p]\na = 1', ['p', 'b'], 2, '[p]\na = 1\nb = 2\n'],
    ['CRLF', '[p]\r\na = 1\r\n', ['p', 'b'], 2, '[p]\r\na = 1\r\nb = 2\r\n'],
    ['a byte order mark', '\uFEFF[p]\na = 1\n', ['d'], 'x', '\uFEFFd = "x"\n[p]\na = 1\n'],
    ['a quoted name', '[p."a.b"]\nx = 1\n', ['p', 'a.b', 'y'], 2, '[p."a.b"]\nx = 1\ny = 2\n'],
    ['a header with a comment', '[p] # ] \n', ['p', 'y'], 2, '[p] # ] \ny = 2\n'],
    ['a value over several lines', '[p]\na = [\n 1,\n 2, # two\n]\nb = 3\n', ['p', 'a'], undefined, '[p]\nb = 3\n'],
  ])('%s', async (_, text, path, value, expected) => {
    expect(editToml(text, [{ path, value }])).toBe(expected);
  });

  it('what is not valid, and what would say something else, is not edited', async () => {
    expect(editToml('a = [\n', [{ path: ['b'], value: 1 }])).toBeUndefined();
    expect(editToml('a = 1\n', [{ path: ['a', 'b'], value: 1 }])).toBeUndefined();
  });

  it('whatever the file: it says what it said, and the edit', async () => {
    const name = fc.constantFrom('a', 'b', 'x-y', 'c d');
    const path = fc.array(name, { minLength: 1, maxLength: 3 });
    const value = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.string(), { maxLength: 2 }));
    const edit = fc.record({ path, value: fc.option(value, { nil: undefined }) });
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { maxLength: 6 }), async (edits) => {
        let text = FILE;
        for (const each of edits) {
          const next = editToml(text, [each]);
          if (next === undefined) continue;
          expect(rootOf(next)).toBeDefined();
          for (const comment of ['# of a person', '# what is asked for', '# ttl']) expect(next).toContain(comment);
          text = next;
        }
      }),
      { numRuns: 60 },
    );
  });
});
