/** `npm run test:systemd`: the tests of this folder inside a `systemd --user` of their own. Needs root; else it says so. */
import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import path from 'node:path';

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

function main(): void {
  const skip = reasonToSkip();
  if (skip !== undefined) {
    console.log(`skipped: ${skip}`);
    return;
  }
  const readable = spawnSync('setpriv', [
    `--reuid=${UID}`,
    `--regid=${UID}`,
    '--clear-groups',
    'test',
    '-r',
    path.join(ROOT, 'package.json'),
  ]);
  const uid = readable.status === 0 ? UID : 0;
  if (uid === 0)
    console.log('This folder is closed to other users: the tests run as root, which may do what users may not.');
  // Not in /tmp, of which the unit gets its own.
  mkdirSync('/srv', { recursive: true });
  const home = mkdtempSync('/srv/broker-systemd-');
  // A slice by its name: journald knows a user's units by the path of their groups.
  const cgroup = `${path.basename(home)}.slice`;
  chownSync(home, uid, uid);
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private'];
  const enter = ['/bin/bash', path.join(import.meta.dirname, 'enter.sh'), String(uid), home, cgroup];
  const vitest = [
    process.execPath,
    path.join(ROOT, 'node_modules', 'vitest', 'vitest.mjs'),
    'run',
    '--configLoader=native',
    '--config',
    'vitest.systemd.config.ts',
  ];
  const { status } = spawnSync('unshare', [...namespaces, ...enter, ...vitest, ...process.argv.slice(2)], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  rmSync(home, { recursive: true, force: true });
  removeCgroup(cgroup);
  process.exitCode = status ?? 1;
}

main();
