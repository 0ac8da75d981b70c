import { decodeJwt } from '../credential/expiry.ts';
import type { Clock } from '../platform/clock.ts';
import { runAsClient } from './measure.ts';

/** What Claude Code takes if CLAUDE_CODE_API_KEY_HELPER_TTL_MS says nothing. */
export const DEFAULT_INTERVAL_MS = 300_000;
/** A JWT with less left is replaced before it is sent. */
const JWT_LAST_MS = 30_000;

/**
 * A key as Claude Code was seen to hold it: for its interval, then one more request with the old key while the helper
 * runs behind it. A JWT that is nearly over is the exception: the request waits for the helper. Calls of the helper
 * are coalesced, and a helper that fails after a 401 leaves an empty key.
 */
export class HeldKey {
  readonly #clock: Clock;
  readonly #command: string;
  readonly #intervalMs: number;
  #key: string | undefined;
  #heldSinceMs = 0;
  #flight: Promise<boolean> | undefined;
  /** How often the helper has been run. */
  calls = 0;
  /** What it said on stderr when it failed last. */
  words = '';

  constructor(clock: Clock, command: string, intervalMs: number = DEFAULT_INTERVAL_MS) {
    this.#clock = clock;
    this.#command = command;
    this.#intervalMs = intervalMs;
  }

  /** Of no value until the helper has answered once: see `fetch`. */
  get value(): string | undefined {
    return this.#key;
  }

  /** The key for the next request. Past the interval the helper runs behind it; if that fails the old key stays. */
  async take(): Promise<string> {
    if (this.#isNearlyOver()) await this.#run((key) => key ?? this.#key);
    else if (this.#clock.now() - this.#heldSinceMs >= this.#intervalMs) void this.#run((key) => key ?? this.#key);
    return this.#key ?? '';
  }

  /** After a 401, or at the start: resolves with whether the helper answered. */
  fetch(): Promise<boolean> {
    return this.#run((key) => key ?? '');
  }

  #isNearlyOver(): boolean {
    const expiresAtMs = decodeJwt(Buffer.from(this.#key ?? ''))?.expiresAtMs;
    return expiresAtMs !== undefined && expiresAtMs - this.#clock.wall() < JWT_LAST_MS;
  }

  #run(keep: (key: string | undefined) => string | undefined): Promise<boolean> {
    this.#flight ??= this.#callHelper(keep).finally(() => {
      this.#flight = undefined;
    });
    return this.#flight;
  }

  async #callHelper(keep: (key: string | undefined) => string | undefined): Promise<boolean> {
    this.calls += 1;
    const { exitCode, stdout, stderr } = await runAsClient(this.#clock, this.#command);
    const isGood = exitCode === 0 && stdout !== '';
    if (!isGood) this.words = stderr;
    this.#key = keep(isGood ? stdout : undefined);
    this.#heldSinceMs = this.#clock.now();
    return isGood;
  }
}
