import { hostname } from 'node:os';
import type { Config } from '../config/config.ts';
import { configError } from '../config/faults.ts';
import type { LoadedConfig, LoadResult } from '../config/load.ts';
import {
  stateDir as baseStateDir,
  firstUsable,
  type PathInputs,
  type Places,
  preparePlaces,
  socketCandidates,
} from '../config/paths.ts';
import { ConfigWatcher } from '../config/watch.ts';
import { BrokerError, describeError, shellWord } from '../errors.ts';
import { BoundedLog } from '../platform/bounded-log.ts';
import { type Clock, SystemClock, type Timer } from '../platform/clock.ts';
import { compiledProgram } from '../platform/compiled.ts';
import { isOnNetwork, removeUnfinished, replaceFile } from '../platform/files.ts';
import { canBeInspected, closeInspector } from '../platform/guard.ts';
import { Installation, launchAgentLog, logFileOf, VERSION } from '../platform/installation.ts';
import { describeForLog } from '../platform/log.ts';
import { LogFile } from '../platform/log-file.ts';
import { loadNative, type NativeBindings } from '../platform/native.ts';
import { type AdjustableLog, chooseLogFormat, createPinoLog } from '../platform/pino-log.ts';
import { isOwnFolder, isTaken } from '../platform/place-rules.ts';
import { Refusal } from '../platform/refusal.ts';
import { StateLock, type StateLockOptions } from '../platform/state-lock.ts';
import { timestamp } from '../platform/text.ts';
import { loadOwnConfig } from '../providers/own-config.ts';
import { providerDefinitions } from '../providers/registry.ts';
import { adoptSocket, bindSocket, type Listener, refuseConnections, takeInheritedSocket } from '../server/listener.ts';
import type { BrokerServer } from '../server/server.ts';
import { refreshStableHelper } from '../service/stable-helper.ts';
import { type ComposedDaemon, composeDaemon } from './compose.ts';
import { Idle } from './idle.ts';
import { harden, RunningMark, stopDaemon, untilStopped } from './lifecycle.ts';
import { BoundSocket, cachePlaces, HeldLock, PlaceKeeper, watchedFiles } from './places.ts';
import { SystemdNotifier } from './sd-notify.ts';
import { acquireForService, type StartContext, takeStartContext } from './start-lock.ts';

const EX_TEMPFAIL = 75;
/** After so long without a request memory is given back. */
const QUIET_MS = 20_000;
/** After the first request, so that what it called is kept compiled for the next start; a collection forgets some of it. */
const STARTED_MS = 1_000;

export interface DaemonOptions {
  /** The variables of the process: what was meant for this process alone (LISTEN_FDS, NOTIFY_SOCKET) is taken out. */
  readonly env: Record<string, string | undefined>;
  readonly homeDir: string;
  readonly uid: number;
  readonly platform: NodeJS.Platform;
  /** macOS: the caller's own folder for temporary files. */
  readonly userTempFolder?: string | undefined;
  readonly stderrIsTty: boolean;
  /** `--journal`: log lines carry the journal's priority prefixes. */
  readonly journal: boolean;
  /** `--config`, absolute. */
  readonly configFile?: string | undefined;
}

/** Runs until it is told to stop. @throws BrokerError why it cannot start. */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  // SQLite's files and Node's sockets are created with whatever the umask leaves.
  process.umask(0o077);
  const native = loadNative();
  harden(native);
  const { env } = options;
  const inheritedSocket = takeInheritedSocket(env, process.pid);
  const context = { ...takeStartContext(env), native, inheritedSocket, manager: new SystemdNotifier(env, native) };
  const clock = new SystemClock();
  try {
    const running = await startDaemon(options, context, clock);
    await runUntilStopped(running, context);
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    if (inheritedSocket !== undefined) await refuseConnections(inheritedSocket, error, clock);
    if (!context.manager.endsQuietly(error)) throw error;
    process.stderr.write(`${describeError(error)}\n`);
  }
}

