import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const root = new URL('../../../', import.meta.url);
const read = (name: string) => readFileSync(new URL(name, root), 'utf8');

test('docs/doctor.md has an entry for every finding, and none for what there is not', () => {
  const documented = [...read('docs/doctor.md').matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, id]) => id);
  const files = readdirSync(new URL('src/claude/checks/', root));
  const sources = files.map((name) => read(`src/claude/checks/${name}`)).join('\n');
  const ids = [...sources.matchAll(/\bid:([^\n]*)|\badd\(\s*'([a-z-]+)'/g)].flatMap(([, given, added]) =>
    added === undefined ? [...(given ?? '').matchAll(/'([a-z]+(?:-[a-z]+)+)'/g)].map(([, id]) => id) : [added],
  );
  expect([...new Set(ids)].sort()).toEqual(documented.sort());
});
