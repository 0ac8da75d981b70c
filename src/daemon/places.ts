import { statSync } from 'node:fs';
import path from 'node:path';
import { BrokerError } from '../errors.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import { ensurePrivateFolder } from '../platform/place-rules.ts';
import type { StateLock } from '../platform/state-lock.ts';
import { FolderWatches } from '../platform/watch-folders.ts';
import type { PlaceReport } from '../protocol/reports.ts';
import type { Listener } from '../server/listener.ts';
import type { ComposedDaemon } from './compose.ts';

/** Something of the daemon's outside of it, that somebody may remove, empty, replace or move while the daemon runs. */
export interface Place {
  readonly name: PlaceReport['place'];
  /** @returns what was put right, undefined if nothing had to be. @throws BrokerError why it could not be. */
  look(): Promise<string | undefined>;
}

interface PlaceKeeperOptions {
  /** Looked after in this order: what the next ones lie in comes first. */
  readonly places: readonly Place[];
  /** Files in whose folders something may happen to them. */
  readonly watched: () => readonly string[];
  readonly clock: Clock;
  readonly log: Log;
  /** A file of this name, which the daemon writes to itself, is as it should be after a change. Looks at little. */
  readonly isRight: (name: string) => boolean;
  /** Another daemon has the state folder by now: this one has nothing more to do. */
  readonly onDisplaced: () => void;
}

/** Whoever removes a folder and makes it again is let finish. */
const SETTLE_MS = 250;
/** What cannot be put right is tried again this often, and at every change. */
const TRY_AGAIN_MS = 30_000;
/** Of what happens again and again, one line in this time. */
const SAY_AGAIN_MS = 60_000;
/** Putting one thing right may show that another is not. */
const MOST_ROUNDS = 3;

/**
 * Looks after the places of the daemon: socket, lock, database, key file. The kernel reports changes in their folders, so
 * that nothing wakes up while nothing happens; the scheduler's tick is the second line.
 */
