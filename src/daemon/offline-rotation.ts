import { hostname } from 'node:os';
import { openCache } from '../cache/open-cache.ts';
import type { KeyHome } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import type { PathInputs } from '../config/paths.ts';
import { keyringOf } from '../keyring/keyring-process.ts';
import type { Clock } from '../platform/clock.ts';
import { loadNative } from '../platform/native.ts';
import { createPinoLog } from '../platform/pino-log.ts';
import { StateLock } from '../platform/state-lock.ts';
import type { RotationReport, RotationRequest } from '../protocol/administration.ts';
import { providerDefinitions } from '../providers/registry.ts';
import { keyHomeNamed, rotationReport } from './administration.ts';
import { preparePlaces } from './places.ts';

/**
 * A new key-encryption key where no daemon runs: holds the state folder as a daemon would, for as long as it takes.
 *
 * @throws BrokerError ERR_ALREADY_RUNNING if one holds it that does not answer here; ERR_IO if the key cannot be rotated.
 */
export async function rotateOffline(
  inputs: PathInputs & { readonly clock: Clock },
  { discard, to }: RotationRequest,
): Promise<RotationReport> {
  const home = keyHomeNamed(to);
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
    const cache = openCache({
      stateDir: places.stateDir,
      networkFileSystem: places.isNetworkFileSystem,
      credentialsDir: inputs.env['CREDENTIALS_DIRECTORY'],
      keyHome: await configuredKeyHome(places.configFile, inputs),
      askKeyring: keyringOf(inputs),
      log,
      wallMs: () => inputs.clock.wall(),
    });
    try {
      return rotationReport(await cache.rotateKey({ discard, to: home }));
    } finally {
      cache.close();
    }
  } finally {
    lock.release();
  }
}

/** A configuration with faults is no reason to keep an old key. */
async function configuredKeyHome(file: string, { env, homeDir, uid }: PathInputs): Promise<KeyHome> {
  const result = await loadConfig({ file, types: providerDefinitions, env, homeDir, uid });
  return result.faults === undefined ? result.config.daemon.keyHome : 'auto';
}
