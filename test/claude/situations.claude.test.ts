import { describe } from 'vitest';
import { SHELL_SITUATIONS } from './situations/shells.ts';
import { solve } from './situations/solve.ts';

/** One for each shell; npm run doctor:situations has them all. */
const SAMPLE = ['a key in .zshrc', 'what a router asked for', 'fish asks the keychain'];

describe.concurrent('a public situation: the client works again once the remedy was followed to the letter', (it) => {
  for (const situation of SHELL_SITUATIONS.filter(({ name }) => SAMPLE.some((start) => name.startsWith(start)))) {
    it(situation.name, async ({ expect }) => {
      const { left, client } = await solve(situation, process.env['BROKER_TEST_CLAUDE'] ?? '');
      expect({ left, before: client?.before, after: client?.after }, client?.words).toEqual({
        left: [],
        before: false,
        after: true,
      });
    });
  }
});
