import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import type { KeyHome, StatusReport } from '../../protocol/reports.ts';
import { statQuietly } from '../settings/document.ts';
import { type ChainInput, readServedSettings, type ServedSettings } from '../settings/effective.ts';
import {
  clientFolder,
  clientStateFile,
  readAllSettings,
  readSettingsFile,
  type SettingsFile,
} from '../settings/files.ts';
import { readProfiles } from '../shell/profiles.ts';
import { isSecretVariable } from '../shell/variables.ts';
import { type AuthChain, authChain } from './auth-chain.ts';
import { inspectHelper, runHelper } from './helper.ts';
import { credentialsFile, findLogin, type MacTools, macTools, readClientState } from './login.ts';

interface GatherOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly projectDir: string;
  readonly stateDir: string;
  readonly uid: number;
  readonly platform: NodeJS.Platform;
  readonly clock: Clock;
  /** `/` outside tests. */
  readonly systemRoot: string;
  /** What `--settings` of the client is going to name. */
  readonly flagFile: string | undefined;
  readonly ownHelpers: readonly string[];
  /** always: also a helper that is somebody else's code · safe: only what is known to be the user's own · never. */
  readonly run: 'always' | 'safe' | 'never';
  /** Places where a broker's socket may be. */
  readonly sockets: readonly string[];
  /** undefined from it: no daemon answered. */
  readonly fetchStatus: (() => Promise<StatusReport | undefined>) | undefined;
  /** Keys of the configuration that this shell's environment would give another value than the daemon's gives. */
  readonly differing?: (() => Promise<readonly string[]>) | undefined;
  /** What the configuration and the session's keyring say about the key of the cache, given where it lives. */
  readonly keyHome?: ((home: KeyHome) => Promise<KeyHomeFacts>) | undefined;
}

export type KeyHomeFacts = Required<Pick<BrokerFacts, 'configuredKeyHome' | 'keyring'>>;

/** Looks at everything once. Files that cannot be read are facts, not failures. */
export async function gatherFacts(options: GatherOptions): Promise<Facts> {
  const { env, homeDir, projectDir } = options;
  const tools = macTools(env);
  const { platform, systemRoot, flagFile } = options;
  const roots = { homeDir, projectDir, env, platform, systemRoot };
  const settings = readAllSettings(flagFile === undefined ? roots : { ...roots, flagFile }, tools);
  const profiles = readProfiles({ homeDir, env, systemRoot: options.systemRoot });
  const stateFile = clientStateFile(options);
  const state = readClientState(stateFile, projectDir);
  const input: ChainInput = {
    environment: env,
    profiles,
    settings,
    login: findLogin({ ...roots, stateFile, stateHoldsKey: state.holdsKey }, tools),
    answers: state,
    trusted: state.trusted,
  };
  const helper = inspectHelper(input, options);
  const mayRun = options.run === 'always' || (options.run === 'safe' && helper?.mayRun === true);
  const [broker, run] = await Promise.all([
    askBroker(options),
    helper !== undefined && mayRun ? runHelper(runOptions(helper, input, options)) : undefined,
  ]);
  return {
    homeDir,
    projectDir,
    stateDir: options.stateDir,
    uid: options.uid,
    platform: options.platform,
    input,
    chain: authChain(input),
    helper,
    run,
    apps: installedApps(homeDir, options.platform),
    guarded: guardedFiles(input, helper, [credentialsFile(roots)], options),
    broker,
    orphanedSettings: orphanedSettings(options, tools),
    served: readServedSettings(roots, tools),
  };
}

function runOptions(helper: HelperFacts, input: ChainInput, options: GatherOptions) {
  const env: Record<string, string | undefined> = { ...options.env };
  for (const settings of input.settings.toReversed()) {
    if (settings.state === 'in-effect') for (const [name, { value }] of settings.env) env[name] = value;
  }
  return { command: helper.command, cwd: options.projectDir, env, clock: options.clock, ours: helper.ours };
}

async function askBroker(options: GatherOptions): Promise<BrokerFacts> {
  const asked = options.fetchStatus?.().catch(() => undefined);
  const [status, differing, keyHome, answered] = await Promise.all([
    asked,
    options.differing?.().catch(() => undefined),
    asked?.then(async (report) => {
      const home = report?.daemon.cache.keyHome ?? undefined;
      return home && (await options.keyHome?.(home).catch(() => undefined));
    }),
    Promise.all(options.sockets.map((socket) => answers(socket, options.clock))),
  ]);
  const sockets = options.sockets.filter((_, index) => answered[index]);
  return {
    status,
    asked: options.fetchStatus !== undefined,
    sockets,
    providerSkewMs: status && largestSkew(status),
    differing: differing ?? [],
    ...keyHome,
  };
}

function largestSkew({ credentials }: StatusReport): number | undefined {
  const skews = credentials.map(({ clockSkewSeconds }) => clockSkewSeconds).filter((skew) => skew !== null);
  const [largest] = skews.sort((a, b) => Math.abs(b) - Math.abs(a));
  return largest === undefined ? undefined : largest * 1000;
}

function answers(socket: string, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    const timer = clock.after(1000, () => done(false));
    connection.once('connect', () => done(true));
    connection.once('error', () => done(false));
    function done(result: boolean): void {
      timer.cancel();
      connection.destroy();
      resolve(result);
    }
  });
}

