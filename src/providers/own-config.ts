import { type LoadResult, loadConfig } from '../config/load.ts';
import type { PathInputs } from '../config/paths.ts';
import { providerDefinitions } from './registry.ts';

/** A configuration as its owner's daemon would take it, with every provider that there is. */
export function loadOwnConfig(
  { env, homeDir, uid }: Pick<PathInputs, 'env' | 'homeDir' | 'uid'>,
  file: string,
): Promise<LoadResult> {
  return loadConfig({ file, types: providerDefinitions, env, homeDir, uid });
}
