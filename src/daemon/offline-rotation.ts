import { hostname } from 'node:os';
import { openCache } from '../cache/open.ts';
import type { DaemonConfig } from '../config/config.ts';
import { type PathInputs, preparePlaces } from '../config/paths.ts';
import type { Clock } from '../platform/clock.ts';
import { keyringOf } from '../platform/keyring-child.ts';
import { silentLog } from '../platform/log.ts';
import { loadNative } from '../platform/native.ts';
import { StateLock } from '../platform/state-lock.ts';
import type { RotationReport, RotationRequest } from '../protocol/reports.ts';
import { loadOwnConfig } from '../providers/own-config.ts';

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
    const cache = await openCache({
      stateDir: places.stateDir,
      networkFileSystem: places.isNetworkFileSystem,
      credentialsDir: inputs.env['CREDENTIALS_DIRECTORY'],
      keyHome: await configuredKeyHome(places.configFile, inputs),
      askKeyring: keyringOf(inputs),
      // Report and errors say what there is to say.
      log: silentLog,
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
async function configuredKeyHome(file: string, inputs: PathInputs): Promise<DaemonConfig['keyHome']> {
  const result = await loadOwnConfig(inputs, file);
  return result.faults === undefined ? result.config.daemon.keyHome : 'auto';
}
