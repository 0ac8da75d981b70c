import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import { statQuietly } from '../../platform/files.ts';
import type { CredentialStatus, KeyHome, StatusReport } from '../../protocol/reports.ts';
import { credentialsFile, findIdentity, findLogin, readClientState } from '../settings/client-state.ts';
import { type ChainInput, effectiveVariable, readServedSettings, type ServedSettings } from '../settings/effective.ts';
import { readAllSettings, readSettingsFile } from '../settings/files.ts';
import { clientFolder, clientStateFile, type SettingsRoots } from '../settings/locations.ts';
import { type MacTools, macTools } from '../settings/mac-tools.ts';
import { readProfiles } from '../shell/profiles.ts';
import { isSecretVariable } from '../shell/variables.ts';
import { askClient, type ClientAnswer } from './ask-client.ts';
import { type AuthChain, authChain } from './auth-chain.ts';
import { type HelperFacts, type HelperRun, inspectHelper, runHelper } from './helper.ts';
import { type LinkedFile, linksAmong, type MisplacedHelper, misplacedHelpers } from './places.ts';

/** Everything the checks look at. Checks are pure: what is not in here they do not know. */
export interface Facts {
  readonly homeDir: string;
  readonly projectDir: string;
  readonly uid: number;
  readonly input: ChainInput;
  readonly chain: AuthChain;
  /** What the installed client says itself; undefined: there is none, or it was not asked. */
  readonly client: ClientAnswer | undefined;
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
  readonly misplaced: readonly MisplacedHelper[];
  /** Of the settings and profiles those that are reached through a link. */
  readonly links: readonly LinkedFile[];
}

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
  /** undefined: no daemon answered. */
  readonly status: StatusReport | undefined;
  /** The one that the helper asks for; undefined if the daemon has no such credential. */
  readonly credential: CredentialStatus | undefined;
  /** Sockets at which something accepts connections. */
  readonly sockets: readonly string[];
  /** How far this machine's clock is ahead of the provider's, where the daemon says so. */
  readonly providerSkewMs: number | undefined;
  /** Keys of the configuration that this shell's environment would give another value than the daemon's gives. */
  readonly differing: readonly string[];
  /** What works in the configuration and should not stay so. */
  readonly risks: readonly ConfigRisk[];
  /** Where the key that encrypts the cache is; undefined: nobody said, or it cannot be reached. */
  readonly keyHome: KeyHome | undefined;
  /** `[daemon] key_home` as the daemon has it; undefined: no daemon said so. */
  readonly configuredKeyHome?: string | undefined;
  /** Whether this session's keyring could keep a key without asking anybody; undefined: nobody looked. */
  readonly keyring?: 'usable' | 'none' | undefined;
}

export interface ConfigRisk {
  readonly message: string;
  readonly remedy: string;
  /** `file:line`. */
  readonly where: string;
}

export type KeyHomeFacts = Required<Pick<BrokerFacts, 'configuredKeyHome' | 'keyring'>>;

interface GatherOptions extends SettingsRoots {
  readonly stateDir: string;
  readonly uid: number;
  readonly clock: Clock;
  readonly ownHelpers: readonly string[];
  /** Whether the client that is installed may be asked. */
  readonly asksClient?: boolean | undefined;
  /** always: also a helper that is somebody else's code · safe: only what is known to be the user's own · never. */
  readonly run: 'always' | 'safe' | 'never';
  /** Places where a broker's socket may be. */
  readonly sockets: readonly string[];
  /** undefined from it: no daemon answered. */
  readonly fetchStatus: () => Promise<StatusReport | undefined>;
  /** Keys of the configuration that this shell's environment would give another value than the daemon's gives. */
  readonly differing?: (() => Promise<readonly string[]>) | undefined;
  /** The warnings of `broker config validate`. */
  readonly risks?: (() => Promise<readonly ConfigRisk[]>) | undefined;
  /** What the configuration and the session's keyring say about the key of the cache, given where it is. */
  readonly keyHome?: ((home: KeyHome) => Promise<KeyHomeFacts>) | undefined;
}

