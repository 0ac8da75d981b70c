import { readFileSync } from 'node:fs';

/**
 * In a user namespace that has no root (a service with PrivateUsers=, some containers) the kernel shows the files of
 * root, as of everybody else outside, as nobody's. Whose they are cannot be told then; only that in some folders nobody
 * but root puts anything on any system.
 */
export interface HiddenOwners {
  /** The uid that stands for everybody who has none in this namespace. */
  readonly nobody: number;
}

/** Folders that only root fills: hier(7), and the stores of Nix and Guix, whose files are made root's and read-only. */
const OF_ROOT = ['/etc/', '/usr/', '/nix/store/', '/gnu/store/'];

/** Undefined where root can be told from others. */
export function hiddenOwners(read: (file: string) => string = readText): HiddenOwners | undefined {
  try {
    const mapped = read('/proc/self/uid_map').trim().split('\n');
    if (mapped.some((line) => line.trim().startsWith('0 '))) return undefined;
    const nobody = Number(read('/proc/sys/kernel/overflowuid').trim());
    return Number.isSafeInteger(nobody) ? { nobody } : undefined;
  } catch {
    // No /proc, no such namespaces.
    return undefined;
  }
}

/** Whether what lies at this path, which is free of links, can be nobody's but root's. */
export function isPlaceOfRoot(realPath: string): boolean {
  return OF_ROOT.some((folder) => realPath.startsWith(folder) || `${realPath}/` === folder);
}

function readText(file: string): string {
  return readFileSync(file, 'utf8');
}
