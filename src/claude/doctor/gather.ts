import { realpathSync, type Stats } from 'node:fs';
import path from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import { readEnrolment } from '../../platform/enrolment.ts';
import { namesQuietly, statQuietly } from '../../platform/files.ts';
import { credentialsFile, findIdentity, findLogin, readClientState } from '../settings/client-state.ts';
import { type ChainInput, effectiveVariable, readServedSettings, type ServedSettings } from '../settings/effective.ts';
import { readSettings, readSettingsFile } from '../settings/files.ts';
import { clientFolder, clientStateFile, type SettingsRoots } from '../settings/locations.ts';
import { type MacTools, macTools } from '../settings/mac-tools.ts';
import { type SiblingLine, siblingLines } from '../settings/sibling-helpers.ts';
import { type AskedShell, askShell } from '../shell/ask-shell.ts';
import { formatOf } from '../shell/helper-command.ts';
import type { Profile } from '../shell/profile-library.ts';
import { readProfiles } from '../shell/profiles.ts';
import { holdsSecret } from '../shell/variables.ts';
import { type AllowFacts, gatherAllow } from './allow.ts';
import { askClient, type ClientAnswer } from './ask-client.ts';
import { type AuthChain, authChain } from './auth-chain.ts';
import { askBroker, type BrokerFacts, type BrokerOptions } from './broker.ts';
import {
  type CommandFacts,
  type HelperFacts,
  type HelperRun,
  inspectCommand,
  inspectHelper,
  runHelper,
} from './helper.ts';
import type { OtherClient } from './others.ts';
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
  /** The client's other settings that run a program. */
  readonly siblings: readonly SiblingFacts[];
  /** The person's shell, where it was asked what it exports. */
  readonly shell: AskedShell | undefined;
  readonly allow: AllowFacts;
  readonly others: readonly OtherClient[];
}

export interface SiblingFacts extends SiblingLine, Omit<CommandFacts, 'command'> {
  /** `--format` of a line of ours; undefined: none, which gives a bare key. */
  readonly asked: string | undefined;
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
  /** The bits of the mode that others can make use of: a folder on the way may keep them out. */
  readonly open: number;
  readonly uid: number;
}

export interface GatherOptions extends SettingsRoots, BrokerOptions {
  readonly stateDir: string;
  readonly uid: number;
  readonly clock: Clock;
  readonly ownHelpers: readonly string[];
  /** Whether the client that is installed may be asked. */
  readonly asksClient?: boolean | undefined;
  /** always: also a helper that is somebody else's code · safe: only what is known to be the user's own · never. */
  readonly run: 'always' | 'safe' | 'never';
  /** Start the person's shell and ask it what it exports: its profiles run. */
  readonly askShell?: boolean | undefined;
  /** The clients of this machine beside Claude Code. */
  readonly others?: readonly OtherClient[] | undefined;
  /** Starts the client, to see whether the rule of `allow` holds for it. */
  readonly proveAllow?: boolean | undefined;
}

/** Looks at everything once. Files that cannot be read are facts, not failures. */
export async function gatherFacts(options: GatherOptions): Promise<Facts> {
  const { homeDir, projectDir, uid } = options;
  const tools = macTools(options.env);
  const shell = options.askShell
    ? await askShell({ ...options, program: options.env['SHELL'] || '/bin/sh' })
    : undefined;
  const client = options.asksClient ? await askClient({ ...options, stateFile: clientStateFile(options) }) : undefined;
  const found = readSettings(options, tools);
  const input = { ...readInput(options, found, tools, shell), clientVersion: client?.version };
  const helper = inspectHelper(input, options);
  const mayRun = options.run === 'always' || (options.run === 'safe' && helper?.mayRun === true);
  const asked = askBroker(options, helper?.credential);
  const run = async () => {
    if (helper === undefined || !mayRun) return undefined;
    // The doctor is not the client: it would be refused, and rightly.
    if (isAllowed(await asked, helper, options)) return undefined;
    return runHelper(runOptions(helper, input, options));
  };
  const [broker, ran] = await Promise.all([asked, run()]);
  return {
    homeDir,
    projectDir,
    uid,
    input,
    chain: authChain(input),
    client,
    helper,
    run: ran,
    apps: installedApps(homeDir, options.platform),
    guarded: guardedFiles(input, helper, found.roots),
    broker,
    orphanedSettings: orphanedSettings(found.roots, tools),
    misplaced: misplacedHelpers(found.roots, found.files, tools),
    links: linksAmong([...input.settings, ...input.profiles].map(({ file }) => file)),
    served: readServedSettings(found.roots, tools),
    siblings: siblings(input, options),
    shell,
    allow: await gatherAllow(options, broker.status, broker.credential?.allow),
    others: options.others ?? [],
  };
}

/** Whether what this helper asks for is for the client alone. Of a wrapper only its record says what it asks for. */
function isAllowed(
  { status, credential }: BrokerFacts,
  helper: HelperFacts,
  { stateDir, uid }: GatherOptions,
): boolean {
  if (helper.ours) return (credential?.allow ?? []).length > 0;
  const isConfigured = status?.credentials.some(({ allow = [] }) => allow.length > 0);
  return isConfigured === true && readEnrolment(stateDir, uid).lines.some(({ line }) => line === helper.command);
}

