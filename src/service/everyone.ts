import { readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { BrokerError } from '../errors.ts';
import { MEMORY_ENVIRONMENT } from '../platform/guard.ts';
import { loadNative } from '../platform/native.ts';
import { firstLine } from '../platform/text.ts';
import { type PlannedFile, run, type Surroundings, writePlanned } from './manager.ts';
import { type DaemonCommand, daemonCommand } from './runtime.ts';
import { unitFiles } from './systemd.ts';

interface EveryonePlan {
  readonly daemon: DaemonCommand;
  readonly files: readonly PlannedFile[];
}

/** The folder of an administrator's units for the services of every user. */
const FOLDER = '/etc/systemd/user';

/**
 * The units for a machine that many people use: no user's own path, `%h` and `%t` instead; one daemon per user.
 *
 * @throws BrokerError ERR_CONFIG if others cannot run what this runs on.
 */
export function planForEveryone(
  execPath: string,
  sandbox: 'full' | 'basic' | undefined,
  searched: string | undefined,
): EveryonePlan {
  const daemon = daemonCommand({ execPath, copyRuntime: false, dryRun: true, stateDir: '/nonexistent', searched });
  for (const file of [daemon.node, daemon.program]) refuseClosed(file);
  const files = unitFiles(FOLDER, {
    command: daemon.command,
    stateDir: undefined,
    socket: undefined,
    env: MEMORY_ENVIRONMENT,
    canNotify: loadNative() !== undefined,
    namespaces: sandbox === undefined ? namespacesAllowed() : sandbox === 'full',
  });
  return { daemon, files };
}

/** @throws BrokerError ERR_USAGE unless root asks, ERR_IO, ERR_DAEMON_UNREACHABLE if systemctl fails. */
export async function installForEveryone(surroundings: Surroundings, { files }: EveryonePlan): Promise<void> {
  requireRoot(surroundings);
  for (const file of files) writePlanned(file);
  await systemctl(surroundings, 'enable');
}

/** @returns what was removed. */
export async function uninstallForEveryone(surroundings: Surroundings): Promise<readonly string[]> {
  requireRoot(surroundings);
  await systemctl(surroundings, 'disable').catch(() => undefined);
  const files = ['broker.service', 'broker.socket'].map((name) => path.join(FOLDER, name));
  return files.filter((file) => {
    try {
      rmSync(file);
      return true;
    } catch {
      return false;
    }
  });
}

async function systemctl(surroundings: Surroundings, verb: 'enable' | 'disable'): Promise<void> {
  const { code, stderr } = await run(['systemctl', '--global', verb, 'broker.socket'], surroundings);
  if (code === 0) return;
  throw new BrokerError(
    'ERR_DAEMON_UNREACHABLE',
    `systemctl --global ${verb} broker.socket failed: ${firstLine(stderr)}`,
    {
      remedy: 'run it by hand to see more',
    },
  );
}

/** A Node below /root or a closed home runs only for its owner. */
function refuseClosed(file: string): void {
  const real = realpathSync(file);
  const parents = real.split('/').map((_, depth, parts) => parts.slice(0, depth).join('/') || '/');
  const closed = [...parents, real].find((place) => (statSync(place).mode & (place === real ? 0o004 : 0o001)) === 0);
  if (closed === undefined) return;
  throw new BrokerError(
    'ERR_CONFIG',
    `the other users of this machine cannot reach ${file}: ${closed} is closed to them`,
    {
      remedy: 'install Node and broker where everybody can read them, such as below /usr/local',
    },
  );
}

function requireRoot({ uid, platform }: Surroundings): void {
  if (platform === 'linux' && uid === 0) return;
  throw new BrokerError('ERR_USAGE', 'a service for every user is for root on a machine with systemd', {
    remedy: 'run it with sudo, or leave out --everyone',
  });
}

/** Debian's, everybody's and Ubuntu's way to forbid them. */
function namespacesAllowed(): boolean {
  return (
    setting('kernel/unprivileged_userns_clone', '1') !== '0' &&
    setting('user/max_user_namespaces', '1') !== '0' &&
    setting('kernel/apparmor_restrict_unprivileged_userns', '0') === '0'
  );
}

function setting(name: string, otherwise: string): string {
  try {
    return readFileSync(`/proc/sys/${name}`, 'utf8').trim();
  } catch {
    return otherwise;
  }
}
