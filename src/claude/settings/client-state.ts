import { createHash } from 'node:crypto';
import path from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import { readRegularFile, statQuietly } from '../../platform/files.ts';
import { clientFolder } from './locations.ts';
import type { MacTools } from './mac-tools.ts';

/** `.claude.json` grows with every project; it has been seen at tens of megabytes. */
export const MAX_STATE_BYTES = 64 * 1024 * 1024;

/** What the client itself remembers and this program needs. */
interface ClientState {
  readonly approved: readonly string[];
  readonly rejected: readonly string[];
  readonly trusted: boolean | undefined;
  /** A Console login keeps its key here. */
  readonly holdsKey: boolean;
  /** It is not JSON, and `claude -p` ends for it. */
  readonly isBroken: boolean;
}

export function readClientState(file: string, projectDir: string): ClientState {
  const found = readRegularFile(file, { maxBytes: MAX_STATE_BYTES });
  // Of this file alone the client takes a byte-order mark.
  const text = found.state === 'read' ? found.bytes.toString('utf8').replace(/^\uFEFF/, '') : '';
  const content = parseQuietly(text);
  const state = asObject(content);
  const answers = asObject(state['customApiKeyResponses']);
  return {
    approved: texts(answers['approved']),
    rejected: texts(answers['rejected']),
    trusted: found.state === 'read' ? trustOf(asObject(state['projects']), projectDir) : undefined,
    holdsKey: typeof state['primaryApiKey'] === 'string' && state['primaryApiKey'].trim() !== '',
    isBroken: content === undefined && text.trim() !== '',
  };
}

/** Trust in a folder covers what is in it. */
function trustOf(projects: Record<string, unknown>, projectDir: string): boolean {
  for (let folder = projectDir; ; folder = path.dirname(folder)) {
    if (Object.hasOwn(projects, folder) && asObject(projects[folder])['hasTrustDialogAccepted'] === true) return true;
    if (folder === path.dirname(folder)) return false;
  }
}

function parseQuietly(text: string): unknown {
  try {
    return JSON.parse(text);
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

/** Logins that the client keeps: each is where it lies, a file or an item of the macOS Keychain; undefined: there is none. */
export interface KeptLogin {
  /** Of claude.ai, good for asking models. */
  readonly subscription: string | undefined;
  /** An API key that a login to the Console made. */
  readonly consoleKey: string | undefined;
  /** The keychain could not be asked, so that there may be one all the same. */
  readonly unknown: boolean;
}

interface LoginSurroundings {
  readonly homeDir: string;
  readonly projectDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  /** `.claude.json` where a Console login left its key there. */
  readonly stateWithKey: string | undefined;
}

export function credentialsFile(around: Pick<LoginSurroundings, 'homeDir' | 'projectDir' | 'env'>): string {
  return path.join(clientFolder(around), '.credentials.json');
}

export function findLogin(around: LoginSurroundings, tools: MacTools): KeptLogin {
  const file = credentialsFile(around);
  const inFiles = { subscription: holdsLogin(file) ? file : undefined, consoleKey: around.stateWithKey };
  if (around.platform !== 'darwin') return { ...inFiles, unknown: false };
  const inKeychain = (name: string) => {
    const item = name + keychainSuffix(around);
    const isThere = tools.hasKeychainItem(item, accountOf(around.env));
    return { isThere, place: isThere ? `the macOS Keychain, item "${item}"` : undefined };
  };
  const [login, key] = [inKeychain('Claude Code-credentials'), inKeychain('Claude Code')];
  const found = { subscription: inFiles.subscription ?? login.place, consoleKey: inFiles.consoleKey ?? key.place };
  const isNone = found.subscription === undefined && found.consoleKey === undefined;
  return { ...found, unknown: isNone && (login.isThere === undefined || key.isThere === undefined) };
}

/** Credentials of other kinds lie in the same file, and a login may be for other things than asking models. */
function holdsLogin(file: string): boolean {
  const { accessToken, scopes } = asObject(asObject(readQuietly(file))['claudeAiOauth']);
  const granted = typeof scopes === 'string' ? scopes : texts(scopes);
  return typeof accessToken === 'string' && accessToken !== '' && granted.includes('user:inference');
}

/** What a token is got from without /login. */
export interface Identity {
  readonly kind: 'workload-identity' | 'profile';
  /** It comes before a claude.ai login. */
  readonly beatsLogin: boolean;
  /** Where it is set up. */
  readonly file: string;
}

/** A profile that is named, else workload identity in variables, else the active profile; each only if it can be used. */
export function findIdentity(
  variable: (name: string) => string | undefined,
  { homeDir, projectDir, clock }: Pick<LoginSurroundings, 'homeDir' | 'projectDir'> & { readonly clock: Clock },
): Identity | undefined {
  const usableProfile = (folder: string, name: string) => profileFile(folder, name, projectDir, clock.wall());
  const folder = path.resolve(
    projectDir,
    variable('ANTHROPIC_CONFIG_DIR')?.trim() ??
      path.join(variable('XDG_CONFIG_HOME')?.trim() ?? path.join(variable('HOME') ?? homeDir, '.config'), 'anthropic'),
  );
  const named = variable('ANTHROPIC_PROFILE')?.trim();
  if (named) {
    const file = usableProfile(folder, named);
    return file === undefined ? undefined : { kind: 'profile', beatsLogin: true, file };
  }
  const token = variable('ANTHROPIC_IDENTITY_TOKEN_FILE') ?? variable('ANTHROPIC_IDENTITY_TOKEN');
  if (variable('ANTHROPIC_FEDERATION_RULE_ID') && variable('ANTHROPIC_ORGANIZATION_ID') && token) {
    return { kind: 'workload-identity', beatsLogin: true, file: 'ANTHROPIC_FEDERATION_RULE_ID' };
  }
  const active = readRegularFile(path.join(folder, 'active_config'), { maxBytes: 4096 });
  const name = (active.state === 'read' ? active.bytes.toString('utf8').trim() : '') || 'default';
  const file = usableProfile(folder, name);
  if (file === undefined) return undefined;
  return { kind: 'profile', beatsLogin: profileType(file) === 'oidc_federation', file };
}

function profileType(file: string): unknown {
  return asObject(asObject(readQuietly(file))['authentication'])['type'];
}

function profileFile(folder: string, name: string, projectDir: string, nowMs: number): string | undefined {
  const file = path.join(folder, 'configs', `${name}.json`);
  const type = profileType(file);
  if (type === 'oidc_federation') return file;
  const elsewhere = asObject(asObject(readQuietly(file))['authentication'])['credentials_path'];
  const own = typeof elsewhere === 'string' ? elsewhere : path.join(folder, 'credentials', `${name}.json`);
  const credentials = path.resolve(projectDir, own);
  if (type !== 'user_oauth' || statQuietly(credentials)?.isFile() !== true) return undefined;
  const { expires_at: expiresAt, refresh_token: refresh } = asObject(readQuietly(credentials));
  // Nothing can be made of a token that has ended and cannot be renewed: "Login expired".
  return typeof expiresAt === 'number' && expiresAt * 1000 < nowMs && !refresh ? undefined : file;
}

function readQuietly(file: string): unknown {
  const found = readRegularFile(file, { maxBytes: MAX_STATE_BYTES });
  return found.state === 'read' ? parseQuietly(found.bytes.toString('utf8')) : undefined;
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
