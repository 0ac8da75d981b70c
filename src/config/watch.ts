import { type FSWatcher, watch } from 'node:fs';
import { readlink, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import type { LoadResult } from './load.ts';

interface ConfigWatcherOptions {
  /** Absolute path of the configuration file; it may be a link, and need not exist. */
  readonly file: string;
  readonly load: () => Promise<LoadResult>;
  /** Arms a timer: `Clock.after`. */
  readonly after: (delayMs: number, callback: () => void) => { cancel(): void };
  /** A configuration to take over, or the faults of one to refuse; the last good one then stays in force. */
  readonly onChange: (result: LoadResult) => void;
  /** The file cannot be watched (too many watches, a file system without events): only SIGHUP reloads now. */
  readonly onTrouble?: (error: Error) => void;
}

/** A file that changes is read once it has been left alone for this long. */
const SETTLE_MS = 100;
/** A file that never rests is read nevertheless. */
const MOST_ROUNDS = 20;

/**
 * Re-reads the configuration when it changes: written in place, replaced by a rename, removed and put back, its link
 * changed, its mode changed. Costs nothing while nothing happens: the kernel reports changes of the folders that
 * matter, and a timer runs only after one.
 */
export class ConfigWatcher {
  readonly #options: ConfigWatcherOptions;
  readonly #folders: FolderWatches;
  #identity = '';
  #settling: { readonly timer: { cancel(): void }; readonly identity: string; readonly round: number } | undefined;
  #work: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: ConfigWatcherOptions) {
    this.#options = options;
    this.#folders = new FolderWatches({
      file: options.file,
      onEvent: () => this.#settle(this.#settling?.identity ?? '', this.#settling?.round ?? 0),
      onTrouble: (error) => options.onTrouble?.(error),
    });
  }

  /** Begins to watch, then reads the configuration for the first time: no change in between is missed. */
  start(): Promise<LoadResult> {
    return this.#inTurn(() => this.#read());
  }

  /** Reads the file now, changed or not (SIGHUP), and reports it to `onChange`. */
  reload(): Promise<LoadResult> {
    return this.#inTurn(() => this.#readAndReport());
  }

  close(): void {
    this.#closed = true;
    this.#settling?.timer.cancel();
    this.#settling = undefined;
    this.#folders.close();
  }

  #settle(identity: string, round: number): void {
    if (this.#closed || this.#settling !== undefined) return;
    const timer = this.#options.after(SETTLE_MS, () => {
      this.#settling = undefined;
      void this.#inTurn(() => this.#look(identity, round));
    });
    this.#settling = { timer, identity, round };
  }

  /** Reads the file if it differs from what was read last and from nothing that was seen a moment ago. */
  async #look(seen: string, round: number): Promise<void> {
    await this.#folders.renew();
    const identity = await fileIdentity(this.#options.file);
    if (identity === this.#identity || this.#closed) return;
    if (identity === seen || round >= MOST_ROUNDS) await this.#readAndReport();
    else this.#settle(identity, round + 1);
  }

  async #readAndReport(): Promise<LoadResult> {
    const result = await this.#read();
    if (!this.#closed) this.#options.onChange(result);
    return result;
  }

  async #read(): Promise<LoadResult> {
    if (!this.#closed) await this.#folders.renew();
    // Taken before the file is read: a change during the reading is seen as one afterwards.
    this.#identity = await fileIdentity(this.#options.file);
    return this.#options.load();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#work.then(work);
    this.#work = result.catch(() => {});
    return result;
  }
}

interface FolderWatchesOptions {
  readonly file: string;
  readonly onEvent: () => void;
  readonly onTrouble: (error: Error) => void;
}

/** More links than the kernel follows. */
const MOST_LINKS = 40;

/**
 * Watches over every folder in which something can happen to a file: its own, those that its links lead through, and,
 * where a folder is missing, the nearest one above that exists. Folders, not the file: a watch on a file stays with
 * the old one when another is renamed into its place.
 */
class FolderWatches {
  readonly #options: FolderWatchesOptions;
  #watches = new Map<string, FSWatcher>();

  constructor(options: FolderWatchesOptions) {
    this.#options = options;
  }

  /** Brings the watches in line with the folders as they are now. */
  async renew(): Promise<void> {
    // Again if a folder came into being between looking for it and watching the one above.
    for (let round = 0; round < 5; round++) {
      const wanted = await foldersOf(this.#options.file);
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
async function foldersOf(file: string): Promise<Map<string, string>> {
  const folders = new Map<string, string>();
  const paths = new Set<string>();
  let at = file;
  for (let links = 0; links < MOST_LINKS; links++) {
    paths.add(path.dirname(at));
    const target = await readlink(at).catch(() => undefined);
    if (target === undefined) break;
    at = path.resolve(path.dirname(at), target);
  }
  const real = await realpath(file).catch(() => undefined);
  if (real !== undefined) paths.add(path.dirname(real));
  for (const wanted of paths) {
    for (let folder = wanted; ; folder = path.dirname(folder)) {
      const facts = await stat(folder).catch(() => undefined);
      if (facts?.isDirectory()) folders.set(`${facts.dev}:${facts.ino}:${folder}`, folder);
      if (facts?.isDirectory() || folder === path.dirname(folder)) break;
    }
  }
  return folders;
}

/**
 * A text that changes whenever the content of a file, or who may change it, may have changed: by the file behind the
 * links and by the mode and owner of its folder.
 */
async function fileIdentity(file: string): Promise<string> {
  const folder = await stat(path.dirname(file)).catch(() => undefined);
  const facts = await stat(file, { bigint: true }).catch(() => undefined);
  if (facts === undefined) return 'absent';
  const { dev, ino, size, mode, uid, mtimeNs, ctimeNs } = facts;
  return [dev, ino, size, mode, uid, mtimeNs, ctimeNs, folder?.mode, folder?.uid].join(':');
}
