import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * Names this boot of the machine, so that times since boot are only ever compared within one boot. Undefined where
 * the system has no such name: every start then counts as a boot of its own.
 */
export function currentBootId(platform: NodeJS.Platform = process.platform): string | undefined {
  if (platform === 'linux') return readBootId();
  if (platform === 'darwin') {
    const { status, stdout } = spawnSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' });
    return status === 0 && stdout.trim() !== '' ? stdout.trim() : undefined;
  }
  return undefined;
}

function readBootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
}
