import { spawn } from 'node:child_process';
import { Command, Option } from 'commander';
import { notSetUp } from '../../config/paths.ts';
import { BrokerError } from '../../errors.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { installForEveryone, planForEveryone, uninstallForEveryone } from '../../service/everyone.ts';
import { askStatus, bringUp } from '../../service/health.ts';
import { type InstallOptions, type InstallPlan, Service } from '../../service/service.ts';
import { json, versionDifference } from '../output.ts';

interface InstallWords {
  readonly dryRun?: true;
  readonly json?: true;
  readonly copyRuntime?: true;
  readonly autostart: boolean;
  readonly sandbox?: 'full' | 'basic';
  readonly everyone?: true;
}

const EX_UNAVAILABLE = 69;
const SET_UP = 'broker is not set up; run: broker setup\n';
const MASK = 'systemctl --user mask --now broker.socket broker.service';

/** `broker service install|uninstall|start|stop|restart|status|logs`. */
export function serviceCommand(io: ProcessIo): Command {
  const command = new Command('service').description('run the daemon as a systemd user service or a launchd agent');
  command
    .command('install')
    .description('install or update the service, start it, and wait until it answers')
    .option('--dry-run', 'show what would be written, change nothing')
    .option('--json', 'print JSON')
    .option('--copy-runtime', 'keep a copy of this Node in the state folder, for version managers that remove theirs')
    .option('--no-autostart', 'the helper does not start the daemon when none answers')
    .addOption(
      new Option(
        '--sandbox <how>',
        'basic leaves out what needs user namespaces; default: as much as works here',
      ).choices(['full', 'basic']),
    )
    .option('--everyone', 'as root: units for every user of this machine, one daemon each')
    .action((words: InstallWords) => (words.everyone ? installEveryone(io, words) : install(io, words)));
  command
    .command('uninstall')
    .description('stop the service and remove it; the state stays')
    .option('--json', 'print JSON')
    .option('--everyone', 'as root: what install --everyone installed')
    .action((words: { json?: true; everyone?: true }) => uninstall(io, words.json === true, words.everyone === true));
  const steer = (name: 'start' | 'restart', description: string) =>
    command
      .command(name)
      .description(description)
      .action(async () => {
        const service = new Service(io);
        await requireAnything(io, service);
        if (name === 'restart') await requireGoodConfiguration(io);
        const { daemon } = await bringUp(io, service.manager, () => service[name]());
        io.stdout(`running, pid ${daemon.pid}\n`);
      });
  steer('start', 'start the service and wait until it answers');
  command
    .command('stop')
    .description('stop the service; the helper does not start it again until you do')
    .action(async () => {
      const service = new Service(io);
      await requireAnything(io, service);
      await service.stop();
      io.stdout('stopped; start it again with: broker service start\n');
    });
  steer('restart', 'restart the service; helpers that ask meanwhile wait');
  command
    .command('status')
    .description('whether the service is installed and runs; exit code 69 if it does not run')
    .option('--json', 'print JSON')
    .action((words: { json?: true }) => status(io, words.json === true));
  command
    .command('logs')
    .description('the newest lines of the log')
    .option('-f, --follow', 'go on until interrupted')
    .option('-n, --lines <count>', 'how many lines', '50')
    .action((words: { follow?: true; lines: string }) => showLogs(io, words));
  return command;
}

/** Where nothing was ever set up, nothing can be started or stopped. */
async function requireAnything(io: ProcessIo, service: Service): Promise<void> {
  const fresh = notSetUp(io);
  if (fresh !== undefined && !(await service.state()).installed && (await askStatus(io)) === undefined) throw fresh;
}

/** A daemon that runs has its last good configuration; the one after it would have none. */
async function requireGoodConfiguration(io: ProcessIo): Promise<void> {
  const running = await askStatus(io);
  if (running === undefined || running.configProblem === null) return;
  throw new BrokerError('ERR_CONFIG', `not restarted, as the daemon could not start again: ${running.configProblem}`, {
    remedy: 'it goes on with its last good configuration; fix the file, then run: broker config validate',
  });
}

async function install(io: ProcessIo, words: InstallWords): Promise<void> {
  const service = new Service(io);
  const options: InstallOptions = {
    execPath: process.execPath,
    copyRuntime: words.copyRuntime === true,
    autostart: words.autostart,
    sandbox: words.sandbox,
  };
  if (words.dryRun) {
    const plan = await service.plan(options);
    io.stdout(words.json ? json({ dryRun: true, ...plan }) : describePlan(plan));
    return warn(io, plan);
  }
  const { done: plan, daemon } = await bringUp(io, service.manager, () => service.install(options));
  if (words.json) io.stdout(json({ dryRun: false, ...plan, daemon: { pid: daemon.pid, socket: daemon.socket } }));
  else {
    for (const { path } of plan.files) io.stdout(`wrote ${path}\n`);
    io.stdout(`running, pid ${daemon.pid}, at ${daemon.socket}\n`);
    if (plan.manager === 'none')
      io.stdout('There is no service manager here: the helper starts the daemon when it needs one.\n');
    io.stdout(`helper: ${plan.helper}\n`);
  }
  warn(io, plan);
}

