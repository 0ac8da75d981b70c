import path from 'node:path';
import { Command } from 'commander';
import { runChecks } from '../../claude/checks/all.ts';
import { exitCodeOf } from '../../claude/checks/check.ts';
import { whoJson, whoText } from '../../claude/doctor/allow.ts';
import type { BrokerParts, ConfigRisk, KeyHomeFacts } from '../../claude/doctor/broker.ts';
import { planRepairs, type Repair, repair } from '../../claude/doctor/fix.ts';
import { gatherFacts } from '../../claude/doctor/gather.ts';
import { type DoctorReport, reportJson, reportText, secretsIn } from '../../claude/doctor/report.ts';
import { locateHelper } from '../../claude/install/targets.ts';
import { connect, daemonConfig } from '../../client/broker-client.ts';
import { otherClients } from '../../clients/look.ts';
import { type Difference, differences } from '../../config/effective.ts';
import { configFile, notSetUp, shellConfig, socketCandidates, stateDir } from '../../config/paths.ts';
import { KEK_SERVICE } from '../../crypto/kek-keyring.ts';
import { BrokerError } from '../../errors.ts';
import { ALLOW_WORDS } from '../../platform/attestation.ts';
import { Attestor } from '../../platform/caller-facts.ts';
import { keyringOf } from '../../platform/keyring-child.ts';
import { hasTeamIdentifier } from '../../platform/macos.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { scrub } from '../../platform/text.ts';
import type { KeyHome } from '../../protocol/reports.ts';
import { loadOwnConfig } from '../../providers/own-config.ts';
import { stableHelper } from '../../service/stable-helper.ts';
import { launchFlaw } from '../../service/unmanaged.ts';
import { json } from '../output.ts';

/** Far enough back for a refusal that somebody asks about. */
const RECENT_EVENTS = 1_000;

export interface DoctorParts extends BrokerParts {
  /** `/` outside tests: where /etc is looked for. */
  readonly systemRoot?: string;
}

export interface DoctorOptions {
  readonly json?: true;
  readonly fix?: true;
  readonly yes?: true;
  readonly runHelper?: boolean;
  readonly runShell?: true;
  readonly guard?: true;
  readonly who?: string;
  readonly settings?: string;
  /** false: `--no-client`. */
  readonly client?: boolean;
  readonly project?: string;
}

/** `broker doctor`: which method wins in Claude Code and why. Exit codes: 0 nothing, 1 warnings, 2 something will fail. */
export function doctorCommand(io: ProcessIo, parts: DoctorParts = doctorParts(io)): Command {
  return new Command('doctor')
    .description('which authentication method wins in Claude Code and why, every trap, and one remedy for each')
    .option('--json', 'print JSON')
    .option('--fix', 'fix what is safe: modes and refresh intervals; shows each change first')
    .option('--yes', 'with --fix: also take keys out of settings and shell profiles (with a backup)')
    .option('--run-helper', "try the helper also if it comes from a project's settings")
    .option('--no-run-helper', 'do not try the helper')
    .option('--run-shell', 'start your shell, profiles and all, and ask it what it exports')
    .option('--guard', 'start the client on its own, to see whether `allow` works with it (Linux)')
    .option('--who <pid>', 'what the daemon would make of this process if it asked for a key with `allow`')
    .option('--settings <file-or-json>', 'judge as if claude was started with --settings and this: a file, or JSON')
    .option('--no-client', 'do not ask the installed client for its version and login')
    .option('--project <folder>', "the project's folder (default: the current one)")
    .action((options: DoctorOptions) => doctor(io, parts, options));
}

async function doctor(io: ProcessIo, parts: DoctorParts, options: DoctorOptions): Promise<void> {
  if (options.who !== undefined) return tellWho(io, parts, options.who, options.json === true);
  let report = await examine(io, parts, options);
  if (options.fix) {
    const changed = fixWhatIsSafe(io, report, options.yes === true);
    if (changed) report = await examine(io, parts, options);
  }
  io.stdout(options.json ? reportJson(report) : reportText(report, io.stdoutIsTty && !io.env['NO_COLOR']));
  io.setExitCode(exitCodeOf(report.findings));
}

/** Exit codes: 0 it would be served, 1 it would not. */
async function tellWho(io: ProcessIo, parts: DoctorParts, named: string, asJson: boolean): Promise<void> {
  const pid = /^[1-9]\d{0,9}$/.test(named) ? Number(named) : undefined;
  if (pid === undefined || io.platform !== 'linux') {
    const message = pid === undefined ? `"${named}" is not a process id` : '--who works on Linux only';
    throw new BrokerError('ERR_USAGE', message, { remedy: 'name a process that runs: broker doctor --who PID' });
  }
  const { credentials = [] } = (await parts.fetchStatus()) ?? {};
  const configured = ALLOW_WORDS.filter((word) => credentials.some(({ allow = [] }) => allow.includes(word)));
  const allow = configured.length === 0 ? (['claude-code'] as const) : configured;
  const attestor = new Attestor({ native: undefined, uid: io.uid, stateDir: stateDir(io) });
  const { facts, verdict } = attestor.examine(pid, allow);
  io.stdout(asJson ? json(whoJson(pid, allow, facts, verdict)) : whoText(pid, allow, facts, verdict));
  io.setExitCode(verdict.allowed ? 0 : 1);
}

