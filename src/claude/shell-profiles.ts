import { readdirSync } from 'node:fs';
import path from 'node:path';
import { type Assignment, findAssignments, type ProfileSyntax } from './profile-assignments.ts';
import { type QuietFile, readQuietly } from './read-quietly.ts';

/** Profiles are a few kilobytes; generated ones seldom more than some hundred. */
const MAX_PROFILE_BYTES = 1024 * 1024;

/** A file that shells or sessions read at their start, and the variables it sets that matter to the client. */
export interface Profile {
  readonly file: string;
  readonly syntax: ProfileSyntax;
  readonly state: QuietFile['state'];
  readonly code: string | undefined;
  readonly mode: number;
  readonly uid: number;
  readonly assignments: readonly Assignment[];
}

export interface ProfileRoots {
  readonly homeDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `/` outside tests. */
  readonly systemRoot: string;
}

const HOME_FILES = [
  '.zshenv',
  '.zprofile',
  '.zshrc',
  '.zlogin',
  '.bash_profile',
  '.bash_login',
  '.bashrc',
  '.bash_aliases',
  '.profile',
];

/** Reads every profile there is, runs none; files that are not there are left out. */
export function readProfiles(roots: ProfileRoots): Profile[] {
  const { homeDir, env, systemRoot } = roots;
  const zdotdir = env['ZDOTDIR'];
  const config = path.join(homeDir, '.config');
  const files: [string, ProfileSyntax][] = [
    [path.join(systemRoot, 'etc/environment'), 'environment'],
    ...inFolder(path.join(config, 'environment.d'), '.conf').map((file): [string, ProfileSyntax] => [
      file,
      'environment',
    ]),
    [path.join(systemRoot, 'etc/profile'), 'sh'],
    ...inFolder(path.join(systemRoot, 'etc/profile.d'), '.sh').map((file): [string, ProfileSyntax] => [file, 'sh']),
    ...HOME_FILES.map((name): [string, ProfileSyntax] => [path.join(homeDir, name), 'sh']),
    ...(zdotdir === undefined || zdotdir === homeDir || !path.isAbsolute(zdotdir)
      ? []
      : HOME_FILES.slice(0, 4).map((name): [string, ProfileSyntax] => [path.join(zdotdir, name), 'sh'])),
    [path.join(config, 'fish/config.fish'), 'fish'],
    ...inFolder(path.join(config, 'fish/conf.d'), '.fish').map((file): [string, ProfileSyntax] => [file, 'fish']),
    [path.join(config, 'fish/fish_variables'), 'fish-universal'],
  ];
  return files.map(([file, syntax]) => readProfile(file, syntax)).filter(({ state }) => state !== 'missing');
}

export function readProfile(file: string, syntax: ProfileSyntax): Profile {
  const { bytes, ...found } = readQuietly(file, MAX_PROFILE_BYTES);
  const text = bytes.toString('utf8');
  return { ...found, syntax, assignments: found.state === 'read' ? findAssignments(text, syntax) : [] };
}

function inFolder(folder: string, extension: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith(extension));
    return names
      .sort()
      .slice(0, 200)
      .map((name) => path.join(folder, name));
  } catch {
    return [];
  }
}
