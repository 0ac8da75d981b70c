import { describe, expect, test } from 'vitest';
import { credentialOf, describeCommand, runsBrokerHelper } from '../../../src/claude/shell/helper-command.ts';

describe('a line of ours', () => {
  test.each<[string, string | undefined]>([
    ['broker-key', undefined],
    ['/opt/bin/broker-key anthropic', 'anthropic'],
    ["'/it is here/broker-key' --format headers work", 'work'],
    ['/opt/it\\ is/broker-key "work"', 'work'],
    ['broker get', undefined],
    ['/usr/bin/broker get --wait work', 'work'],
    ['/opt/bin/broker-key work || exit', 'work'],
  ])('%j asks for %j', (command, credential) => {
    expect(runsBrokerHelper(command)).toBe(true);
    expect(credentialOf(command)).toBe(credential);
    expect(describeCommand(command)).toBe(command);
  });
});

describe('not a line of ours, whatever else it runs:', () => {
  test.each([
    ['broker status', 'broker (and 1 more word)'],
    ['broker-key; echo SECRET', 'broker-key …'],
    ['broker-key || exit SECRET', 'broker-key …'],
    ['broker-key | cat SECRET || exit', 'broker-key …'],
    ['broker-key | sed s/x/SECRET/', 'broker-key …'],
    ['broker-key > SECRET', 'broker-key …'],
    ['broker-key $(echo SECRET)', 'broker-key …'],
    ['broker-key "$SECRET"', 'broker-key …'],
    ['broker-key SECRET*', 'broker-key …'],
    ['broker-key "SECRET', 'broker-key …'],
    ['broker-key # SECRET', 'broker-key …'],
    ['broker-key\nSECRET', 'broker-key …'],
    ['KEY=SECRET broker-key', 'broker-key …'],
    ['`which broker-key` SECRET', '(a command)'],
    ['sk-ant-SECRET', '(a command)'],
    ['"$HOME/bin/x y" SECRET SECRET', '$HOME/bin/x y …'],
    ['/opt/x SECRET SECRET', '/opt/x (and 2 more words)'],
    ['', '(a command)'],
  ])('%j is shown as %j', (command, shown) => {
    expect(runsBrokerHelper(command)).toBe(false);
    expect(describeCommand(command)).toBe(shown);
  });
});