function guardedFiles(input: ChainInput, helper: HelperFacts | undefined, secrets: string[], options: GatherOptions) {
  const files: GuardedFile[] = [];
  for (const { file, scope, state, mode, uid, env } of input.settings) {
    if (state === 'missing' || state === 'unreadable' || state === 'no-file') continue;
    const holdsSecret = [...env].some(([name, { value }]) => isSecretVariable(name) && value !== '');
    if (scope === 'project' && !holdsSecret) continue;
    files.push({ file, role: holdsSecret && scope !== 'managed' ? 'secret' : 'settings', mode, uid });
  }
  for (const { file, mode, uid, assignments, state } of input.profiles) {
    const holdsSecret = assignments.some(({ name, value }) => isSecretVariable(name) && (value ?? '') !== '');
    if (state === 'read') files.push({ file, role: holdsSecret ? 'secret' : 'settings', mode, uid });
  }
  if (helper?.path !== undefined && helper.found) files.push(...guarded(helper.path, 'program'));
  for (const file of secrets) files.push(...guarded(file, 'secret'));
  files.push(...guarded(options.stateDir, 'state'));
  return files;
}

function guarded(file: string, role: GuardedFile['role']): GuardedFile[] {
  const stat = statQuietly(file);
  return stat === undefined ? [] : [{ file, role, mode: stat.mode & 0o7777, uid: stat.uid }];
}

function installedApps(homeDir: string, platform: NodeJS.Platform): InstalledApps {
  const folders = ['.vscode', '.vscode-server', '.vscode-insiders', '.cursor', '.cursor-server', '.windsurf'];
  const extensions = folders.map((folder) => path.join(homeDir, folder, 'extensions'));
  const editor = extensions
    .flatMap((folder) => namesIn(folder).map((name) => path.join(folder, name)))
    .find((file) => path.basename(file).startsWith('anthropic.claude-code'));
  const desktop = path.join(homeDir, platform === 'darwin' ? 'Library/Application Support/Claude' : '.config/Claude');
  return { editor, desktop: namesIn(desktop).length > 0 ? desktop : undefined };
}

function orphanedSettings({ env, homeDir, projectDir }: GatherOptions, tools: MacTools): string | undefined {
  const usual = path.join(homeDir, '.claude', 'settings.json');
  if (path.join(clientFolder({ env, homeDir, projectDir }), 'settings.json') === usual) return undefined;
  return readSettingsFile({ scope: 'user', file: usual }, tools).helper === undefined ? undefined : usual;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Everything the checks look at. Checks are pure: what is not in here they do not know. */
export interface Facts {
  readonly homeDir: string;
  readonly projectDir: string;
  readonly stateDir: string;
  readonly uid: number;
  readonly platform: NodeJS.Platform;
  readonly input: ChainInput;
  readonly chain: AuthChain;
  readonly helper: HelperFacts | undefined;
  /** undefined: the helper was not run. */
  readonly run: HelperRun | undefined;
  readonly apps: InstalledApps;
  /** Files and folders whose mode matters, those that are there. */
  readonly guarded: readonly GuardedFile[];
  readonly broker: BrokerFacts;
  /** `~/.claude/settings.json` where CLAUDE_CONFIG_DIR leads elsewhere and that file still sets a helper. */
  readonly orphanedSettings: string | undefined;
  readonly served: ServedSettings | undefined;
}

export interface HelperFacts {
  readonly command: string;
  readonly settings: SettingsFile;
  readonly line: number;
  /** It runs `broker-key` or `broker get` by its words. */
  readonly ours: boolean;
  /** The credential that a command of ours asks for; undefined: the default one. */
  readonly credential: string | undefined;
  /** The first word; undefined where the command is no plain command. */
  readonly program: string | undefined;
  readonly words: readonly string[];
  readonly how: 'absolute' | 'relative' | 'by name' | 'unknown';
  /** Where the program lies, if that can be said. */
  readonly path: string | undefined;
  readonly found: boolean;
  readonly executable: boolean;
  /** The program's text if it is a script of reasonable size. */
  readonly script: string | undefined;
  /** What the doctor may run without being told to. */
  readonly mayRun: boolean;
}

/** What came of running the helper as the client runs it; the key itself is not kept. */
export interface HelperRun {
  readonly ms: number;
  /** hung: no end of its output within the limit. */
  readonly outcome: 'ended' | 'hung' | 'not started';
  readonly exitCode: number | undefined;
  /** Why the client would refuse the output; undefined if it would take it. */
  readonly refusal: string | undefined;
  /** Kind and fingerprint of what was printed. */
  readonly shown: string | undefined;
  readonly kind: KeyKind | undefined;
  /** Of a JWT, how much of its life was left; negative once it is over. */
  readonly expiresInMs: number | undefined;
  /** stderr of our own helper, which holds no secret; of any other only that there was some. */
  readonly message: string | undefined;
}

export type KeyKind = 'api-key' | 'oauth-token' | 'admin-key' | 'jwt' | 'json' | 'other';

interface InstalledApps {
  /** Folder of the VS Code (or Cursor, …) extension. */
  readonly editor: string | undefined;
  readonly desktop: string | undefined;
}

export interface GuardedFile {
  readonly file: string;
  /** settings: running code · secret: holds one · program: the helper · state: the broker's own. */
  readonly role: 'settings' | 'secret' | 'program' | 'state';
  readonly mode: number;
  readonly uid: number;
}

interface BrokerFacts {
  /** undefined: no daemon answered, or nobody asked. */
  readonly status: StatusReport | undefined;
  readonly asked: boolean;
  /** Sockets at which something accepts connections. */
  readonly sockets: readonly string[];
  /** How far this machine's clock is ahead of the provider's, where the daemon says so. */
  readonly providerSkewMs: number | undefined;
  /** Keys of the configuration that this shell's environment would give another value than the daemon's gives. */
  readonly differing?: readonly string[];
  /** `[daemon] key_home` as the daemon has it; undefined: no daemon said so. */
  readonly configuredKeyHome?: string | undefined;
  /** Whether this session's keyring could keep a key without asking anybody; undefined: nobody looked. */
  readonly keyring?: 'usable' | 'none' | undefined;
}