export class PlaceKeeper {
  readonly #options: PlaceKeeperOptions;
  readonly #watches: FolderWatches;
  readonly #reports = new Map<Place, PlaceReport>();
  readonly #said = new Map<Place, number>();
  #settling: Timer | undefined;
  #again: Timer | undefined;
  #looking: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: PlaceKeeperOptions) {
    this.#options = options;
    this.#watches = new FolderWatches({
      files: options.watched,
      // What the daemon writes itself, which it is awake for, need not wake it once more.
      onEvent: (event, name) => {
        if (event === 'rename' || name === null || !options.isRight(name)) this.#settle();
      },
      onTrouble: ({ message }) =>
        options.log.warn({ reason: message }, 'the places of the daemon are not watched: it looks once a minute'),
    });
  }

  /** Begins to watch, and looks for what happened before. */
  start(): Promise<void> {
    return this.look();
  }

  /** Puts right what is not. Never rejects. */
  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look());
    return this.#looking;
  }

  /** What was put right since the start, and what could not be. */
  reports(): readonly PlaceReport[] {
    return [...this.#reports.values()];
  }

  /** Afterwards nothing is put right any more: the daemon takes its places away itself. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#settling?.cancel();
    this.#again?.cancel();
    this.#watches.close();
    await this.#looking;
  }

  #settle(): void {
    if (this.#isClosed || this.#settling !== undefined) return;
    this.#settling = this.#options.clock.after(SETTLE_MS, () => {
      this.#settling = undefined;
      void this.look();
    });
  }

  async #look(): Promise<void> {
    this.#again?.cancel();
    let changed = true;
    let troubled = false;
    for (let round = 0; changed && round < MOST_ROUNDS && !this.#isClosed; round += 1) {
      await this.#watches.renew();
      changed = troubled = false;
      for (const place of this.#options.places) {
        const outcome = await this.#lookAt(place);
        changed ||= outcome === 'restored';
        troubled ||= outcome === 'lost';
        if (this.#isClosed) return;
      }
    }
    if (troubled) this.#again = this.#options.clock.after(TRY_AGAIN_MS, () => void this.look());
  }

  async #lookAt(place: Place): Promise<PlaceReport['state'] | 'right'> {
    const known = this.#reports.get(place);
    try {
      const restored = await place.look();
      if (restored === undefined) {
        if (known?.state === 'lost') this.#reports.delete(place);
        return 'right';
      }
      this.#report(place, 'restored', restored, null);
      return 'restored';
    } catch (error) {
      const { message, remedy } = error instanceof BrokerError ? error : { message: String(error), remedy: undefined };
      this.#report(place, 'lost', message, remedy ?? null);
      if (place.name === 'lock' && error instanceof BrokerError && error.code === 'ERR_ALREADY_RUNNING') {
        this.#isClosed = true;
        this.#options.onDisplaced();
      }
      return 'lost';
    }
  }

  #report(place: Place, state: PlaceReport['state'], message: string, remedy: string | null): void {
    const { clock, log } = this.#options;
    const known = this.#reports.get(place);
    const times = known?.state === state ? known.times + 1 : 1;
    const at = new Date(clock.wall()).toISOString();
    this.#reports.set(place, { place: place.name, state, at, times, message, remedy });
    const isNews = known?.state !== state || known.message !== message;
    const saidMs = this.#said.get(place) ?? Number.NEGATIVE_INFINITY;
    const isDue = state === 'restored' && clock.now() - saidMs >= SAY_AGAIN_MS;
    if (!isNews && !isDue) return;
    this.#said.set(place, clock.now());
    if (state === 'lost') log.error({ place: place.name, remedy: remedy ?? undefined }, message);
    else log.warn({ place: place.name, times }, message);
  }
}

/** The lock, and the folder that it is in. */
export class HeldLock implements Place {
  readonly name = 'lock';
  readonly #lock: StateLock;
  readonly #folder: string;
  readonly #uid: number;

  constructor(lock: StateLock, folder: string, uid: number) {
    this.#lock = lock;
    this.#folder = folder;
    this.#uid = uid;
  }

  async look(): Promise<string | undefined> {
    ensurePrivateFolder(this.#folder, this.#uid);
    return this.#lock.restore() ? `${this.#lock.path} was gone or replaced, and is locked again` : undefined;
  }
}

/** Where the daemon listens: at the same path again, or at the next best if that cannot be. */
export class BoundSocket implements Place {
  readonly name = 'socket';
  readonly #bind: () => Promise<Listener>;
  readonly #onBound: (listener: Listener) => void;
  #listener: Listener;

  /** @param onBound called at once, and whenever it is bound again. */
  constructor(listener: Listener, bind: () => Promise<Listener>, onBound: (listener: Listener) => void) {
    this.#listener = listener;
    this.#bind = bind;
    this.#onBound = onBound;
    onBound(listener);
  }

  get listener(): Listener {
    return this.#listener;
  }

  async look(): Promise<string | undefined> {
    const { path: before } = this.#listener;
    if (this.#listener.isThere()) return undefined;
    this.#listener = await this.#bind();
    this.#onBound(this.#listener);
    const { path: now } = this.#listener;
    return `the socket ${before} was gone or replaced, and was bound again${now === before ? '' : ` as ${now}`}`;
  }
}

export function cachePlaces({ cache, reachCache }: ComposedDaemon, stateDir: string): readonly Place[] {
  const again = 'was gone or replaced, and was written again from memory';
  return [
    {
      name: 'database',
      look: async () => {
        await reachCache();
        return (await cache.restoreDatabase()) ? `${path.join(stateDir, 'cache.db')} ${again}` : undefined;
      },
    },
    {
      name: 'key',
      look: async () => ((await cache.restoreKey()) ? `${path.join(stateDir, 'kek')} ${again}` : undefined),
    },
  ];
}

/**
 * The files to watch for those that lie in these folders: with the folder above, in which the folder itself may be moved, but
 * not a home or a folder of all users, in which something happens all the time.
 */
export function watchedFiles(files: readonly string[], homeDir: string): string[] {
  return files.flatMap((file) => {
    const folder = path.dirname(file);
    return isQuiet(path.dirname(folder), homeDir) ? [file, folder] : [file];
  });
}

function isQuiet(folder: string, homeDir: string): boolean {
  if (folder === homeDir || folder === path.dirname(folder)) return false;
  try {
    return (statSync(folder).mode & 0o1000) === 0;
  } catch {
    return true;
  }
}
