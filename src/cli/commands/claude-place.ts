import path from 'node:path';
import type { SettingsRoots } from '../../claude/settings-locations.ts';
import { fileFor, type Target } from '../../claude/targets.ts';
import { BrokerError } from '../../errors.ts';
import type { CliIo } from '../cli-io.ts';
import type { PlaceOptions } from './claude.ts';

export function rootsOf(io: CliIo, options: PlaceOptions): SettingsRoots {
  return {
    homeDir: io.homeDir,
    projectDir: path.resolve(options.project ?? process.cwd()),
    env: io.env,
    platform: io.platform,
    systemRoot: '/',
    ...(options.settings === undefined ? {} : { flagFile: path.resolve(options.settings) }),
  };
}

/** The file that is meant, and the modes for what has to be made: a project's folder is shared, the rest is private. */
export function placeOf(io: CliIo, options: PlaceOptions, target: Target) {
  if (options.settings !== undefined) {
    return { file: path.resolve(options.settings), folderMode: 0o700, fileMode: 0o600 };
  }
  if (options.scope === 'file') {
    throw new BrokerError('ERR_USAGE', '--scope file needs a file', { remedy: 'add --settings FILE' });
  }
  const scope = options.scope ?? 'user';
  const file = fileFor(target, scope, rootsOf(io, options));
  return { file, folderMode: scope === 'user' ? 0o700 : 0o755, fileMode: 0o600 };
}
