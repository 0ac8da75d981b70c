import path from 'node:path';
import type { ShellSurroundings } from './expand.ts';
import { FishShell } from './fish-shell.ts';
import { filesIn, type Profile, ProfileLibrary, type ProfileSyntax } from './profile-library.ts';
import { ShShell } from './sh-shell.ts';
import { RELEVANT_VARIABLES } from './variables.ts';
import type { ShellVariables } from './variables-of-shell.ts';

interface ProfileRoots {
  readonly homeDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  /** `/` outside tests. */
  readonly systemRoot: string;
}

/**
 * Every profile there is, and which of its assignments a new shell exports: each kind of shell is followed through the files
 * that it reads at its start, in their order, without running anything.
 */
export function readProfiles(roots: ProfileRoots): Profile[] {
  return new Startup(roots).profiles();
}

class Startup {
  readonly #roots: ProfileRoots;
  readonly #around: ShellSurroundings;
  readonly #library: ProfileLibrary;
  readonly #config: string;

  constructor(roots: ProfileRoots) {
    const { homeDir, platform, systemRoot, env } = roots;
    this.#roots = roots;
    this.#around = {
      homeDir,
      platform,
      onDisk: (file) => (systemRoot !== '/' && file.startsWith('/etc/') ? path.join(systemRoot, file) : file),
    };
    this.#library = new ProfileLibrary(this.#around);
    const moved = env['XDG_CONFIG_HOME'];
    this.#config = moved !== undefined && path.isAbsolute(moved) ? moved : path.join(homeDir, '.config');
  }

  profiles(): Profile[] {
    const everywhere = this.#environmentFiles();
    const inHome = (...names: string[]) =>
      this.#start(
        'sh',
        names.map((name) => path.join(this.#roots.homeDir, name)),
      );
    const etcProfile = this.#start('sh', ['/etc/profile', ...this.#etc('profile.d', '.sh')]);
    const [login] = inHome('.bash_profile', '.bash_login', '.profile');
    const profile = inHome('.profile');
    // The desktop's session, a login, a terminal: each hands on what it exports.
    this.#bash(everywhere, [
      ...etcProfile,
      ...profile,
      ...inHome('.xsessionrc', '.xprofile', '.xsession', '.xinitrc'),
      ...this.#plasma(),
    ]);
    this.#bash(everywhere, [...etcProfile, ...(login === undefined ? [] : [login])]);
    this.#bash(everywhere, [
      ...this.#start('sh', ['/etc/bash.bashrc', '/etc/bashrc']),
      ...inHome('.bashrc', '.bash_aliases'),
    ]);
    this.#zsh(everywhere, undefined);
    const zdotdir = this.#roots.env['ZDOTDIR'];
    if (zdotdir !== undefined && path.isAbsolute(zdotdir) && zdotdir !== this.#roots.homeDir)
      this.#zsh(everywhere, zdotdir);
    this.#fish(everywhere);
    this.#direnv();
    return this.#library.profiles((name) => RELEVANT_VARIABLES.has(name));
  }

  #start(syntax: ProfileSyntax, files: readonly string[]): readonly string[] {
    return this.#library.startup(files, syntax);
  }

  #etc(folder: string, extension: string): string[] {
    return filesIn(this.#around.onDisk(`/etc/${folder}`), extension).map(
      (file) => `/etc/${folder}/${path.basename(file)}`,
    );
  }

  #plasma(): readonly string[] {
    return this.#start('sh', filesIn(path.join(this.#config, 'plasma-workspace/env'), '.sh'));
  }

  /** What pam and systemd give to every session, before any shell. */
  #environmentFiles(): readonly string[] {
    const files = [
      '/etc/environment',
      ...this.#etc('environment.d', '.conf'),
      ...filesIn(path.join(this.#config, 'environment.d'), '.conf'),
    ];
    return this.#start('environment', [...files, path.join(this.#roots.homeDir, '.pam_environment')]);
  }

  #begin(variables: ShellVariables, environmentFiles: readonly string[]): void {
    for (const file of environmentFiles) variables.inherit(this.#library.environment(file));
  }

  get #known(): Record<string, string | undefined> {
    const { XDG_CONFIG_HOME, USER, LANG } = this.#roots.env as Record<string, string | undefined>;
    return { XDG_CONFIG_HOME, USER, LANG };
  }

  #bash(environmentFiles: readonly string[], files: readonly string[]): void {
    if (files.length + environmentFiles.length === 0) return;
    const shell = new ShShell('bash', this.#library, this.#around, this.#known);
    this.#begin(shell.variables, environmentFiles);
    for (const file of files) shell.run(file);
    shell.variables.conclude();
  }

  /** As a login shell and as the shell of a terminal; `.zshenv` and the files behind it may move ZDOTDIR. */
  #zsh(environmentFiles: readonly string[], zdotdir: string | undefined): void {
    for (const names of [
      ['zshenv', 'zprofile', 'zshrc', 'zlogin'],
      ['zshenv', 'zshrc'],
    ]) {
      const shell = new ShShell('zsh', this.#library, this.#around, { ...this.#known, ZDOTDIR: zdotdir });
      this.#begin(shell.variables, environmentFiles);
      for (const name of names) {
        const system = this.#start('sh', [`/etc/${name}`, `/etc/zsh/${name}`]);
        for (const file of system) shell.run(file);
        const folder = shell.variables.valueOf('ZDOTDIR') || this.#roots.homeDir;
        for (const file of this.#start('sh', [path.join(folder, `.${name}`)])) shell.run(file);
      }
      shell.variables.conclude();
    }
  }

  #fish(environmentFiles: readonly string[]): void {
    const own = path.join(this.#config, 'fish');
    const universal = this.#start('fish-universal', [path.join(own, 'fish_variables')]);
    // Of two files of the same name in conf.d the user's own counts.
    const ownParts = filesIn(path.join(own, 'conf.d'), '.fish');
    const names = new Set(ownParts.map((file) => path.basename(file)));
    const parts = [...ownParts, ...this.#etc('fish/conf.d', '.fish').filter((file) => !names.has(path.basename(file)))];
    const sorted = parts.sort((a, b) => (path.basename(a) < path.basename(b) ? -1 : 1));
    const files = this.#start('fish', [...sorted, '/etc/fish/config.fish', path.join(own, 'config.fish')]);
    if (universal.length + files.length === 0) return;
    const shell = new FishShell(this.#library, this.#around, own, this.#known);
    this.#begin(shell.variables, environmentFiles);
    for (const file of universal) shell.variables.inherit(this.#library.environment(file, 'fish-universal'));
    for (const file of files) shell.run(file);
    shell.variables.conclude();
  }

  /** The `.envrc` that direnv has loaded into this shell. */
  #direnv(): void {
    const file = this.#roots.env['DIRENV_FILE'];
    if (file === undefined || !path.isAbsolute(file)) return;
    const shell = new ShShell(
      'bash',
      this.#library,
      { ...this.#around, homeDir: path.dirname(file) },
      { ...this.#known, HOME: this.#roots.homeDir },
    );
    for (const each of this.#start('sh', [file])) shell.run(each);
    for (const name of dotenvNames(this.#library, file)) {
      shell.variables.inherit(this.#library.environment(path.resolve(path.dirname(file), name)));
    }
    shell.variables.conclude();
  }
}

/** `dotenv`, `dotenv .env.local`, `dotenv_if_exists`. */
function dotenvNames(library: ProfileLibrary, file: string): string[] {
  const text = library.script(file, 'bash')?.script.source ?? '';
  return [...text.matchAll(/^[ \t]*dotenv(?:_if_exists)?(?:[ \t]+([\w./-]+))?[ \t]*$/gm)].map(
    ([, name]) => name ?? '.env',
  );
}
