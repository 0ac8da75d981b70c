import { hostname } from 'node:os';
import { join } from 'node:path';
import { openCache } from '../cache/open.ts';
import type { DaemonConfig } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { type PathInputs, preparePlaces } from '../config/paths.ts';
import { keyringOf } from '../crypto/keyring-child.ts';
import { BrokerError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { loadNative } from '../platform/native.ts';
import { createPinoLog } from '../platform/pino-log.ts';
import { readLockHolder, StateLock, type StateLockOptions } from '../platform/state-lock.ts';
import { sleep } from '../platform/waiting.ts';
import type { RotationReport, RotationRequest } from '../protocol/reports.ts';
import { providerDefinitions } from '../providers/registry.ts';

/** A daemon stops within five seconds. */
const LONGEST_WAIT_MS = 8_000;
const LOOK_EVERY_MS = 20;

/**
 * The lock for a daemon that a service manager started. One that a helper started gives way: it is only there because
 * no service answered. Others, which a person started on purpose, do not.
 *
 * @throws BrokerError as StateLock.acquire does.
 */
export async function acquireForService(options: StateLockOptions, clock: Clock): Promise<StateLock> {
  const giveUpAt = clock.now() + LONGEST_WAIT_MS;
  let told: number | undefined;
  for (;;) {
    try {
      return StateLock.acquire(options);
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'ERR_ALREADY_RUNNING' || clock.now() >= giveUpAt)
        throw error;
      const holder = readLockHolder(join(options.folder, 'lock'));
      const givesWay = holder?.startedByHelper === true && holder.host === options.host;
      // A holder that has not written yet is looked at again.
      if (holder !== undefined && !givesWay) throw error;
      if (holder !== undefined && told !== holder.pid) told = tell(holder.pid);
    }
    await sleep(LOOK_EVERY_MS, clock);
  }
}

function tell(pid: number): number {
  try {
    process.kill(pid, 'SIGTERM');
  } catch {
    // Gone already: the lock is free.
  }
  return pid;
}

/** What the helper that started this daemon handed down: see native/start-daemon.c. */
export interface StartContext {
  /** Of STATE/lock, locked already. */
  readonly lockFd: number | undefined;
  /** No person started this daemon: a helper needed one. */
  readonly byHelper: boolean;
}

/** Reads the variables and takes them out of `env`, because children would take them for theirs. */
export function takeStartContext(env: Record<string, string | undefined>): StartContext {
  const { BROKER_LOCK_FD, BROKER_STARTED_BY } = env;
  for (const name of ['BROKER_LOCK_FD', 'BROKER_STARTED_BY']) delete env[name];
  const isNumber = /^[1-9]\d{0,5}$/.test(BROKER_LOCK_FD ?? '');
  return { lockFd: isNumber ? Number(BROKER_LOCK_FD) : undefined, byHelper: BROKER_STARTED_BY === 'helper' };
}

/**
 * A new key-encryption key where no daemon runs: holds the state folder as a daemon would, for as long as it takes.
 *
 * @throws BrokerError ERR_ALREADY_RUNNING if one holds it that does not answer here; ERR_IO if the key cannot be rotated.
 */
export async function rotateOffline(
  inputs: PathInputs & { readonly clock: Clock },
  request: RotationRequest,
): Promise<RotationReport> {
  process.umask(0o077);
  const native = loadNative();
  const places = preparePlaces(inputs);
  const lock = StateLock.acquire({
    folder: places.stateDir,
    pid: process.pid,
    host: hostname(),
    flock: native && ((fd) => native.flock(fd)),
  });
  try {
    // What there is to say, the report and the errors say.
    const log = await createPinoLog({ format: 'json', level: 'silent' });
    const cache = await openCache({
      stateDir: places.stateDir,
      networkFileSystem: places.isNetworkFileSystem,
      credentialsDir: inputs.env['CREDENTIALS_DIRECTORY'],
      keyHome: await configuredKeyHome(places.configFile, inputs),
      askKeyring: keyringOf(inputs),
      log,
      wallMs: () => inputs.clock.wall(),
    });
    try {
      return await cache.rotateKey(request);
    } finally {
      cache.close();
    }
  } finally {
    lock.release();
  }
}

/** A configuration with faults does not keep an old key in use. */
async function configuredKeyHome(file: string, { env, homeDir, uid }: PathInputs): Promise<DaemonConfig['keyHome']> {
  const result = await loadConfig({ file, types: providerDefinitions, env, homeDir, uid });
  return result.faults === undefined ? result.config.daemon.keyHome : 'auto';
}