function readInput(
  options: GatherOptions,
  found: ReturnType<typeof readSettings<GatherOptions>>,
  tools: MacTools,
  shell: AskedShell | undefined,
): ChainInput {
  const stateFile = clientStateFile(options);
  const state = readClientState(stateFile, options.projectDir);
  const input: Omit<ChainInput, 'identity'> = {
    environment: options.env,
    profiles: decidedBy(shell, readProfiles(options)),
    settings: found.files,
    login: findLogin({ ...found.roots, stateWithKey: state.holdsKey ? stateFile : undefined }, tools),
    brokenState: state.isBroken ? stateFile : undefined,
    clientVersion: undefined,
    answers: state,
    trusted: state.trusted,
  };
  const variable = (name: string) => effectiveVariable({ ...input, identity: undefined }, name)?.value;
  return { ...input, identity: findIdentity(variable, options) };
}

function siblings(input: ChainInput, options: GatherOptions): SiblingFacts[] {
  return siblingLines(input, clientStateFile(options), options.projectDir).map((line) => ({
    ...inspectCommand(input, line, options),
    ...line,
    asked: formatOf(line.command),
  }));
}

/** What the text left open, a condition or a computed value, is as the shell says. */
function decidedBy(shell: AskedShell | undefined, profiles: readonly Profile[]): readonly Profile[] {
  if (shell?.outcome !== 'answered') return profiles;
  return profiles.map((profile) => {
    if (profile.syntax !== shell.kind) return profile;
    const assignments = profile.assignments.map((each) => {
      const said = shell.exports.get(each.name);
      const isIt = said !== undefined && (each.value === undefined || each.value === said);
      return each.exported === 'perhaps' ? { ...each, exported: isIt ? ('yes' as const) : ('no' as const) } : each;
    });
    return { ...profile, assignments };
  });
}

function runOptions(helper: HelperFacts, input: ChainInput, { env, projectDir, clock }: GatherOptions) {
  const effective: Record<string, string | undefined> = { ...env };
  for (const settings of input.settings.toReversed()) {
    if (settings.state === 'in-effect') for (const [name, { value }] of settings.env) effective[name] = value;
  }
  return { command: helper.command, cwd: projectDir, env: effective, clock, ours: helper.ours };
}

function guardedFiles(input: ChainInput, helper: HelperFacts | undefined, options: GatherOptions): GuardedFile[] {
  const settings = input.settings.flatMap(({ file, scope, env }) => {
    const isSecret = [...env].some(([name, { value }]) => holdsSecret(name, value));
    if (scope === 'project' && !isSecret) return [];
    return guarded(file, isSecret && scope !== 'managed' ? 'secret' : 'settings');
  });
  const profiles = input.profiles.flatMap(({ file, assignments, isStartup }) => {
    const isSecret = assignments.some(({ name, value }) => holdsSecret(name, value));
    // What a profile reads of other people's (frameworks, completions) is theirs to keep.
    return isStartup || assignments.length > 0 ? guarded(file, isSecret ? 'secret' : 'settings') : [];
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
  const mode = stat.mode & 0o7777;
  return [{ file, role, mode, open: mode & openTo(file, stat), uid: stat.uid }];
}

/** For whom the way to a file is open, as bits of its mode. */
function openTo(file: string, { uid, gid }: Stats): number {
  // Many systems give each user a group with the same number and nobody else in it.
  let bits = uid !== 0 && uid === gid ? 0o007 : 0o077;
  try {
    for (
      let folder = path.dirname(realpathSync(file));
      folder !== path.dirname(folder);
      folder = path.dirname(folder)
    ) {
      const mode = statQuietly(folder)?.mode ?? 0o777;
      if ((mode & 0o001) === 0) bits &= ~0o007;
      if ((mode & 0o010) === 0) bits &= ~0o070;
    }
  } catch {}
  return bits;
}

function installedApps(homeDir: string, platform: NodeJS.Platform): InstalledApps {
  const folders = ['.vscode', '.vscode-server', '.vscode-insiders', '.cursor', '.cursor-server', '.windsurf'];
  const extensions = folders.map((folder) => path.join(homeDir, folder, 'extensions'));
  const editor = extensions
    .flatMap((folder) => namesQuietly(folder).map((name) => path.join(folder, name)))
    .find((file) => path.basename(file).startsWith('anthropic.claude-code'));
  const desktop = path.join(homeDir, platform === 'darwin' ? 'Library/Application Support/Claude' : '.config/Claude');
  return { editor, desktop: namesQuietly(desktop).length > 0 ? desktop : undefined };
}

function orphanedSettings({ env, homeDir, projectDir }: GatherOptions, tools: MacTools): string | undefined {
  const usual = path.join(homeDir, '.claude', 'settings.json');
  if (path.join(clientFolder({ env, homeDir, projectDir }), 'settings.json') === usual) return undefined;
  return readSettingsFile({ scope: 'user', file: usual }, tools).helper === undefined ? undefined : usual;
}
