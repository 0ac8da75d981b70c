import { type MacTools, macTools } from './mac-tools.ts';
import { readSettingsFile, type SettingsFile } from './settings-files.ts';
import { type SettingsRoots, settingsLocations } from './settings-locations.ts';

/** Every settings file as the client takes it, the strongest first. */
export function readAllSettings(roots: SettingsRoots, tools: MacTools = macTools(roots.env)): SettingsFile[] {
  return outrank(settingsLocations(roots).map((location) => readSettingsFile(location, tools)));
}

/** Managed settings come from one source, the strongest that is there, unless one of them asks for all to be merged. */
function outrank(files: SettingsFile[]): SettingsFile[] {
  const managed = files.filter(({ scope, state, isEmpty }) => scope === 'managed' && state === 'in-effect' && !isEmpty);
  if (managed.some(({ mergesSources }) => mergesSources)) return files;
  const [strongest] = managed;
  return files.map((file) =>
    managed.includes(file) && file.source !== strongest?.source ? { ...file, state: 'outranked' } : file,
  );
}
