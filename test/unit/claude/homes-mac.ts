import { H, type Home, helper, OURS, USER } from './homes.ts';
import { KEYCHAIN } from './mac-programs.ts';

const MANAGED = 'system/Library/Application Support/ClaudeCode/managed-settings.json';
const DEVICE = 'system/Library/Managed Preferences/com.anthropic.claudecode.plist';
const OWN = 'system/Library/Managed Preferences/ada/com.anthropic.claudecode.plist';

const ours = helper(OURS);
const other = helper('{HOME}/bin/broker-key other');
const mac = { platform: 'darwin', env: { USER: 'ada' } } as const;
const login = ['login', 'login', null] as const;

export const MAC_HOMES: readonly Home[] = [
  { ...mac, name: 'macOS: managed file', files: { [MANAGED]: ours }, wins: H, finds: [] },
  { ...mac, name: 'macOS: a profile for the device', files: { [DEVICE]: ours }, wins: H, finds: [] },
  {
    ...mac,
    name: 'macOS: the profile of the user hides that of the device',
    files: { [OWN]: ours, [DEVICE]: other },
    wins: H,
    finds: ['managed-outranked'],
  },
  {
    ...mac,
    name: 'macOS: a profile leaves managed-settings.json without effect',
    files: { [DEVICE]: ours, [MANAGED]: other },
    wins: H,
    finds: ['managed-outranked'],
  },
  {
    ...mac,
    name: 'macOS: a profile without a helper hides the helper of the managed file',
    files: { [DEVICE]: '{"model": "x"}', [MANAGED]: ours },
    wins: [null, null, null],
    finds: ['managed-outranked', 'no-method'],
  },
  {
    ...mac,
    name: 'macOS: an empty profile hides nothing',
    files: { [DEVICE]: '{}', [MANAGED]: ours },
    wins: H,
    finds: [],
  },
  {
    ...mac,
    name: 'macOS: all sources merged',
    files: { [DEVICE]: '{"managedSourcesBehavior": "merge"}', [MANAGED]: ours },
    wins: H,
    finds: [],
  },
  {
    ...mac,
    name: 'macOS: a profile that is no property list',
    files: { [DEVICE]: '<plist' },
    wins: [null, null, null],
    finds: ['settings-broken'],
  },
  {
    name: 'Linux: what lies where macOS keeps profiles is nothing',
    files: { [DEVICE]: other, [USER]: ours },
    wins: H,
    finds: [],
  },
  {
    ...mac,
    name: 'macOS: a login in the Keychain',
    files: { [KEYCHAIN]: 'Claude Code-credentials\tada\n' },
    wins: login,
    headers: [null, 'login'],
    finds: [],
  },
  {
    ...mac,
    name: 'macOS: a Console login in the Keychain',
    files: { [KEYCHAIN]: 'Claude Code\tada\n' },
    wins: ['console-key', 'console-key', null],
    finds: [],
  },
  {
    ...mac,
    name: 'macOS: a login in the Keychain beside the helper',
    files: { [KEYCHAIN]: 'Claude Code-credentials\tada\n', [USER]: ours },
    wins: H,
    finds: [],
    notes: ['two-methods', 'remote-control-off'],
  },
  {
    ...mac,
    name: "macOS: somebody else's login is not mine",
    files: { [KEYCHAIN]: 'Claude Code-credentials\tbob\n' },
    wins: [null, null, null],
    finds: ['no-method'],
  },
  {
    ...mac,
    name: 'macOS: with CLAUDE_CONFIG_DIR the login is another one',
    env: { USER: 'ada', CLAUDE_CONFIG_DIR: '{HOME}/.claude' },
    files: { [KEYCHAIN]: 'Claude Code-credentials\tada\n' },
    wins: [null, null, null],
    finds: ['no-method'],
  },
  {
    ...mac,
    name: 'macOS: a Keychain that does not say',
    files: { [KEYCHAIN]: 'locked\n', [USER]: ours },
    wins: H,
    finds: [],
    notes: ['keychain-unreadable'],
  },
  {
    name: 'Linux: a Keychain is not looked for',
    env: { USER: 'ada' },
    files: { [KEYCHAIN]: 'Claude Code-credentials\tada\n' },
    wins: [null, null, null],
    finds: ['no-method'],
  },
];
