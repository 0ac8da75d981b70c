import { spawn, spawnSync } from 'node:child_process';

/**
 * Whether a program is signed by somebody whom macOS can tell from everybody else. The access list of a Keychain item goes by
 * that: of a program without it, such as a Node of Homebrew or Nix, every new version asks the person again.
 *
 * @param tool For tests: instead of codesign(1).
 */
export function hasTeamIdentifier(program: string, tool = '/usr/bin/codesign'): boolean {
  const { status, stderr } = spawnSync(tool, ['--display', '--verbose=2', program], {
    encoding: 'utf8',
    timeout: 3_000,
  });
  const [, team] = /^TeamIdentifier=(.+)$/m.exec(stderr ?? '') ?? [];
  return status === 0 && team !== undefined && team !== 'not set';
}

/** Keeps a file out of Time Machine's backups, as far as that can be done: nobody waits for it. */
export function excludeFromBackups(file: string, tool = '/usr/bin/tmutil'): void {
  const child = spawn(tool, ['addexclusion', file], { stdio: 'ignore' });
  child.on('error', () => undefined);
  child.unref();
}
