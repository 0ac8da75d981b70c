import { createHash } from 'node:crypto';
import path from 'node:path';
import type { MacTools } from './mac-tools.ts';
import { statQuietly } from './read-quietly.ts';
import { clientFolder } from './settings-locations.ts';

/** A subscription or Console login that the client keeps. */
export interface KeptLogin {
  /** Where it lies: a file, or an item of the macOS Keychain. */
  readonly file: string;
  readonly present: boolean;
  /** The keychain could not be asked, so that there may be one all the same. */
  readonly unknown: boolean;
}

export interface LoginSurroundings {
  readonly homeDir: string;
  readonly projectDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  /** `.claude.json`, and whether a Console login left its key there. */
  readonly stateFile: string;
  readonly stateHoldsKey: boolean;
}

export function credentialsFile(around: Pick<LoginSurroundings, 'homeDir' | 'projectDir' | 'env'>): string {
  return path.join(clientFolder(around), '.credentials.json');
}

export function findLogin(around: LoginSurroundings, tools: MacTools): KeptLogin {
  const file = credentialsFile(around);
  if (statQuietly(file)?.isFile() === true) return { file, present: true, unknown: false };
  if (around.stateHoldsKey) return { file: around.stateFile, present: true, unknown: false };
  if (around.platform !== 'darwin') return { file, present: false, unknown: false };
  const items = ['Claude Code-credentials', 'Claude Code'].map((name) => name + keychainSuffix(around));
  const found = items.map((item) => tools.hasKeychainItem(item, accountOf(around.env)));
  const at = Math.max(0, found.indexOf(true));
  return {
    file: `the macOS Keychain, item "${items[at]}"`,
    present: found.includes(true),
    unknown: !found.includes(true) && found.includes(undefined),
  };
}

/** Each configuration folder has a login of its own (read in 2.1.330): the usual one bare, others by a digest. */
function keychainSuffix(around: LoginSurroundings): string {
  if (!around.env['CLAUDE_CONFIG_DIR']) return '';
  return `-${createHash('sha256').update(clientFolder(around).normalize('NFC')).digest('hex').slice(0, 8)}`;
}

function accountOf(env: LoginSurroundings['env']): string {
  const user = env['USER'] ?? '';
  return /^[\w.-]+$/.test(user) ? user : 'claude-code-user';
}
