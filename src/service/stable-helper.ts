import { mkdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { BrokerError, codeOf } from '../errors.ts';
import { isExecutable, writeFileAtomically } from '../platform/files.ts';
import { helperPath, PACKAGE_ROOT } from '../platform/native.ts';
import { ensurePrivateFolder } from '../platform/place-rules.ts';

/** STATE/bin/broker-key: where the helper stays when packages, runtimes and their folders come and go. */
export function stableHelper(stateDir: string): string {
  return path.join(stateDir, 'bin', 'broker-key');
}

/**
 * Puts this version's helper at its stable place, for settings files to name. It is a copy, because a link would lead
 * nowhere once an upgrade has removed what it leads to. Where there is no native helper for this machine, the package's
 * own script is what there is, and where nothing may run in the state folder the package's own helper.
 *
 * @returns the absolute path to write into settings.
 * @throws BrokerError ERR_UNSAFE_FILE, ERR_IO.
 */
export function installStableHelper(stateDir: string, uid: number): string {
  const native = helperPath();
  if (native === undefined) return path.join(PACKAGE_ROOT, 'bin', 'broker-key');
  const place = stableHelper(stateDir);
  try {
    ensurePrivateFolder(stateDir, uid);
    mkdirSync(path.dirname(place), { recursive: true, mode: 0o700 });
    writeFileAtomically(place, readFileSync(native), 0o700);
    // A home may be mounted noexec.
    return isExecutable(place) ? place : native;
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    throw new BrokerError('ERR_IO', `cannot put the helper at ${place} (${codeOf(error)})`, {
      remedy: 'check that the state folder can be written and the disk is not full',
      cause: error,
    });
  }
}

/** After an upgrade, by the daemon: what was installed becomes this version's. Never throws, and installs nothing new. */
export function refreshStableHelper(stateDir: string, uid: number): void {
  try {
    if (statSync(stableHelper(stateDir), { throwIfNoEntry: false }) !== undefined) installStableHelper(stateDir, uid);
  } catch {
    // The old one asks just as well.
  }
}
