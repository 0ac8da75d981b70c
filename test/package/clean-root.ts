import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chownSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { type Outcome, run } from '../native/run-helper.ts';

/** Undefined: such a root can be made here. */
export const unavailable: string | undefined = (() => {
  if (process.getuid?.() !== 0) return 'it takes root';
  if (spawnSync('mmdebstrap', ['--version']).status !== 0) return 'there is no mmdebstrap';
  if (spawnSync('unshare', ['--mount', '--pid', '--fork', 'true']).status !== 0)
    return 'namespaces cannot be made here';
  return undefined;
})();

/** Of the only user there. */
const UID = 1000;

/** What is compared before and after: everything but what programs note about themselves. */
const NOTES = /^(?:proc|dev|sys|tmp|run|home|root|var\/(?:lib\/dpkg|log|cache))(?:\/|$)/;

/** Debian's essential packages and what a .deb of ours depends on: no Node, no compiler, no service manager. Processes in it end with it. */
export class CleanRoot {
  readonly folder: string;
  readonly home = '/home/ada';
  readonly #init: ChildProcess;
  readonly #inside: string;

  private constructor(folder: string, init: ChildProcess, inside: string) {
    this.folder = folder;
    this.#init = init;
    this.#inside = inside;
  }

  /** @param folder one that is not there yet. */
  static async make(folder: string): Promise<CleanRoot> {
    const args = ['--quiet', '--variant=essential', '--include=libstdc++6', 'bookworm', folder];
    const made = await run('mmdebstrap', args, { PATH: process.env['PATH'] ?? '', TMPDIR: path.dirname(folder) });
    if (made.code !== 0) throw new Error(`mmdebstrap failed: ${made.stderr}`);
    appendFileSync(path.join(folder, 'etc', 'passwd'), `ada:x:${UID}:${UID}::/home/ada:/bin/sh\n`);
    appendFileSync(path.join(folder, 'etc', 'group'), `ada:x:${UID}:\n`);
    for (const place of ['home/ada', 'home/ada/run']) {
      mkdirSync(path.join(folder, place), { mode: 0o700 });
      chownSync(path.join(folder, place), UID, UID);
    }
    // The shell is its first process and reaps what nobody else waits for, as an init does.
    const mounts = `mount -t proc proc '${folder}/proc' && mount --rbind /dev '${folder}/dev' && echo ready && { sleep infinity & wait; }`;
    const words = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private', 'sh', '-c', mounts];
    const init = spawn('unshare', words, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(init.stdout, 'data');
    // Of unshare itself, which stays outside of the namespace of processes, the only child is the one in it.
    const inside = spawnSync('pgrep', ['-P', String(init.pid)], { encoding: 'utf8' }).stdout.trim();
    return new CleanRoot(folder, init, inside);
  }

  async end(): Promise<void> {
    const gone = once(this.#init, 'exit');
    this.#init.kill('SIGKILL');
    await gone;
  }

  /** As the user, in a home with nothing in the environment. */
  async ada(program: string, ...args: string[]): Promise<Outcome> {
    return await this.#run(String(UID), program, args);
  }

  async root(program: string, ...args: string[]): Promise<Outcome> {
    return await this.#run('0', program, args);
  }

  /** A path as this process sees it. */
  at(place: string): string {
    return path.join(this.folder, place);
  }

  /** Everything outside of homes, and what it is. */
  list(): readonly string[] {
    return this.#below('', NOTES);
  }

  /** Everything in the user's home. */
  listHome(): readonly string[] {
    return this.#below(this.home, /^home\/ada\/run(?:\/|$)/);
  }

  #below(place: string, without: RegExp): readonly string[] {
    const found: string[] = [];
    const open = [place];
    for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
      for (const name of readdirSync(this.at(folder))) {
        const each = path.join(folder, name);
        if (without.test(each.replace(/^\//, ''))) continue;
        found.push(each);
        if (lstatSync(this.at(each)).isDirectory()) open.push(each);
      }
    }
    return found.sort();
  }

  async #run(uid: string, program: string, args: readonly string[]): Promise<Outcome> {
    const inside = ['--target', this.#inside, '--mount', '--pid', 'chroot', `--userspec=${uid}:${uid}`, this.folder];
    const home = uid === '0' ? '/root' : this.home;
    const env = [
      `HOME=${home}`,
      `XDG_RUNTIME_DIR=${home}/run`,
      `PATH=${home}/.local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    ];
    return await run('nsenter', [...inside, 'env', '-i', '-C', home, ...env, program, ...args], {
      PATH: process.env['PATH'] ?? '',
    });
  }
}