async function installEveryone(io: ProcessIo, { dryRun, json: asJson, sandbox }: InstallWords): Promise<void> {
  const plan = planForEveryone(process.execPath, sandbox, io.env['PATH']);
  if (!dryRun) await installForEveryone(io, plan);
  const { command, warnings } = plan.daemon;
  if (asJson) io.stdout(json({ dryRun: dryRun === true, command, files: plan.files, warnings }));
  else for (const { path, content } of plan.files) io.stdout(dryRun ? `# ${path}\n${content}\n` : `wrote ${path}\n`);
  if (!asJson && !dryRun)
    io.stdout("each user's daemon starts when that user's helper first asks, from the next login on\n");
  for (const warning of warnings) io.stderr(`warning: ${warning}\n`);
}

function describePlan({ manager, files, command, launchFile, helper }: InstallPlan): string {
  const parts = files.map(({ path, content }) => `# ${path}\n${content}\n`);
  const words = [
    `manager: ${manager}`,
    `command: ${command.join(' ')}`,
    `launch file: ${launchFile}`,
    `helper: ${helper}`,
  ];
  return `${parts.join('')}${words.join('\n')}\n`;
}

function warn(io: ProcessIo, { warnings }: InstallPlan): void {
  for (const warning of warnings) io.stderr(`warning: ${warning}\n`);
}

async function uninstall(io: ProcessIo, asJson: boolean, everyone: boolean): Promise<void> {
  if (everyone) {
    const removed = await uninstallForEveryone(io);
    return io.stdout(asJson ? json({ removed }) : removed.map((file) => `removed ${file}\n`).join(''));
  }
  const service = new Service(io);
  const removed = await service.uninstall();
  const { installed, source } = await service.state();
  const kept = installed ? (source ?? null) : null;
  if (asJson) return io.stdout(json({ removed, kept, state: service.stateDir }));
  for (const file of removed) io.stdout(`removed ${file}\n`);
  if (kept !== null) io.stdout(`${kept} stays: something else put it there; to do without: ${MASK}\n`);
  else if (removed.length === 0) io.stdout('no service was installed\n');
  io.stdout(
    `The state (keys, encrypted, and the helper) stays in ${service.stateDir}; remove it with: rm -r '${service.stateDir}'\n`,
  );
}

async function status(io: ProcessIo, asJson: boolean): Promise<void> {
  const service = new Service(io);
  const state = await service.state();
  const daemon = await askIfRunning(io, state.running);
  const running = state.running || daemon !== undefined;
  if (!running) io.setExitCode(EX_UNAVAILABLE);
  if (asJson) return io.stdout(json({ manager: service.manager.kind, ...state, daemon: daemon ?? null }));
  const installed = state.installed ? `installed, ${state.enabled ? 'enabled' : 'not enabled'}` : 'not installed';
  io.stdout(`${installed}; ${state.detail}\n`);
  if (state.stoppedOnPurpose) io.stdout('stopped on purpose; start it with: broker service start\n');
  io.stdout(
    daemon === undefined ? 'no daemon answers\n' : `broker ${daemon.version}, pid ${daemon.pid}, at ${daemon.socket}\n`,
  );
  const difference = daemon && versionDifference(daemon.version);
  if (difference !== undefined) io.stderr(`warning: ${difference.text}\nhint: ${difference.remedy}\n`);
  if (!state.installed) io.stdout(notSetUp(io) === undefined ? 'install it with: broker service install\n' : SET_UP);
}

/** Looking must not start it: a connection to the socket of a stopped service would. */
async function askIfRunning(io: ProcessIo, running: boolean) {
  const service = new Service(io);
  return running || service.manager.kind === 'none' ? await askStatus(io) : undefined;
}

/** journalctl(1)'s way to say that it found none. */
const NO_ENTRIES = '-- No entries --';

/** `broker service logs [--follow] [--lines COUNT]`: the service manager's own program, passed through. */
async function showLogs(io: ProcessIo, { follow, lines }: { follow?: true; lines: string }): Promise<void> {
  if (!/^[1-9]\d{0,5}$/.test(lines)) {
    throw new BrokerError('ERR_USAGE', `--lines takes a number, not ${lines}`, { remedy: 'try: --lines 100' });
  }
  const { manager } = new Service(io);
  const [program = '', ...args] = manager.logCommand({ lines: Number(lines), follow: follow === true });
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...io.env }, signal: io.signal });
  let found = false;
  child.stdout.on('data', (text: Buffer) => {
    found ||= text.toString().trim() !== NO_ENTRIES;
    io.stdout(text);
  });
  child.stderr.on('data', (text: Buffer) => io.stderr(text.toString()));
  await new Promise<void>((resolve, reject) => {
    child.once('close', (code) => {
      if (code !== null) io.setExitCode(code === 0 ? 0 : EX_UNAVAILABLE);
      resolve();
    });
    child.once('error', (error) => {
      if (error.name === 'AbortError') return;
      reject(new BrokerError('ERR_DAEMON_UNREACHABLE', `cannot run ${program}: ${error.message}`, { cause: error }));
    });
  });
  if (!found && !io.signal.aborted) io.stderr(`hint: ${notSetUp(io)?.remedy ?? manager.logRemedy}\n`);
}
