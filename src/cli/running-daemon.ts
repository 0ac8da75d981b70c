import { connect } from '../client/broker-client.ts';
import { BrokerError } from '../errors.ts';
import { VERSION } from '../platform/installation.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import { printable } from '../platform/text.ts';
import type { ConfigReport } from '../protocol/reports.ts';

/** The configuration as the daemon has it in force; undefined if none answers. */
export async function daemonConfig(io: ProcessIo): Promise<ConfigReport | undefined> {
  try {
    return await connect(io).config();
  } catch (error) {
    if (error instanceof BrokerError) return undefined;
    throw error;
  }
}

/** After an upgrade the old daemon runs on until it is told; undefined if daemon and CLI are of one version. */
export function versionDifference(ofDaemon: string): { readonly text: string; readonly remedy: string } | undefined {
  if (ofDaemon === VERSION) return undefined;
  return {
    text: `the daemon that runs is version ${printable(ofDaemon)}, this is ${VERSION}`,
    remedy: 'let this version take over, without a failed call: broker service install',
  };
}
