import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import type { Clock } from '../platform/clock.ts';
import type { StatusReport } from '../protocol/status.ts';
import { readAllSettings } from './all-settings.ts';
import { authChain } from './auth-chain.ts';
import { readClientState } from './client-state.ts';
import type { ChainInput } from './effective.ts';
import type { BrokerFacts, Facts, GuardedFile, HelperFacts, InstalledApps } from './facts.ts';
import { inspectHelper } from './helper-facts.ts';
import { runHelper } from './helper-run.ts';
import { credentialsFile, findLogin } from './kept-login.ts';
import { type MacTools, macTools } from './mac-tools.ts';
import { statQuietly } from './read-quietly.ts';
import { readServedSettings } from './served-settings.ts';
import { readSettingsFile } from './settings-files.ts';
import { clientFolder, clientStateFile } from './settings-locations.ts';
import { readProfiles } from './shell-profiles.ts';
import { isSecretVariable } from './variables.ts';

export interface GatherOptions {
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

export type KeyHome = NonNullable<StatusReport['daemon']['cache']['keyHome']>;
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
