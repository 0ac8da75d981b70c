import type { KeptKey } from '../broker/lending.ts';
import type { Config } from '../config/config.ts';
import { BrokerError, failedInside, systemRefusal } from '../errors.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import { MemoryFile } from '../platform/memory-file.ts';
import type { SinkReport } from '../protocol/reports.ts';
import type { Call } from '../providers/provider.ts';

/** What the broker does for a file. */
export interface KeyKeeper {
  keep(name: string, call: Call, had: string | undefined, isSpent: boolean): Promise<KeptKey>;
  /** The version of the present key, and how often clients were given one. */
  glance(name: string): { readonly version: string | undefined; readonly timesServed: number } | undefined;
  onEvents(listener: () => void): () => void;
}

interface SinksOptions {
  readonly broker: KeyKeeper;
  readonly clock: Clock;
  readonly log: Log;
  /** The path of the file that a sink is written to. */
  readonly pathOf: (written: string) => string;
  readonly uid: number;
}

/** Who reads a file is noticed so soon: two clients that start at the same moment should not get the same token twice. */
const LOOK_MS = 2_000;
/** While it is in use the key counts as asked for, so that it is refreshed ahead of need. */
const ASK_MS = 30_000;
/** What a failure of the provider leaves in the file is asked for again this often; the broker holds itself off besides. */
const AGAIN_MS = 10_000;

/**
 * Keys that expire, in files for programs that can read only those: written when the daemon starts, when the key changes and when
 * somebody has read them (an identity token can be exchanged once), removed when it stops. A file that nobody reads for
 * `idle_after` is left alone until somebody does.
 */
export class Sinks {
  readonly #options: SinksOptions;
  readonly #sinks = new Map<string, Sink>();
  readonly #forgetEvents: () => void;
  #idleAfterMs = 0;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: SinksOptions) {
    this.#options = options;
    this.#forgetEvents = options.broker.onEvents(() => this.#look());
  }

  /** The configuration that is in force now. Files of credentials that have none any more are removed. */
  adopt(config: Config): void {
    this.#idleAfterMs = config.daemon.idleAfterMs;
    const wanted = new Map(
      [...config.credentials.values()].flatMap(({ name, sink }) => (sink === undefined ? [] : [[name, sink]])),
    );
    for (const [name, sink] of this.#sinks) {
      if (wanted.get(name) === sink.written) continue;
      sink.close();
      this.#sinks.delete(name);
    }
    for (const [name, written] of wanted) {
      if (!this.#sinks.has(name)) this.#sinks.set(name, new Sink(name, written, this.#options));
    }
    this.#look();
  }

  /** Of a credential; undefined: it has no sink. */
  report(name: string): SinkReport | undefined {
    return this.#sinks.get(name)?.report();
  }

  /** Nothing is written after this. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#forgetEvents();
    for (const sink of this.#sinks.values()) sink.close();
    this.#sinks.clear();
  }

  #look(): void {
    if (this.#isClosed) return;
    for (const sink of this.#sinks.values()) sink.look(this.#idleAfterMs);
    this.#timer?.cancel();
    this.#timer = this.#sinks.size === 0 ? undefined : this.#options.clock.after(LOOK_MS, () => this.#look());
  }
}

/** One file of one credential. */
class Sink {
  readonly written: string;
  readonly #name: string;
  readonly #options: SinksOptions;
  readonly #file: MemoryFile;
  readonly #closing = new AbortController();
  #usedAtMs: number;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  /** What the file has. */
  #held: { readonly version: string; readonly expiresAtMs: number } | undefined;
  #problem: BrokerError | undefined;
  #timesServed = 0;
  #isBusy = false;

  constructor(name: string, written: string, options: SinksOptions) {
    this.#name = name;
    this.written = written;
    this.#options = options;
    this.#file = new MemoryFile(options.pathOf(written), options.uid);
    this.#usedAtMs = options.clock.now();
    // Of a daemon that was killed.
    this.#file.remove();
  }

  look(idleAfterMs: number): void {
    const nowMs = this.#options.clock.now();
    const { version, timesServed = 0 } = this.#options.broker.glance(this.#name) ?? {};
    const access = this.#file.access();
    const wasRead = access === 'read';
    if (wasRead || access === 'untold' || timesServed !== this.#timesServed) this.#usedAtMs = nowMs;
    this.#timesServed = timesServed;
    const held = this.#held;
    const isChanged = held !== undefined && (version !== held.version || access === 'absent');
    // Taken away, or expired: whoever reads it now is better off without.
    if (held !== undefined && (version === undefined || held.expiresAtMs <= nowMs)) this.#drop();
    if (this.#isBusy || nowMs - this.#usedAtMs > idleAfterMs) return;
    const isDue = nowMs - this.#askedAtMs >= (this.#problem === undefined ? ASK_MS : AGAIN_MS);
    if (isDue || ((wasRead || isChanged) && this.#problem === undefined)) void this.#fill(wasRead, access);
  }

  report(): SinkReport {
    const problem = this.#problem;
    return {
      file: this.#file.path,
      written: this.#held !== undefined,
      problem: problem?.message ?? null,
      remedy: problem?.remedy ?? null,
    };
  }

  close(): void {
    this.#closing.abort(new BrokerError('ERR_NO_FIT_KEY', 'the file is no longer kept'));
    this.#drop();
  }

  async #fill(isSpent: boolean, access: string): Promise<void> {
    this.#isBusy = true;
    this.#askedAtMs = this.#options.clock.now();
    const { signal } = this.#closing;
    try {
      const kept = await this.#options.broker.keep(this.#name, { signal }, this.#held?.version, isSpent);
      using secret = kept.secret;
      if (signal.aborted) return;
      if (isSpent || access === 'absent' || kept.version !== this.#held?.version) this.#file.write(secret.bytes);
      this.#held = kept;
      if (this.#problem !== undefined)
        this.#options.log.info({ credential: this.#name }, `${this.#file.path} is written`);
      this.#problem = undefined;
    } catch (fault) {
      if (!signal.aborted) this.#fail(fault);
    } finally {
      this.#isBusy = false;
    }
  }

  #fail(fault: unknown): void {
    const error = fault instanceof BrokerError ? fault : (systemRefusal(fault) ?? failedInside('it', fault));
    // Somebody was meant to lose it, or nothing may lie there.
    if (TAKEN_AWAY.has(error.code)) this.#drop();
    if (this.#problem?.message !== error.message) {
      const { code, message, remedy } = error;
      this.#options.log.warn(
        { credential: this.#name, code, remedy },
        `${this.#file.path} is not kept fresh: ${message}`,
      );
    }
    this.#problem = error;
  }

  #drop(): void {
    if (this.#held !== undefined) this.#file.remove();
    this.#held = undefined;
  }
}

const TAKEN_AWAY: ReadonlySet<string> = new Set([
  'ERR_DENIED',
  'ERR_GONE',
  'ERR_KEY_REJECTED',
  'ERR_CONFIG',
  'ERR_UNSAFE_FILE',
]);
