import type { KeyHomeFacts } from '../claude/doctor/gather.ts';
import { connect } from '../client/broker-client.ts';
import { type Difference, differences } from '../config/effective.ts';
import { loadConfig } from '../config/load.ts';
import { configFile } from '../config/paths.ts';
import { keyringOf } from '../crypto/keyring-child.ts';
import { BrokerError } from '../errors.ts';
import { VERSION } from '../platform/installation.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import { printable } from '../platform/text.ts';
import type { ConfigReport, KeyHome } from '../protocol/reports.ts';
import { providerDefinitions } from '../providers/registry.ts';
import type { DoctorParts } from './commands/doctor.ts';

/** The configuration as the daemon has it in force; undefined if none answers. */
export async function daemonConfig(io: ProcessIo): Promise<ConfigReport | undefined> {
  try {
    return await connect(io).config();
  } catch (error) {
    if (error instanceof BrokerError) return undefined;
    throw error;
  }
}

/** For `config show`: nothing where the daemon that runs has another file, which is said. */
export async function daemonValuesOf(io: ProcessIo): Promise<ConfigReport['values'] | undefined> {
  const daemon = await daemonConfig(io);
  if (daemon === undefined || daemon.file === configFile(io)) return daemon?.values;
  io.stderr(`warning: the daemon that runs has another configuration, ${daemon.file}; its values are not shown here\n`);
  return undefined;
}

/**
 * Where this shell's environment would give other values than the daemon's does, for the doctor. Empty where there is
 * nothing to compare: no daemon, a file with faults (which is told elsewhere), or another file.
 */
export async function configDifferences(io: ProcessIo): Promise<readonly Difference[]> {
  const daemon = await daemonConfig(io);
  const file = configFile(io);
  if (daemon === undefined || daemon.file !== file) return [];
  const here = await loadConfig({ file, types: providerDefinitions, env: io.env, homeDir: io.homeDir, uid: io.uid });
  if (here.faults !== undefined) return [];
  return differences(daemon.values, here.effective).filter(
    (each) => each.daemon?.origin.kind === 'env' || each.here?.origin.kind === 'env',
  );
}

async function keyHomeFacts(io: ProcessIo, home: KeyHome): Promise<KeyHomeFacts> {
  const daemon = await daemonConfig(io);
  const configured = daemon?.values.find(({ key }) => key === 'daemon.key_home')?.value;
  // Never starts a keyring program, and never has anybody asked for a password.
  const look = home === 'file' ? keyringOf(io) : undefined;
  const reply = await look?.({ action: 'look', account: 'look', mayStart: false });
  return {
    configuredKeyHome: typeof configured === 'string' ? configured : undefined,
    keyring: reply?.outcome === 'usable' ? 'usable' : 'none',
  };
}

/** What the doctor asks the daemon. */
export function doctorParts(io: ProcessIo): DoctorParts {
  return {
    fetchStatus: () =>
      connect(io)
        .status()
        .catch(() => undefined),
    differing: async () => (await configDifferences(io)).map(({ key }) => key),
    keyHome: (home) => keyHomeFacts(io, home),
  };
}

/** After an upgrade the old daemon runs on until it is told; undefined if daemon and CLI are of one version. */
export function versionDifference(ofDaemon: string): { readonly text: string; readonly remedy: string } | undefined {
  if (ofDaemon === VERSION) return undefined;
  return {
    text: `the daemon that runs is version ${printable(ofDaemon)}, this is ${VERSION}`,
    remedy: 'let this version take over, without a failed call: broker service install',
  };
}
