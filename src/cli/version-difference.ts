import { VERSION } from '../platform/version.ts';
import { plain } from './output.ts';

/** After an upgrade the old daemon runs on until it is told; undefined if daemon and CLI are of one version. */
export function versionDifference(ofDaemon: string): { readonly text: string; readonly remedy: string } | undefined {
  if (ofDaemon === VERSION) return undefined;
  return {
    text: `the daemon that runs is version ${plain(ofDaemon)}, this is ${VERSION}`,
    remedy: 'let this version take over, without a failed call: broker service install',
  };
}
