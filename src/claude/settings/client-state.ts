import { createHash } from 'node:crypto';
import path from 'node:path';
import { parse } from 'jsonc-parser';
import { readRegularFile, statQuietly } from '../../platform/files.ts';
import { clientFolder } from './files.ts';
import type { MacTools } from './mac-tools.ts';

/** `.claude.json` grows with every project; it has been seen at tens of megabytes. */
const MAX_STATE_BYTES = 64 * 1024 * 1024;

/** What the client itself remembers and this program needs. */
interface ClientState {
  readonly approved: readonly string[];
  readonly rejected: readonly string[];
  readonly trusted: boolean | undefined;
  /** A Console login keeps its key here. */
  readonly holdsKey: boolean;
}

export function readClientState(file: string, projectDir: string): ClientState {
  const found = readRegularFile(file, { maxBytes: MAX_STATE_BYTES });
  const state = found.state === 'read' ? asObject(parseLoosely(found.bytes.toString('utf8'))) : {};
  const answers = asObject(state['customApiKeyResponses']);
  return {
    approved: texts(answers['approved']),
    rejected: texts(answers['rejected']),
    trusted: found.state === 'read' ? trustOf(asObject(state['projects']), projectDir) : undefined,
    holdsKey: typeof state['primaryApiKey'] === 'string' && state['primaryApiKey'] !== '',
  };
}

/** Trust in a folder covers what is in it. */
function trustOf(projects: Record<string, unknown>, projectDir: string): boolean {
  for (let folder = projectDir; ; folder = path.dirname(folder)) {
    if (Object.hasOwn(projects, folder) && asObject(projects[folder])['hasTrustDialogAccepted'] === true) return true;
    if (folder === path.dirname(folder)) return false;
  }
}

/** Deep nesting makes the parser throw; such a file says nothing. */
function parseLoosely(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

/** A subscription or Console login that the client keeps. */
export interface KeptLogin {
  /** Where it is: a file, or an item of the macOS Keychain. */
  readonly file: string;
  readonly present: boolean;
  /** The keychain could not be asked, so that there may be one all the same. */
  readonly unknown: boolean;
}

interface LoginSurroundings {
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
