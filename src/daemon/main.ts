import { hostname } from 'node:os';
import { configError } from '../config/faults.ts';
import { type LoadedConfig, type LoadResult, loadConfig } from '../config/load.ts';
import { firstUsable, type PathInputs, socketCandidates } from '../config/paths.ts';
import { ConfigWatcher } from '../config/watch.ts';
import { loadNative } from '../platform/native.ts';
import { type AdjustableLog, chooseLogFormat, createPinoLog } from '../platform/pino-log.ts';
import { isOwnFolder } from '../platform/private-folder.ts';
import { StateLock } from '../platform/state-lock.ts';
import { SystemClock } from '../platform/system-clock.ts';
import { VERSION } from '../platform/version.ts';
import { providerDefinitions } from '../providers/registry.ts';
import { adoptSocket, bindSocket, type Listener } from '../server/listener.ts';
import { takeInheritedSocket } from '../server/socket-activation.ts';
import { type ComposedDaemon, composeDaemon } from './compose.ts';
import { harden, stopDaemon, untilStopped } from './lifecycle.ts';
import { preparePlaces } from './places.ts';
import { ServiceManager } from './service-manager.ts';

export interface DaemonOptions {
  /** The variables of the process: what was meant for this process alone (LISTEN_FDS, NOTIFY_SOCKET) is taken out. */
  readonly env: Record<string, string | undefined>;
  readonly homeDir: string;
  readonly uid: number;
  readonly platform: NodeJS.Platform;
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
  const { env, uid, homeDir, platform } = options;
  const inputs: PathInputs = { env, uid, homeDir, platform };
  const inheritedSocket = takeInheritedSocket(env, process.pid);
  const manager = new ServiceManager(env, native);
  const prepared = preparePlaces(inputs);
  const places = { ...prepared, configFile: options.configFile ?? prepared.configFile };
  const lock = StateLock.acquire({
    folder: places.stateDir,
    pid: process.pid,
    host: hostname(),
    flock: native && ((fd) => native.flock(fd)),
  });
  const log = await createPinoLog({
    format: chooseLogFormat({ env, isTty: options.stderrIsTty, journal: options.journal }),
  });
  let daemon: ComposedDaemon | undefined;
  const bootstrapClock = new SystemClock();
  const watcher = new ConfigWatcher({
    file: places.configFile,
    load: () => loadConfig({ file: places.configFile, types: providerDefinitions, env, homeDir, uid }),
    after: (delayMs, callback) => bootstrapClock.after(delayMs, callback),
    onChange: (result) => daemon && takeOver(daemon, result, log),
    onTrouble: ({ message }) => log.warn({ reason: message }, 'the configuration is not watched: SIGHUP reloads it'),
  });
  const config = accepted(await watcher.start(), log);
  daemon = composeDaemon({ config, places, definitions: providerDefinitions, log, native, env, homeDir, uid });
  const listener = await listen(daemon, inputs, inheritedSocket);
  daemon.facts.socket = listener.path;
  lock.record(listener.path);
  const { configFile, stateDir } = places;
  log.info({ version: VERSION, socket: listener.path, config: configFile, state: stateDir }, 'broker is ready');
  manager.ready(daemon.clock);
  const signal = await untilStopped(() => {
    manager.reloading();
    watcher.reload().finally(() => manager.reloaded());
  });
  log.info({ signal }, 'stopping');
  manager.stopping();
  watcher.close();
  const revokeLeases = daemon.config().daemon.revokeOnExit && (await manager.isRealStop());
  await stopDaemon(daemon, listener, revokeLeases, log);
}

function accepted(result: LoadResult, log: AdjustableLog): LoadedConfig {
  if (result.faults !== undefined) throw configError(result.faults);
  log.level = result.config.daemon.logLevel;
  for (const { message, remedy } of result.warnings) log.warn({ remedy }, message);
  return result;
}

/** A daemon that runs keeps its last good configuration. */
function takeOver(daemon: ComposedDaemon, result: LoadResult, log: AdjustableLog): void {
  if (result.faults === undefined) {
    daemon.reconfigure(accepted(result, log));
    log.info({}, 'took over the changed configuration');
    return;
  }
  const { message, remedy } = configError(result.faults);
  daemon.facts.configProblem = message;
  log.error({ remedy }, `the changed configuration is not taken over: ${message}`);
}

/** An inherited socket is answered on wherever it lies; else the first place that applies is bound. */
async function listen(
  { server }: ComposedDaemon,
  inputs: PathInputs,
  inheritedSocket: number | undefined,
): Promise<Listener> {
  const candidates = socketCandidates(inputs);
  const place = firstUsable(candidates, inputs.platform, (folder) => isOwnFolder(folder, inputs.uid));
  return inheritedSocket === undefined
    ? bindSocket(server.http, { ...place, uid: inputs.uid })
    : adoptSocket(server.http, inheritedSocket, place.path);
}