interface Context extends StartContext {
  readonly native: NativeBindings | undefined;
  readonly inheritedSocket: number | undefined;
  readonly manager: SystemdNotifier;
}

interface RunningDaemon {
  readonly daemon: ComposedDaemon;
  readonly socket: BoundSocket;
  readonly keeper: PlaceKeeper;
  readonly mark: RunningMark;
  readonly displaced: Promise<void>;
  readonly places: Places;
  readonly watcher: ConfigWatcher;
  readonly log: BoundedLog;
  readonly idleForLong: Promise<void>;
  readonly timers: readonly { stop(): void }[];
}

async function startDaemon(options: DaemonOptions, context: Context, clock: Clock): Promise<RunningDaemon> {
  const installation = new Installation();
  const inputs: PathInputs = { ...options };
  const prepared = preparePlaces(inputs);
  const places = { ...prepared, configFile: options.configFile ?? prepared.configFile };
  const lock = await lockState(places.stateDir, context, clock);
  const refusal = new Refusal(places.stateDir, places.configFile, [process.execPath, ...process.argv.slice(1, 2)]);
  const log = new BoundedLog(await createLog(options, context, places.stateDir), clock);
  try {
    const running = await startLocked(options, { ...context, installation, inputs, places, lock, refusal, log }, clock);
    refusal.remove();
    return running;
  } catch (error) {
    log.close();
    // One that a person started may have been given another configuration than the helpers' own.
    if (context.byHelper || context.manager.isService) refusal.leave(error, clock.wall());
    throw error;
  }
}

/** Standard error, unless nobody keeps what is written there, or keeps it for ever. */
function createLog(options: DaemonOptions, { byHelper, manager }: Context, stateDir: string): Promise<AdjustableLog> {
  const file = byHelper ? logFileOf(stateDir) : manager.isLaunchAgent ? launchAgentLog(options.homeDir) : undefined;
  if (file !== undefined) return createPinoLog({ format: 'json', write: new LogFile(file).write });
  const { env, stderrIsTty: isTty, journal } = options;
  return createPinoLog({ format: chooseLogFormat({ env, isTty, journal }) });
}

interface LockedContext extends Context {
  readonly installation: Installation;
  readonly inputs: PathInputs;
  readonly places: Places;
  readonly lock: StateLock;
  readonly refusal: Refusal;
  readonly log: BoundedLog;
}

