import { loadConfig } from '../../config/load.ts';
import { configFile } from '../../config/paths.ts';
import { providerDefinitions } from '../../providers/registry.ts';
import type { CliIo } from '../cli-io.ts';

/** What is wrong with asking for this credential; undefined if nothing is, or if there is no configuration to tell. */
export async function credentialWarning(io: CliIo, credential: string | undefined): Promise<string | undefined> {
  const { env, homeDir, uid } = io;
  const file = configFile(io);
  const { config } = await loadConfig({ file, types: providerDefinitions, env, homeDir, uid });
  if (config === undefined) return undefined;
  const names = [...config.credentials.keys()].join(', ');
  if (credential === undefined) {
    const isMissing = config.defaultCredential === undefined;
    return isMissing ? `${file} has no default: name one with --credential: ${names}` : undefined;
  }
  return config.credentials.has(credential)
    ? undefined
    : `${file} has no credential "${credential}"; it has: ${names || 'none'}`;
}