/** Looks at everything once. Files that cannot be read are facts, not failures. */
export async function gatherFacts(options: GatherOptions): Promise<Facts> {
  const { homeDir, projectDir, uid } = options;
  const tools = macTools(options.env);
  const client = options.asksClient ? await askClient({ ...options, stateFile: clientStateFile(options) }) : undefined;
  const input = { ...readInput(options, tools), clientVersion: client?.version };
  const helper = inspectHelper(input, options);
  const mayRun = options.run === 'always' || (options.run === 'safe' && helper?.mayRun === true);
  const [broker, run] = await Promise.all([
    askBroker(options, helper),
    helper !== undefined && mayRun ? runHelper(runOptions(helper, input, options)) : undefined,
  ]);
  return {
    homeDir,
    projectDir,
    uid,
    input,
    chain: authChain(input),
    client,
    helper,
    run,
    apps: installedApps(homeDir, options.platform),
    guarded: guardedFiles(input, helper, options),
    broker,
    orphanedSettings: orphanedSettings(options, tools),
    misplaced: misplacedHelpers(options, tools),
    links: linksAmong([...input.settings, ...input.profiles].map(({ file }) => file)),
    served: readServedSettings(options, tools),
  };
}

function readInput(options: GatherOptions, tools: MacTools): ChainInput {
  const stateFile = clientStateFile(options);
  const state = readClientState(stateFile, options.projectDir);
  const input: Omit<ChainInput, 'identity'> = {
    environment: options.env,
    profiles: readProfiles(options),
    settings: readAllSettings(options, tools),
    login: findLogin({ ...options, stateWithKey: state.holdsKey ? stateFile : undefined }, tools),
    clientVersion: undefined,
    answers: state,
    trusted: state.trusted,
  };
  const variable = (name: string) => effectiveVariable({ ...input, identity: undefined }, name)?.value;
  return { ...input, identity: findIdentity(variable, options) };
}

function runOptions(helper: HelperFacts, input: ChainInput, { env, projectDir, clock }: GatherOptions) {
  const effective: Record<string, string | undefined> = { ...env };
  for (const settings of input.settings.toReversed()) {
    if (settings.state === 'in-effect') for (const [name, { value }] of settings.env) effective[name] = value;
  }
  return { command: helper.command, cwd: projectDir, env: effective, clock, ours: helper.ours };
}

async function askBroker(options: GatherOptions, helper: HelperFacts | undefined): Promise<BrokerFacts> {
  const asked = options.fetchStatus().catch(() => undefined);
  const [status, differing = [], risks = [], keyHomeFacts, answering] = await Promise.all([
    asked,
    options.differing?.().catch(() => undefined),
    options.risks?.().catch(() => undefined),
    asked.then((report) => {
      const home = report?.daemon.cache.keyHome ?? undefined;
      return home && options.keyHome?.(home).catch(() => undefined);
    }),
    Promise.all(options.sockets.map((socket) => answers(socket, options.clock))),
  ]);
  return {
    status,
    credential: status?.credentials.find(({ name, isDefault }) =>
      helper?.credential === undefined ? isDefault : name === helper.credential,
    ),
    sockets: options.sockets.filter((_, index) => answering[index]),
    providerSkewMs: status && largestSkew(status),
    differing,
    risks,
    keyHome: status?.daemon.cache.keyHome ?? undefined,
    ...keyHomeFacts,
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

function guardedFiles(input: ChainInput, helper: HelperFacts | undefined, options: GatherOptions): GuardedFile[] {
  const settings = input.settings.flatMap(({ file, scope, env }) => {
    const holdsSecret = [...env].some(([name, { value }]) => isSecretVariable(name) && value !== '');
    if (scope === 'project' && !holdsSecret) return [];
    return guarded(file, holdsSecret && scope !== 'managed' ? 'secret' : 'settings');
  });
  const profiles = input.profiles.flatMap(({ file, assignments, isStartup }) => {
    const holdsSecret = assignments.some(({ name, value }) => isSecretVariable(name) && (value ?? '') !== '');
    // What a profile reads of other people's (frameworks, completions) is theirs to keep.
    return isStartup || assignments.length > 0 ? guarded(file, holdsSecret ? 'secret' : 'settings') : [];
  });
  return [
    ...settings,
    ...profiles,
    ...(helper?.path === undefined ? [] : guarded(helper.path, 'program')),
    ...guarded(credentialsFile(options), 'secret'),
    ...guarded(options.stateDir, 'state'),
  ];
}

function guarded(file: string, role: GuardedFile['role']): GuardedFile[] {
  const stat = statQuietly(file);
  if (stat === undefined || !(stat.isFile() || role === 'state')) return [];
  return [{ file, role, mode: stat.mode & 0o7777, uid: stat.uid }];
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
