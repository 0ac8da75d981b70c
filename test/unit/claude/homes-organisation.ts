import { H, type Home, helper, MANAGED, OURS, USER } from './homes.ts';

const DROP_INS = 'system/etc/claude-code/managed-settings.d';
const SERVED = '.claude/remote-settings.json';
const ours = helper(OURS);
const other = helper('{HOME}/bin/broker-key other');

/** Settings of an organization, as version 2.1.330 was seen to take them on Linux. */
export const ORGANISATION_HOMES: readonly Home[] = [
  {
    name: 'drop-ins: the last name wins, in the order of bytes',
    files: { [MANAGED]: other, [`${DROP_INS}/B.json`]: other, [`${DROP_INS}/a.json`]: ours },
    wins: H,
    finds: [],
    notes: ['helper-shadowed'],
  },
  {
    name: 'drop-ins: without a base file, hidden and other names left out',
    files: { [`${DROP_INS}/10.json`]: ours, [`${DROP_INS}/.99.json`]: other, [`${DROP_INS}/99.conf`]: other },
    wins: H,
    finds: [],
  },
  {
    name: 'drop-ins: capital letters are no ending of theirs',
    files: { [`${DROP_INS}/10.json`]: ours, [`${DROP_INS}/99.JSON`]: other },
    wins: H,
    finds: [],
  },
  {
    name: 'a managed helper that is no text is left out, and the rest counts',
    files: { [MANAGED]: ours, [`${DROP_INS}/30.json`]: '{"apiKeyHelper": 5, "env": {"A": "1"}}' },
    wins: H,
    finds: ['settings-entry-ignored'],
  },
  {
    name: 'a broken drop-in',
    files: { [MANAGED]: ours, [`${DROP_INS}/30.json`]: '{broken' },
    wins: ['helper', null, null],
    finds: ['settings-broken'],
  },
  {
    name: 'an empty managed helper hides the own one',
    files: { [MANAGED]: helper(''), [USER]: ours },
    wins: [null, null, null],
    finds: ['helper-shadowed', 'no-method'],
  },
  {
    name: 'settings from the server that name a helper',
    files: { [SERVED]: other, [USER]: ours },
    wins: H,
    finds: ['server-managed-settings'],
  },
  {
    name: 'settings from the server that have nothing to do with the login',
    files: { [SERVED]: '{"permissions": {}}', [USER]: ours },
    wins: H,
    finds: [],
    notes: ['server-managed-settings'],
  },
  { name: 'no settings from the server', files: { [SERVED]: '{}', [USER]: ours }, wins: H, finds: [] },
  {
    name: 'a program that prints the managed settings',
    files: { [MANAGED]: '{"policyHelper": {"path": "/opt/policy"}}', [USER]: ours },
    wins: H,
    finds: [],
    notes: ['policy-helper'],
  },
  {
    name: 'a policy helper of the user counts for nothing',
    files: { [USER]: helper(OURS, { policyHelper: { path: '/opt/policy' } }) },
    wins: H,
    finds: [],
  },
];
