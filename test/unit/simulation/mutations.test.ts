import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { MUTATIONS } from '../../simulation/mutations.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');

test.each(MUTATIONS)('what breaks the rule "$rule" is in the sources exactly once', ({ and, ...edit }) => {
  for (const { file, from } of and === undefined ? [edit] : [edit, and]) {
    expect(readFileSync(path.join(ROOT, file), 'utf8').split(from)).toHaveLength(2);
  }
});
