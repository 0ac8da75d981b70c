import { lstatSync, mkdirSync, realpathSync, rmdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/config.ts';
import { configError } from '../config/faults.ts';
import { checkConfig, type LoadedConfig, loadConfig } from '../config/load.ts';
import { LARGEST_CONFIG_BYTES } from '../config/safe-file.ts';
import { rootOf } from '../config/toml-edit.ts';
import type { Table } from '../config/walk.ts';
import { BrokerError } from '../errors.ts';
import { readTextQuietly } from '../platform/files.ts';
import { providerDefinitions } from '../providers/registry.ts';
import { writePlanned } from '../service/manager.ts';

export interface ConfigPlace {
  readonly file: string;
  readonly homeDir: string;
  readonly uid: number;
}

/** The configuration as it is before anything is set up. */
export interface Existing {
  /** undefined: there is no file yet. */
  readonly text: string | undefined;
  readonly config: Config | undefined;
  /** What the file says, word for word; empty without one. */
  readonly root: Table;
  readonly mode: number;
}

/** What the file is going to be, checked as the daemon will check it. */
export interface CheckedText {
  readonly text: string;
  readonly loaded: LoadedConfig;
}

const NO_ENVIRONMENT = {};

/** @throws BrokerError ERR_CONFIG if there is a file, but none that works: what is wrong has to be fixed first. */
export async function readExisting({ file, homeDir, uid }: ConfigPlace): Promise<Existing> {
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined)
    return { text: undefined, config: undefined, root: {}, mode: 0o600 };
  // What the environment adds is the daemon's matter: it is not there when this file is read.
  const options = { file, types: providerDefinitions, env: NO_ENVIRONMENT, homeDir, uid };
  // A file without providers or credentials is a fault whose remedy is to run setup.
  const result = await loadConfig({ ...options, mayBeUnfinished: true });
  if (result.faults !== undefined) throw configError(result.faults);
  const text = readTextQuietly(file, LARGEST_CONFIG_BYTES);
  return { text, config: result.config, root: rootOf(text ?? '') ?? {}, mode: statSync(file).mode & 0o700 };
}

/** @throws BrokerError ERR_CONFIG for what the daemon would refuse. */
export async function checkText(text: string, { file, homeDir }: ConfigPlace): Promise<CheckedText> {
  const result = await checkConfig(Buffer.from(text), {
    file,
    types: providerDefinitions,
    env: NO_ENVIRONMENT,
    homeDir,
  });
  if (result.faults !== undefined) throw configError(result.faults.map((fault) => ({ ...fault, line: undefined })));
  return { text, loaded: result };
}

/** Puts the change into its place, 0600, or leaves everything as it is. */
export function writeConfig({ text }: CheckedText, existing: Existing, { file }: ConfigPlace): { undo(): void } {
  // Dotfile managers install configurations as links: what they lead to is changed.
  const target = existing.text === undefined ? file : realpathSync(file);
  const present = existing.text === undefined ? undefined : readTextQuietly(target, LARGEST_CONFIG_BYTES);
  if (present !== existing.text || (existing.text === undefined && lstatSync(file, { throwIfNoEntry: false }))) {
    throw new BrokerError('ERR_CONFIG', `${file} was changed meanwhile`, { remedy: 'run the command again' });
  }
  const made = mkdirSync(path.dirname(target), { recursive: true, mode: 0o700 });
  writePlanned({ path: target, content: text, mode: existing.mode | 0o600 });
  return {
    undo: () => {
      if (existing.text !== undefined) writePlanned({ path: target, content: existing.text, mode: existing.mode });
      else rmSync(target, { force: true });
      if (made !== undefined) removeIfEmpty(path.dirname(target), made);
    },
  };
}

/** From `folder` up to `first`, the outermost one that was made; what somebody else has put there stays. */
function removeIfEmpty(folder: string, first: string): void {
  for (let each = folder; each.startsWith(first); each = path.dirname(each)) {
    try {
      rmdirSync(each);
    } catch {
      return;
    }
  }
}