export async function examine(io: ProcessIo, parts: DoctorParts, options: DoctorOptions): Promise<DoctorReport> {
  const { env, homeDir, platform } = io;
  const { config } = await loadOwnConfig(io, configFile(io));
  const systemRoot = parts.systemRoot ?? '/';
  const facts = await gatherFacts({
    ...parts,
    env: io.env,
    homeDir: io.homeDir,
    projectDir: path.resolve(options.project ?? process.cwd()),
    stateDir: stateDir(io),
    uid: io.uid,
    platform: io.platform,
    clock: io.clock,
    systemRoot,
    others: otherClients({ env, homeDir, platform, stateDir: stateDir(io), systemRoot, config }),
    flag: options.settings,
    asksClient: options.client !== false,
    ownHelpers: [locateHelper(io.env), stableHelper(stateDir(io))].filter((file) => file !== undefined),
    run: options.runHelper === undefined ? 'safe' : options.runHelper ? 'always' : 'never',
    askShell: options.runShell === true,
    sockets: socketCandidates(io).map((candidate) => candidate.path),
    proveAllow: options.guard,
  });
  return { facts, findings: runChecks(facts) };
}

/** What the doctor asks the daemon. */
export function doctorParts(io: ProcessIo): DoctorParts {
  return {
    fetchStatus: () =>
      connect(io)
        .status()
        .catch(() => undefined),
    config: () => ({ file: shellConfig(io), setUp: notSetUp(io)?.remedy }),
    fetchEvents: () => connect(io).events({ limit: RECENT_EVENTS }),
    differing: async () => (await configDifferences(io)).map(({ key }) => key),
    risks: () => configRisks(io),
    launchFlaw: () => launchFlaw(stateDir(io)),
    keyHome: (home) => keyHomeFacts(io, home),
    addressOf: async (provider) => {
      const values = (await daemonConfig(io))?.values ?? [];
      const address = values.find(({ key }) => key === `providers.${provider}.address`)?.value;
      return typeof address === 'string' ? address : undefined;
    },
  };
}

/** Faults are told by the daemon, which does not start with them. */
async function configRisks(io: ProcessIo): Promise<readonly ConfigRisk[]> {
  const file = configFile(io);
  const here = await loadOwnConfig(io, file);
  if (here.faults !== undefined) return [];
  return here.warnings.map(({ line, key, message, remedy }) => ({
    message: key === undefined ? message : `${key}: ${message}`,
    remedy,
    where: line === undefined ? file : `${file}:${line}`,
  }));
}

/**
 * Where this shell's environment would give other values than the daemon's does, for the doctor. Empty where there is
 * nothing to compare: no daemon, a file with faults (which is told elsewhere), or another file.
 */
async function configDifferences(io: ProcessIo): Promise<readonly Difference[]> {
  const daemon = await daemonConfig(io);
  const file = configFile(io);
  if (daemon === undefined || daemon.file !== file) return [];
  const here = await loadOwnConfig(io, file);
  if (here.faults !== undefined) return [];
  return differences(daemon.values, await here.effective()).filter(
    (each) => each.daemon?.origin.kind === 'env' || each.here?.origin.kind === 'env',
  );
}

async function keyHomeFacts(io: ProcessIo, home: KeyHome): Promise<KeyHomeFacts> {
  const daemon = await daemonConfig(io);
  const configured = daemon?.values.find(({ key }) => key === 'daemon.key_home')?.value;
  // Never starts a keyring program, and never has anybody asked for a password.
  const isOffered = home === 'file' && (io.platform !== 'darwin' || hasTeamIdentifier(process.execPath));
  const look = isOffered ? keyringOf(io) : undefined;
  const reply = await look?.({ action: 'look', service: KEK_SERVICE, account: 'look', mayStart: false });
  return {
    configuredKeyHome: typeof configured === 'string' ? configured : undefined,
    keyring: reply?.outcome === 'usable' ? 'usable' : 'none',
  };
}

/** Everything about repairs goes to stderr, so that stdout stays the report. */
function fixWhatIsSafe(io: ProcessIo, { facts, findings }: DoctorReport, yes: boolean): boolean {
  const foreign = new Set(
    facts.input.settings
      .filter(({ scope, uid }) => scope === 'managed' || scope === 'project' || uid !== io.uid)
      .map(({ file }) => file),
  );
  const secrets = secretsIn(facts);
  const say = (text: string) => io.stderr(`${scrub(text, secrets)}\n`);
  const repairs = planRepairs(findings, (file) => !foreign.has(file) && !file.startsWith('/etc/'));
  let changed = false;
  for (const each of repairs) {
    say(`${each.finding.title}\n${each.diff}`);
    if (each.needsYes && !yes) say('left as it is: this takes a key away, so it needs --yes');
    else changed = carryOut(io, each, say) || changed;
  }
  if (repairs.length === 0) say('there is nothing that --fix can fix');
  return changed;
}

function carryOut(io: ProcessIo, each: Repair, say: (text: string) => void): boolean {
  try {
    const copy = repair({ stateDir: stateDir(io), uid: io.uid, now: io.clock.wall() }, each);
    say(copy === undefined ? 'done' : `done; as it was: ${copy} (broker claude backups lists and deletes copies)`);
    return true;
  } catch (error) {
    say(`not done: ${error instanceof Error ? error.message : 'it failed'}`);
    return false;
  }
}
