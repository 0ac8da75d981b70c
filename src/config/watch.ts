import { stat } from 'node:fs/promises';
import path from 'node:path';
import { FolderWatches } from '../platform/watch-folders.ts';
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
  /** Folders that are not watched. Default: none. */
  readonly isBusy?: ((folder: string) => boolean) | undefined;
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
      files: () => [options.file],
      isBusy: options.isBusy,
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

  /** Looks whether something happened that no event told of: FSEvents loses what happens while a stream starts. */
  look(): void {
    if (!this.#closed && this.#settling === undefined) void this.#inTurn(() => this.#look('', 0));
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