async function startLocked(options: DaemonOptions, context: LockedContext, clock: Clock): Promise<RunningDaemon> {
  const { env, uid, homeDir } = options;
  const { native, byHelper, installation, inputs, places, lock, refusal, log } = context;
  let daemon: ComposedDaemon | undefined;
  let exit: Idle | undefined;
  // Only a daemon that a helper started leaves when it has not been asked for a while: the next helper starts another.
  const exitLimitMs = (config: Config) => (byHelper ? config.daemon.idleExitMs : 0);
  // While a keyring is asked for the key there is no daemon yet that could take over anything.
  let early: LoadResult | undefined;
  const watcher = new ConfigWatcher({
    file: places.configFile,
    load: () => loadOwnConfig(options, places.configFile),
    after: (delayMs, callback) => clock.after(delayMs, callback),
    onChange: (result) => {
      if (daemon === undefined) early = result;
      else exit?.setLimit(exitLimitMs(takeOver(daemon, result, log)));
    },
    onTrouble: ({ message }) => log.warn({ reason: message }, 'the configuration is not watched: SIGHUP reloads it'),
    isBusy: options.platform === 'darwin' ? (folder) => holds(folder, homeDir) : undefined,
  });
  const loaded = await watcher.start();
  if (loaded.faults !== undefined) throw refusal.ofConfiguration(configError(loaded.faults));
  const config = accepted(loaded, log);
  const mark = new RunningMark(places.stateDir);
  const program = compiledProgram();
  if (program !== undefined) removeUnfinished(program.file);
  daemon = await composeDaemon({
    config,
    afterUncleanEnd: mark.wasLeft,
    places,
    definitions: providerDefinitions,
    log,
    native,
    installation,
    env,
    homeDir,
    uid,
    enrolmentDir: baseStateDir(inputs),
  });
  if (early !== undefined) takeOver(daemon, early, log);
  const { cache, server, facts } = daemon;
  const bind = (from: Binding) => listen(server, inputs, native, log, from);
  let listener: Listener;
  try {
    listener = await bind({ inherited: context.inheritedSocket });
  } catch (error) {
    // A timer would keep the process, and with it the lock.
    watcher.close();
    daemon.afterCalls.stop();
    await daemon.broker.stop();
    cache.close();
    throw error;
  }
  const quiet = new Idle(daemon.clock, QUIET_MS, daemon.releaseMemory);
  const { promise: idleForLong, resolve } = Promise.withResolvers<void>();
  exit = new Idle(daemon.clock, exitLimitMs(daemon.config()), resolve);
  const idles = [quiet, exit];
  let keeping: Timer | undefined;
  daemon.server.onRequest((nowMs) => {
    keeping ??= clock.after(STARTED_MS, () => keepCompiled(places, daemon.cache.isOnDisk, log));
    for (const idle of idles) idle.noteAsk(nowMs);
  });
  const bindAgain = () => bind({ aside: `replaced-${timestamp(clock.wall())}` });
  const socket = new BoundSocket(listener, bindAgain, ({ path }) => {
    facts.socket = path;
    lock.record(path);
  });
  mark.keep();
  refreshStableHelper(baseStateDir(inputs), uid);
  const { promise: displaced, resolve: onDisplaced } = Promise.withResolvers<void>();
  const keeper = new PlaceKeeper({
    places: [new HeldLock(lock, places.stateDir, uid), socket, ...cachePlaces(daemon, places.stateDir)],
    watched: () => watchedFiles([socket.listener.path, lock.path], homeDir),
    isRight: (name) => name.startsWith('broker.log') || (name.startsWith('cache.db') && cache.isInPlace()),
    clock,
    log,
    onDisplaced,
  });
  facts.places = () => keeper.reports();
  daemon.onTick = () => {
    watcher.look();
    void keeper.look();
  };
  void keeper.start();
  daemon.sinks.adopt(daemon.config());
  const stopKeeping = () => {
    keeping?.cancel();
    keeping ??= { cancel: () => undefined };
  };
  const timers = [...idles, daemon.afterCalls, { stop: stopKeeping }];
  return { daemon, socket, keeper, mark, displaced, places, watcher, log, idleForLong, timers };
}

/** For the next start. Machines that share a home would each write their own; who wants nothing on the disk gets nothing there. */
function keepCompiled({ isNetworkFileSystem }: Places, mayWrite: boolean, log: AdjustableLog): void {
  const program = compiledProgram();
  const bytes = program?.settle();
  if (program === undefined || bytes === undefined || isNetworkFileSystem || !mayWrite) return;
  try {
    replaceFile(program.file, bytes, { mode: 0o600 });
  } catch (error) {
    log.debug({ reason: describeForLog(error) }, 'the compiled program could not be kept: the next start takes longer');
  }
}

/** `folder` is `path`, or one above it. */
function holds(folder: string, path: string): boolean {
  return `${path}/`.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
}

