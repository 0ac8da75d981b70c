import path from 'node:path';
import type { BrokerPorts } from '../broker/api.ts';
import { Broker } from '../broker/broker.ts';
import { leftOnDisk, openCache, openMemoryCache } from '../cache/open.ts';
import type { SqliteCache } from '../cache/sqlite-cache.ts';
import type { Config } from '../config/config.ts';
import type { LoadedConfig } from '../config/load.ts';
import { type Places, sinkFile } from '../config/paths.ts';
import { currentProcessSpace } from '../platform/boot.ts';
import { Attestor } from '../platform/caller-facts.ts';
import { ClientIdentity } from '../platform/client-identity.ts';
import { SystemClock, systemRandom } from '../platform/clock.ts';
import { fingerprintFiles } from '../platform/files.ts';
import { type Installation, VERSION } from '../platform/installation.ts';
import { keyringOf } from '../platform/keyring-child.ts';
import { type NativeBindings, releaseMemory, watchExit } from '../platform/native.ts';
import type { AdjustableLog } from '../platform/pino-log.ts';
import { nativeProcessReader, procReader } from '../platform/process-tree.ts';
import type { PlaceReport } from '../protocol/reports.ts';
import { IDLE_SOCKET_MS, type ProviderDefinition } from '../providers/provider.ts';
import { clientFormats } from '../server/formats.ts';
import { fitLimits } from '../server/limits.ts';
import type { Administration } from '../server/routes.ts';
import { BrokerServer } from '../server/server.ts';
import { Later } from './idle.ts';
import { prepareSetup, UpgradeWatch } from './provider-sources.ts';
import { Sinks } from './sinks.ts';

interface DaemonParts {
  readonly config: LoadedConfig;
  readonly places: Places;
  readonly definitions: readonly ProviderDefinition[];
  readonly log: AdjustableLog;
  readonly installation: Installation;
  readonly native: NativeBindings | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly uid: number;
  /** Where `broker claude install` keeps its records. */
  readonly enrolmentDir: string;
  /** The last daemon with this state folder was killed or lost power. */
  readonly afterUncleanEnd: boolean;
}

/** A daemon that is built but not yet listening. */
export interface ComposedDaemon {
  readonly broker: Broker;
  readonly server: BrokerServer;
  readonly cache: SqliteCache;
  readonly clock: SystemClock;
  /** Adopt the configuration when the daemon is ready. */
  readonly sinks: Sinks;
  /** A changed configuration takes over. */
  reconfigure(loaded: LoadedConfig): void;
  /** For the status: where the daemon listens, why a changed configuration was not taken over, what became of its files. */
  readonly facts: {
    socket: string;
    configProblem: string | undefined;
    places: () => readonly PlaceReport[];
  };
  /** Called about once a minute while anything is scheduled, and after a wake. */
  onTick: () => void;
  /** Releases memory a moment after a provider was called. */
  readonly afterCalls: Later;
  readonly releaseMemory: () => void;
  /** Brings the cache and its database together again, if something changed that kept them apart. */
  readonly reachCache: () => Promise<void>;
  /** The one in force. */
  config(): Config;
  /** Resolves when another process should take over: the program was replaced under this one. */
  readonly needsRestart: Promise<void>;
}

/**
 * How long what libraries made of a secret may lie about after a provider was called. Collecting it takes 10 to 30 ms.
 * An open connection keeps its last request, which has the token, until it is closed.
 */
const GARBAGE = { soonMs: 3_000, lastMs: IDLE_SOCKET_MS + 2_000 };

