import { expect, it } from 'vitest';
import { CLAUDE_CODE, type ClientSurroundings } from '../../../src/platform/known-clients.ts';

const around: ClientSurroundings = {
  cwd: '/srv/project',
  homeDir: '/home/ada',
  env: {},
  argv: ['claude'],
  platform: 'linux',
};
const files = (change: Partial<ClientSurroundings>) => CLAUDE_CODE.settingsFiles?.({ ...around, ...change });

const MANAGED = ['/etc/claude-code/managed-settings.json', '/etc/claude-code/managed-settings.d'];
const PROJECT = ['/srv/project/.claude/settings.json', '/srv/project/.claude/settings.local.json'];

it('a client depends on the settings of its user, its project, this machine and its command line', () => {
  expect(files({})).toEqual(['/home/ada/.claude/settings.json', ...MANAGED, ...PROJECT]);
  expect(files({ env: { CLAUDE_CONFIG_DIR: '/etc/ada' } })?.[0]).toBe('/etc/ada/settings.json');
  expect(files({ argv: ['claude', '--settings', 'more.json'] })?.at(-1)).toBe('/srv/project/more.json');
  expect(files({ argv: ['claude', '--settings=/etc/more.json'] })?.at(-1)).toBe('/etc/more.json');
});

it('settings in the command line itself are no file, nor is an option without a value', () => {
  for (const argv of [
    ['claude', '--settings', '{"a":1}'],
    ['claude', '--settings'],
    ['claude', '--settings='],
  ]) {
    expect(files({ argv })).toEqual(files({}));
  }
});

it('where the folder of a client is hidden, what is left is its user’s and this machine’s', () => {
  expect(files({ cwd: undefined })).toEqual(['/home/ada/.claude/settings.json', ...MANAGED]);
});
