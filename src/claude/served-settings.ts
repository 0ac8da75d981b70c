import path from 'node:path';
import type { MacTools } from './mac-tools.ts';
import { readSettingsFile } from './settings-files.ts';
import { clientFolder, type SettingsRoots } from './settings-locations.ts';
import { RELEVANT_VARIABLES } from './variables.ts';

/** Settings that an organization serves: the client keeps a signed copy, which only it can judge. */
export interface ServedSettings {
  readonly file: string;
  /** What in it would change who logs in: `apiKeyHelper`, `env.NAME`. */
  readonly sets: readonly string[];
}

export function readServedSettings(
  roots: Pick<SettingsRoots, 'homeDir' | 'env' | 'projectDir'>,
  tools: MacTools,
): ServedSettings | undefined {
  const file = path.join(clientFolder(roots), 'remote-settings.json');
  const { state, isEmpty, helper, env } = readSettingsFile({ scope: 'managed', file }, tools);
  if (state !== 'in-effect' || isEmpty) return undefined;
  const variables = [...env.keys()].filter((name) => RELEVANT_VARIABLES.has(name)).map((name) => `env.${name}`);
  return { file, sets: [...(helper === undefined ? [] : ['apiKeyHelper']), ...variables] };
}
