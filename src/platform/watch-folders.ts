import { type FSWatcher, watch } from 'node:fs';
import { readlink, realpath, stat } from 'node:fs/promises';
import path from 'node:path';

interface FolderWatchesOptions {
  /** Asked for anew whenever the watches are renewed. */
  readonly files: () => readonly string[];
  /** `change`: to what is in a file or its attributes, under this name in its folder; `rename`: a file came or went. */
  readonly onEvent: (event: 'change' | 'rename', name: string | null) => void;
  /** Folders that are not watched: on macOS a watch is told of everything below, which in a home is a lot. Default: none. */
  readonly isBusy?: ((folder: string) => boolean) | undefined;
  readonly onTrouble: (error: Error) => void;
}

/** More links than the kernel follows. */
const MOST_LINKS = 40;

/**
 * Watches over every folder in which something can happen to these files: their own, those that its links lead through, and,
 * where a folder is missing, the nearest one above that exists. Folders, not the file: a watch on a file stays with
 * the old one when another is renamed into its place.
 */
export class FolderWatches {
  readonly #options: FolderWatchesOptions;
  #watches = new Map<string, FSWatcher>();

  constructor(options: FolderWatchesOptions) {
    this.#options = options;
  }

  /** Brings the watches in line with the folders as they are now. */
  async renew(): Promise<void> {
    // Again if a folder came into being between looking for it and watching the one above.
    for (let round = 0; round < 5; round++) {
      const wanted = await foldersOf(this.#options.files(), this.#options.isBusy);
      const before = this.#watches;
      const current = new Map<string, FSWatcher>();
      for (const [identity, folder] of wanted) {
        const watcher = before.get(identity) ?? this.#watch(folder, identity);
        if (watcher !== undefined) current.set(identity, watcher);
      }
      for (const [identity, watcher] of before) if (!current.has(identity)) watcher.close();
      this.#watches = current;
      if ([...current.keys()].every((identity) => before.has(identity))) return;
    }
  }

  close(): void {
    for (const watcher of this.#watches.values()) watcher.close();
    this.#watches.clear();
  }

  #watch(folder: string, identity: string): FSWatcher | undefined {
    try {
      const watcher = watch(folder, { persistent: false }, this.#options.onEvent);
      watcher.on('error', (error) => {
        watcher.close();
        this.#watches.delete(identity);
        this.#options.onTrouble(error);
      });
      return watcher;
    } catch (error) {
      // Gone again: the next round finds the one above it.
      if (error instanceof Error && !('code' in error && error.code === 'ENOENT')) this.#options.onTrouble(error);
      return undefined;
    }
  }
}

/** Folders by identity: a folder that was replaced by another of the same name needs a new watch. */
async function foldersOf(
  files: readonly string[],
  isBusy: FolderWatchesOptions['isBusy'],
): Promise<Map<string, string>> {
  const folders = new Map<string, string>();
  const paths = new Set<string>();
  for (const file of files) await addFoldersOf(file, paths);
  for (const wanted of paths) {
    for (let folder = wanted; ; folder = path.dirname(folder)) {
      const facts = await stat(folder).catch(() => undefined);
      if (facts?.isDirectory() && !isBusy?.(folder)) folders.set(`${facts.dev}:${facts.ino}:${folder}`, folder);
      if (facts?.isDirectory() || folder === path.dirname(folder)) break;
    }
  }
  return folders;
}

async function addFoldersOf(file: string, paths: Set<string>): Promise<void> {
  let at = file;
  for (let links = 0; links < MOST_LINKS; links++) {
    paths.add(path.dirname(at));
    const target = await readlink(at).catch(() => undefined);
    if (target === undefined) break;
    at = path.resolve(path.dirname(at), target);
  }
  const real = await realpath(file).catch(() => undefined);
  if (real !== undefined) paths.add(path.dirname(real));
}