async function runUntilStopped(running: RunningDaemon, { manager, byHelper }: Context) {
  const { daemon, socket, keeper, mark, displaced, places, watcher, log, idleForLong, timers } = running;
  const stopped = untilStopped(() => {
    manager.reloading();
    watcher.reload().finally(() => manager.reloaded());
  });
  const { configFile, stateDir } = places;
  const { facts } = daemon;
  // A SIGUSR1 from before there was a listener may have opened one since.
  if (canBeInspected()) closeInspector();
  log.info({ version: VERSION, socket: facts.socket, config: configFile, state: stateDir }, 'broker is ready');
  manager.ready(daemon.clock);
  const reason = await Promise.race([
    stopped,
    idleForLong.then(() => 'idle' as const),
    daemon.needsRestart.then(() => 'replaced' as const),
    displaced.then(() => 'displaced' as const),
  ]);
  // A service manager starts a service again that failed.
  if (reason === 'replaced') process.exitCode = EX_TEMPFAIL;
  log.info({ reason }, 'stopping');
  manager.stopping();
  watcher.close();
  await keeper.close();
  for (const timer of timers) timer.stop();
  const isOrdered = reason !== 'idle' && reason !== 'replaced' && reason !== 'displaced';
  // What was kept in memory alone no later daemon can revoke.
  const revokes = daemon.config().daemon.revokeOnExit || !daemon.cache.isOnDisk;
  const isRealStop = isOrdered && revokes && (await isForGood(manager, daemon.clock, log));
  await stopDaemon(daemon, socket.listener, isRealStop, log);
  // It is another daemon's by now.
  if (reason !== 'displaced') mark.remove();
  log.close();
  // The helper that started it may not have been answered yet: told of the signal, it starts another.
  if (byHelper && isOrdered) dieOf(reason);
}

/** Ends as if the signal had not been caught, so that the parent sees which one it was (wait(2)). */
function dieOf(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}

async function isForGood(manager: SystemdNotifier, clock: Clock, log: AdjustableLog): Promise<boolean> {
  const next = await manager.whatFollows(clock);
  if (next === 'unknown') {
    const remedy = 'to revoke them, before stopping the service: broker invalidate NAME';
    log.warn({ remedy }, 'leases are not revoked: the service manager does not say whether this is a restart');
  }
  return next === 'stop';
}

async function lockState(folder: string, { native, lockFd, byHelper, manager }: Context, clock: Clock) {
  const options: StateLockOptions = {
    folder,
    pid: process.pid,
    host: hostname(),
    startedByHelper: byHelper,
    inheritedFd: lockFd,
    flock: native && ((fd) => native.flock(fd)),
  };
  return manager.isService ? await acquireForService(options, clock) : StateLock.acquire(options);
}

function accepted(result: LoadedConfig, log: AdjustableLog): LoadedConfig {
  log.level = result.config.daemon.logLevel;
  for (const { message, remedy, key, line } of result.warnings) log.warn({ setting: key, line, remedy }, message);
  return result;
}

/** A daemon that runs keeps its last good configuration. Returns the one in force. */
function takeOver(daemon: ComposedDaemon, result: LoadResult, log: AdjustableLog): Config {
  if (result.faults === undefined) {
    daemon.reconfigure(accepted(result, log));
    log.info({}, 'took over the changed configuration');
    return daemon.config();
  }
  const { message, remedy } = configError(result.faults);
  daemon.facts.configProblem = message;
  log.error({ remedy }, `the changed configuration is not taken over: ${message}`);
  return daemon.config();
}

interface Binding {
  /** What the service manager handed down. */
  readonly inherited?: number | undefined;
  /** As in SocketPlace. */
  readonly aside?: string;
}

/** An inherited socket is answered on wherever it is; else the first place that applies is bound. */
async function listen(
  server: BrokerServer,
  inputs: PathInputs,
  native: NativeBindings | undefined,
  log: AdjustableLog,
  { inherited, aside }: Binding,
): Promise<Listener> {
  const { uid, platform } = inputs;
  const { place, taken } = firstUsable(socketCandidates(inputs), platform, {
    isOwn: (folder) => isOwnFolder(folder, uid),
    isTaken: (folder) => isTaken(folder, uid),
    isOnNetwork,
  });
  if (inherited !== undefined) return adoptSocket(server.socket, inherited, place.path);
  if (taken !== undefined) {
    const remedy = `look at who made it, and have it removed: sudo rm -r ${shellWord(taken)}`;
    log.warn({ socket: place.path, remedy }, `another user has taken ${taken}: the socket is in another place`);
  }
  return bindSocket(server.socket, { ...place, uid, aside }, native);
}
