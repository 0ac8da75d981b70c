import { describe } from 'vitest';
import { compare } from './truth/compare.ts';
import { TRUTH_HOMES } from './truth/homes.ts';
import { observe } from './truth/observe.ts';

/** Within a minute; the whole is `npm run doctor:truth`. */
const SAMPLE = 30;

const program = process.env['BROKER_TEST_CLAUDE'] ?? '';
const version = process.env['BROKER_TEST_CLAUDE_VERSION'] ?? '';
const step = TRUTH_HOMES.length / SAMPLE;
const sample = Array.from({ length: SAMPLE }, (_, index) => TRUTH_HOMES[Math.floor(index * step)]);

describe.concurrent('the doctor says what the client does', (it) => {
  for (const home of sample) {
    if (home === undefined) continue;
    it(home.name, async ({ expect }) => {
      const { differences, words } = await compare(home, await observe(program, home), version);
      expect(differences, words).toEqual([]);
    });
  }
});
