import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { SHELL_SITUATIONS } from '../claude/situations/shells.ts';
import { solve } from '../claude/situations/solve.ts';

const THERE = new Set(['bash', 'zsh', 'fish'].filter((shell) => spawnSync(shell, ['-c', 'exit 0']).status === 0));

test('there are situations enough, each with its source', () => {
  expect(SHELL_SITUATIONS.length).toBeGreaterThanOrEqual(20);
  expect(new Set(SHELL_SITUATIONS.map(({ source }) => source)).size).toBe(SHELL_SITUATIONS.length);
});

describe('the cause is named, and the remedy, followed to the letter, leaves nothing to find', () => {
  for (const situation of SHELL_SITUATIONS) {
    test.runIf(THERE.has(situation.shell))(situation.name, async () => {
      const { cause, remedies, left, exported } = await solve(situation);
      expect(cause).toMatch(situation.says);
      expect({ left, remedies }).toEqual({ left: [], remedies: expect.any(Array) });
      expect(exported).toEqual([]);
    });
  }
});
