import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { formatPlist, launchAgent } from '../../../src/service/launchd.ts';
import { complaints } from './launchd-plist-keys.ts';

const SHOWN = path.resolve(import.meta.dirname, '..', '..', '..', 'launchd', 'dev.apikey-broker.plist');
const EXAMPLE = launchAgent({
  command: [
    '/usr/local/bin/node',
    '--disable-sigusr1',
    '/usr/local/lib/node_modules/apikey-broker/bin/broker.mjs',
    'daemon',
  ],
  env: { BROKER_STATE_DIR: '/Users/you/.local/state/broker', PATH: '/usr/local/bin:/usr/bin:/bin' },
  logFile: '/Users/you/Library/Logs/dev.apikey-broker.log',
});

const hasPython = spawnSync('python3', ['-c', 'import plistlib']).status === 0;
if (!hasPython) console.warn('skipped: there is no python3 here');

function parsed(plist: string): unknown {
  const script = 'import json, plistlib, sys; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))';
  const { stdout, stderr } = spawnSync('python3', ['-c', script], { input: plist, encoding: 'utf8' });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
}

test.skipIf(!hasPython)('is a property list that says what it is meant to say', () => {
  const agent = launchAgent({ command: ['/a & b/<node>', 'daemon'], env: { 'A&B': '"x" > \'y\'' }, logFile: '/l ö g' });
  expect(parsed(formatPlist(agent))).toEqual(agent);
});

test.skipIf(!hasPython)('has nothing but keys of launchd.plist(5), of their types', () => {
  expect(complaints(parsed(readFileSync(SHOWN, 'utf8')))).toEqual([]);
});

test.each([
  [{ Lable: 'x' }, 'Lable: no key of launchd.plist(5)'],
  [{ RunAtLoad: 'yes' }, 'RunAtLoad: not a boolean'],
  [{ ThrottleInterval: 1.5 }, 'ThrottleInterval: not an integer'],
  [{ ProgramArguments: ['a', 1] }, 'ProgramArguments: not an array of strings'],
  [{ EnvironmentVariables: { A: 1 } }, 'EnvironmentVariables: not a dictionary of strings'],
  [{ KeepAlive: { Successful: false } }, 'KeepAlive.Successful: no key of launchd.plist(5)'],
  [{ KeepAlive: 'always' }, 'KeepAlive: not a boolean'],
  [{ HardResourceLimits: { Cores: 0 } }, 'HardResourceLimits.Cores: no key of launchd.plist(5)'],
  [{ ProcessType: 'Lazy' }, 'ProcessType: not one of Background, Standard, Adaptive, Interactive'],
])('%j would be complained of', (agent, complaint) => {
  expect(complaints({ Label: 'l', ProgramArguments: ['/p'], ...agent })).toEqual([complaint]);
});

test('the one in launchd/ is what would be generated', () => {
  expect(readFileSync(SHOWN, 'utf8')).toBe(formatPlist(EXAMPLE));
});

test('is started again after a failure, at login, not too often, and leaves no core', () => {
  expect(EXAMPLE).toMatchObject({
    Label: 'dev.apikey-broker',
    RunAtLoad: true,
    KeepAlive: { SuccessfulExit: false },
    ProcessType: 'Interactive',
    HardResourceLimits: { Core: 0 },
    Umask: 63,
  });
  expect(EXAMPLE.ThrottleInterval).toBeGreaterThan(0);
  expect(EXAMPLE.ExitTimeOut).toBeGreaterThan(5);
});
