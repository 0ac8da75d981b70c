import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CHECKS } from '../../../src/claude/checks/all.ts';

test('docs/doctor.md has an entry for every finding, and none for what there is not', () => {
  const text = readFileSync(new URL('../../../docs/doctor.md', import.meta.url), 'utf8');
  const documented = [...text.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, id]) => id);
  const ids = CHECKS.map(({ id }) => id);
  expect(ids.toSorted()).toEqual(documented.toSorted());
});