/** The one place where the parts of the daemon meet. */
export async function composeDaemon(parts: DaemonParts): Promise<ComposedDaemon> {
  const { places, log, native, env, homeDir } = parts;
  const { config } = parts.config;
  const openFiles = native?.fileLimit();
  const { limits, problem, remedy } = fitLimits(openFiles);
  if (problem !== undefined) log.warn({ remedy }, problem);
  // Before there is a socket: an ask waits for the key of the cache within its own deadline.
  const cache = await openConfigured(parts);
  // Told while some other code reads the clock, so what follows from it happens a turn later.
  const clock: SystemClock = new SystemClock({
    timeline: cache.timeline(),
    bootTimeMs: native?.bootTimeMs,
    awakeTimeMs: process.platform === 'darwin' ? native?.awakeTimeMs : undefined,
    onJump: (jump) => setImmediate(() => onJump(jump)),
  });
  const identity = new ClientIdentity(native === undefined ? procReader : nativeProcessReader(native));
  const release = () => {
    cache.releaseMemory();
    releaseMemory(native);
  };
  const afterCalls = new Later(clock, GARBAGE, release);
  const ports: BrokerPorts = {
    clock,
    random: systemRandom,
    log,
    cache,
    fingerprintFiles,
    afterUncleanEnd: parts.afterUncleanEnd,
    isAlive: (client) => identity.isAlive(client),
    watchExit: (client, onExit) => watchExit(native, client.pid, () => identity.isAlive(client), onExit),
    settingsOf: (client) => identity.settingsOf(client),
    processSpace: currentProcessSpace(),
    onCall: afterCalls.note,
    onTick: () => {
      cache.saveTimeline(clock.timeline());
      void cache.reach().then((joined) => joined && broker.reloadCache());
      composed.onTick();
    },
  };
  const facts: ComposedDaemon['facts'] = { socket: '', configProblem: undefined, places: () => [] };
  const startedAtMs = clock.now();
  const upgrade = new UpgradeWatch(parts.installation, log);
  let inForce = parts.config;
  const setup = (next: Config) =>
    prepareSetup(next, {
      definitions: parts.definitions,
      cache,
      clock,
      log,
      env,
      homeDir,
      stateDir: places.stateDir,
      upgrade,
    });
  const broker: Broker = new Broker(ports, setup(config), () => ({
    version: VERSION,
    pid: process.pid,
    startedAtMs,
    socket: facts.socket,
    configFile: places.configFile,
    stateDir: places.stateDir,
    node: process.versions.node,
    peerCredentials: native === undefined ? 'hints' : 'kernel',
    configProblem: facts.configProblem,
    places: facts.places(),
    limits: {
      openFiles: openFiles ?? null,
      connections: limits.connectionsAtMost,
      problem: problem ?? null,
      remedy: remedy ?? null,
    },
    cache: cache.health(),
    sinkOf: (name) => sinks.report(name),
  }));
  const sinks: Sinks = new Sinks({
    broker,
    clock,
    log,
    pathOf: (written) => sinkFile(written, { env, uid: parts.uid }),
    uid: parts.uid,
  });
  const onJump = (jump: object) => {
    log.info(jump, 'the machine slept or its clock was set');
    broker.noticeWake();
    composed.onTick();
  };
  const attestor = new Attestor({ native, uid: parts.uid, stateDir: parts.enrolmentDir });
  const peers = {
    peerCredentials: credentialsReader(native, config),
    attest: attestor.attest.bind(attestor),
    identify: identity.identify.bind(identity),
  };
  const server = new BrokerServer({
    service: broker,
    clock,
    log,
    uid: parts.uid,
    limits,
    administration: administrationOf(broker, cache, () => inForce),
    formats: clientFormats((credential) => inForce.config.credentials.get(credential)?.header),
    peers,
    direct: native,
    firstRemedy: () =>
      facts.configProblem === undefined
        ? undefined
        : `${path.basename(places.configFile)} has a fault: broker config validate`,
  });
  cache.saveTimeline(clock.timeline());
  const composed: ComposedDaemon = {
    broker,
    server,
    cache,
    clock,
    sinks,
    facts,
    afterCalls,
    releaseMemory: release,
    onTick: () => {},
    reachCache: async () => {
      if (await cache.reachIfChanged()) broker.reloadCache();
    },
    config: () => inForce.config,
    needsRestart: upgrade.needsRestart,
    reconfigure: (taken) => {
      const next = taken.config;
      inForce = taken;
      facts.configProblem = undefined;
      log.level = next.daemon.logLevel;
      peers.peerCredentials = credentialsReader(native, next);
      broker.reconfigure(setup(next));
      sinks.adopt(next);
    },
  };
  return composed;
}

function openConfigured({ config: { config }, places, env, log }: DaemonParts): Promise<SqliteCache> | SqliteCache {
  const { cache, keyHome } = config.daemon;
  if (cache === 'memory') {
    const left = leftOnDisk(places.stateDir);
    if (left !== undefined) log.warn({ remedy: left.remedy }, left.problem);
    return openMemoryCache();
  }
  return openCache({
    stateDir: places.stateDir,
    networkFileSystem: places.isNetworkFileSystem,
    credentialsDir: env['CREDENTIALS_DIRECTORY'],
    keyHome,
    askKeyring: keyringOf({ env, platform: process.platform, clock: new SystemClock() }),
    log,
    wallMs: () => Date.now(),
  });
}

/**
 * Where some credential has `allow`, and the kernel gives no descriptor of who connected (Linux before 6.5; it tells no parent
 * then), the start time of the process is read at once: whoever has its pid later is recognised by another one.
 */
function credentialsReader(native: NativeBindings | undefined, { credentials }: Config) {
  if (native === undefined || ![...credentials.values()].some(({ allow }) => allow !== undefined)) {
    return native?.peerCredentials;
  }
  return (fd: number) => {
    const peer = native.peerCredentials(fd);
    if (peer.ppid !== undefined) return peer;
    return { ...peer, startTime: native.processParent(peer.pid)?.startTime };
  };
}

/** What a person may do to a daemon that runs. */
function administrationOf(broker: Broker, cache: SqliteCache, inForce: () => LoadedConfig): Administration {
  return {
    config: async () => ({ file: inForce().config.file, values: await inForce().effective() }),
    rotateKey: async (request) => {
      const wasInMemory = cache.health().keyHome === undefined;
      try {
        return await cache.rotateKey(request);
      } finally {
        // The person may have unlocked the keyring for it, and what was stored has joined what is in memory.
        if (wasInMemory && cache.health().keyHome !== undefined) broker.reloadCache();
      }
    },
    takeLogin: (provider, token) => broker.takeLogin(provider, token),
    dropLogin: (provider) => broker.dropLogin(provider),
  };
}
