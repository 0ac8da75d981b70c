/** `npm run test:systemd`: the tests of this folder inside a `systemd --user` of their own. Needs root; else it says so. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { prepareTwoVersions } from './two-versions.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
/**
 * Nobody's, so that the sandbox is tried as users have it and not with root's powers. Below 61,184: what logs above is
 * a service with a dynamic user to journald, and has no journal of its own.
 */
const UID = 54_777;

function reasonToSkip(): string | undefined {
  if (process.platform !== 'linux') return 'systemd is for Linux';
  if (process.getuid?.() !== 0) return 'only root may make the mount namespace';
  if (!existsSync('/lib/systemd/systemd')) return 'there is no systemd here';
  for (const tool of ['unshare', 'setpriv', 'systemctl', 'getent']) {
    if (spawnSync('/bin/sh', ['-c', `command -v ${tool}`]).status !== 0) return `there is no ${tool} here`;
  }
  const probe = ['--mount', '--pid', '--fork', '--mount-proc', '--propagation', 'private'];
  const script = 'mount -t tmpfs tmpfs /run && mount -t cgroup2 cgroup2 /sys/fs/cgroup';
  const { status, stderr } = spawnSync('unshare', [...probe, '/bin/sh', '-c', script], { encoding: 'utf8' });
  return status === 0 ? undefined : `no namespace with a cgroup2 of its own can be made: ${stderr.trim()}`;
}

/** Cgroups outlive their processes and namespaces. */
function removeCgroup(name: string): void {
  const mounted = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[2] === 'cgroup2');
  if (mounted === undefined) return;
  const remove = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) remove(path.join(folder, entry.name));
    }
    rmdirSync(folder);
  };
  const folder = path.join(mounted.split(' ')[1] ?? '', name);
  if (existsSync(folder)) remove(folder);
}

/** Whether a user of no special rights may read this folder; else the tests run as root. */
function isOpenToOthers(): boolean {
  const rights = [`--reuid=${UID}`, `--regid=${UID}`, '--clear-groups'];
  return spawnSync('setpriv', [...rights, 'test', '-r', path.join(ROOT, 'package.json')]).status === 0;
}

/** In namespaces of their own, with folders of their own that are gone afterwards. @returns vitest's exit code. */
function runInside(
  enter: (home: string, cgroup: string) => readonly string[],
  prepare: (folder: string) => Readonly<Record<string, string>>,
  uid: number,
  project: 'systemd' | 'machine',
): number {
  // Not in /tmp, of which the unit gets its own.
  mkdirSync('/srv', { recursive: true });
  const [home, folder] = [mkdtempSync('/srv/broker-systemd-'), mkdtempSync('/srv/broker-programs-')];
  const env = { ...process.env, HOME: home, ...prepare(folder) };
  for (const each of [home, folder]) spawnSync('chown', ['-R', `${uid}:${uid}`, each]);
  chmodSync(home, 0o755);
  // A slice by its name: journald knows a user's units by the path of their groups.
  const cgroup = `${path.basename(home)}.slice`;
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private'];
  const vitest = [path.join(ROOT, 'node_modules', 'vitest', 'vitest.mjs'), 'run', '--configLoader=native'];
  // Files that are named may all be of the other project.
  const words = process.argv.length > 2 ? ['--passWithNoTests', ...process.argv.slice(2)] : [];
  const command = [process.execPath, ...vitest, '--project', project, ...words];
  const options = { cwd: ROOT, stdio: 'inherit', env } as const;
  const { status } = spawnSync('unshare', [...namespaces, '/bin/bash', ...enter(home, cgroup), ...command], options);
  for (const each of [home, folder]) rmSync(each, { recursive: true, force: true });
  removeCgroup(cgroup);
  return status ?? 1;
}

function main(): void {
  const skip = reasonToSkip();
  if (skip !== undefined) {
    console.log(`skipped: ${skip}`);
    return;
  }
  const isOpen = isOpenToOthers();
  const uid = isOpen ? UID : 0;
  if (!isOpen)
    console.log('This folder is closed to other users: the tests run as root, which may do what users may not.');
  const script = (name: string) => path.join(import.meta.dirname, name);
  const ofUser = runInside(
    (home, cgroup) => [script('enter.sh'), String(uid), home, cgroup],
    (folder) => ({ ...prepareTwoVersions(folder) }),
    uid,
    'systemd',
  );
  process.exitCode = ofUser;
  if (!isOpen) console.log('skipped: the service for every user, since this folder is closed to other users');
  else
    process.exitCode ||= runInside(
      (_, cgroup) => [script('machine.sh'), cgroup],
      () => ({}),
      0,
      'machine',
    );
}

main();
