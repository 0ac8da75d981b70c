import { describe, expect, test } from 'vitest';
import { findAssignments } from '../../../src/claude/shell/profiles.ts';

const KEY = 'ANTHROPIC_API_KEY';

describe('sh, bash, zsh', () => {
  test.each<[string, string, string | undefined, number]>([
    ['export ANTHROPIC_API_KEY=k', 'set', 'k', 1],
    ['\n\n  export ANTHROPIC_API_KEY="a b" # old', 'set', 'a b', 3],
    ["export ANTHROPIC_API_KEY='$x'", 'set', '$x', 1],
    ['export ANTHROPIC_API_KEY="$(pass show key)"', 'set', undefined, 1],
    ['export ANTHROPIC_API_KEY=`cat f`', 'set', undefined, 1],
    ['export ANTHROPIC_API_KEY=$OTHER', 'set', undefined, 1],
    ['ANTHROPIC_API_KEY=k', 'local', 'k', 1],
    ['ANTHROPIC_API_KEY=k\nexport ANTHROPIC_API_KEY', 'set', 'k', 1],
    ['export ANTHROPIC_API_KEY\nANTHROPIC_API_KEY=k', 'set', 'k', 2],
    ['set -a\nANTHROPIC_API_KEY=k', 'set', 'k', 2],
    ['typeset -gx ANTHROPIC_API_KEY=k', 'set', 'k', 1],
    ['if [ -n "$SSH_TTY" ]; then export ANTHROPIC_API_KEY=k; fi', 'set', 'k', 1],
    ['export A=1 ANTHROPIC_API_KEY=k', 'set', 'k', 1],
    ['export A=1 \\\n  ANTHROPIC_API_KEY=k', 'set', 'k', 1],
    ['cc() { ANTHROPIC_API_KEY=k claude "$@"; }', 'command', 'k', 1],
    ["alias cc='ANTHROPIC_API_KEY=k claude'", 'command', 'k', 1],
    ['env ANTHROPIC_API_KEY=k claude', 'command', 'k', 1],
    ['unset ANTHROPIC_API_KEY', 'unset', undefined, 1],
    ['A="over\nlines"\nexport ANTHROPIC_API_KEY=k', 'set', 'k', 3],
    ['cat <<EOF\nexport ANTHROPIC_API_KEY=no\nEOF\nexport ANTHROPIC_API_KEY=k', 'set', 'k', 4],
  ])('%j', (text, effect, value, line) => {
    expect(findAssignments(text, 'sh')).toEqual([expect.objectContaining({ name: KEY, effect, value, line })]);
  });

  test.each([
    '# export ANTHROPIC_API_KEY=k',
    'echo export ANTHROPIC_API_KEY=k',
    'export MY_ANTHROPIC_API_KEY=k',
    'echo "export ANTHROPIC_API_KEY=k"',
    "cat <<'X'\nexport ANTHROPIC_API_KEY=k\nX",
    'ANTHROPIC_API_KEY',
  ])('finds nothing in %j', (text) => {
    expect(findAssignments(text, 'sh')).toEqual([]);
  });

  test('knows whether its lines hold anything else', () => {
    const alone = findAssignments('export ANTHROPIC_API_KEY=k\n', 'sh')[0]?.alone;
    const shared = findAssignments('true; export ANTHROPIC_API_KEY=k\n', 'sh')[0]?.alone;
    expect([alone, shared]).toEqual([true, false]);
  });
});

test.each<[string, string, string | undefined]>([
  ['set -gx ANTHROPIC_API_KEY k', 'set', 'k'],
  ['set --export ANTHROPIC_API_KEY "k"', 'set', 'k'],
  ['set -Ux ANTHROPIC_API_KEY (pass key)', 'set', undefined],
  ['set ANTHROPIC_API_KEY k', 'local', 'k'],
  ['set -e ANTHROPIC_API_KEY', 'unset', undefined],
  ['export ANTHROPIC_API_KEY=k', 'set', 'k'],
])('fish: %s', (text, effect, value) => {
  expect(findAssignments(text, 'fish')).toEqual([expect.objectContaining({ effect, value })]);
});

test.each([
  ['ANTHROPIC_API_KEY=k', 'environment'],
  ['export ANTHROPIC_API_KEY="k"\r', 'environment'],
  ['SETUVAR --export ANTHROPIC_API_KEY:k', 'fish-universal'],
] as const)('%s', (text, syntax) => {
  expect(findAssignments(text, syntax)).toEqual([expect.objectContaining({ value: 'k', effect: 'set' })]);
});
