import { fchmodSync, fchownSync, fstatSync, mkdirSync, readlinkSync, rmdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { BrokerError, codeOf, remedyOfRefusal } from '../../errors.ts';
import { replaceFile as putInPlace, readRegularFile } from '../../platform/files.ts';

/** How a file of other programs is read and replaced: its links, mode and owner stay, and no write of theirs is lost. */

/** The client's own state file has been seen at tens of megabytes. */
const MAX_BYTES = 64 * 1024 * 1024;

const FIX = 'fix the file and try again';

/** Where a path leads when every symbolic link is followed, also if the last one leads to nothing yet. */
export function followLinks(file: string): string {
  let target = path.resolve(file);
  for (let hops = 0; hops < 40; hops += 1) {
    const link = linkAt(target);
    if (link === undefined) return target;
    target = path.resolve(path.dirname(target), link);
  }
  throw new BrokerError('ERR_IO', `symbolic link loop at ${file}`, { remedy: `remove ${file}` });
}

function linkAt(file: string): string | undefined {
  try {
    return readlinkSync(file);
  } catch {
    return undefined;
  }
}

/** The file's bytes; undefined if there is none. @throws BrokerError ERR_IO for what is not a file of readable size. */
export function readIfThere(file: string): Buffer | undefined {
  const found = readRegularFile(file, { maxBytes: MAX_BYTES });
  if (found.state === 'read') return found.bytes;
  if (found.state === 'absent') return undefined;
  const remedy = found.why === 'kind' ? 'move it away: a file belongs there' : remedyOfRefusal(found.code, FIX);
  throw new BrokerError('ERR_IO', `${file} ${found.fault}`, { remedy });
}

/**
 * Puts `content` in place of a file that holds `expected` (undefined: that is not there), keeping its mode and owner.
 *
 * @returns false, and nothing changed, if the file no longer holds what was expected.
 * @throws BrokerError ERR_IO if it cannot be written.
 */
export function replaceFile(
  file: string,
  expected: Uint8Array | undefined,
  content: Uint8Array,
  newFileMode: number,
): boolean {
  return attempt(`cannot write ${file}`, () =>
    putInPlace(file, content, {
      mode: newFileMode,
      prepare: (descriptor) => {
        if (expected !== undefined) takeOver(descriptor, file);
      },
      stillWanted: () => holds(file, expected),
    }),
  );
}

function takeOver(descriptor: number, original: string): void {
  const old = statSync(original);
  const own = fstatSync(descriptor);
  if (old.uid !== own.uid || old.gid !== own.gid) fchownSync(descriptor, old.uid, old.gid);
  // After the owner: chown clears set-id bits, and a mode must never be looser than its owner was meant to have.
  fchmodSync(descriptor, old.mode & 0o7777);
}

function holds(file: string, expected: Uint8Array | undefined): boolean {
  const now = readIfThere(file);
  return expected === undefined || now === undefined ? now === expected : now.equals(expected);
}

/** @returns the folders that had to be made, outermost first. */
export function makeFolders(folder: string, mode: number): string[] {
  const missing: string[] = [];
  for (let at = folder; statSync(at, { throwIfNoEntry: false }) === undefined; at = path.dirname(at)) {
    missing.unshift(at);
  }
  attempt(`cannot make the folder ${folder}`, () => {
    for (const each of missing) mkdirSync(each, { mode });
  });
  return missing;
}

/** Removes folders that are empty, innermost first; one that is not empty stays. */
export function removeEmptyFolders(folders: readonly string[]): void {
  for (const folder of folders.toReversed()) {
    try {
      rmdirSync(folder);
    } catch {
      return;
    }
  }
}

function attempt<T>(message: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof BrokerError) throw cause;
    const code = codeOf(cause);
    throw new BrokerError('ERR_IO', `${message} (${code})`, { remedy: remedyOfRefusal(code, FIX), cause });
  }
}
