import type { Clock, Random } from '../../src/platform/clock.ts';
import type { Client } from '../../src/platform/process-tree.ts';

/** What the helper printed, or how it failed: an error line and an exit code other than 0. */
export type HelperResult = { readonly key: string } | { readonly failure: string };

export interface DoubleOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** CLAUDE_CODE_API_KEY_HELPER_TTL_MS. */
  readonly intervalMs: number;
  readonly client: Client;
  readonly helper: () => Promise<HelperResult>;
  /** What the API answers to a request that arrives now. */
  readonly api: (key: string) => 200 | 401 | 403;
}

export interface Turn {
  readonly ok: boolean;
  readonly requests: number;
  readonly failedRequests: number;
  readonly helperCalls: number;
  readonly tookMs: number;
  /** From the first 401 or 403 to the end of the turn. */
  readonly sinceRefusalMs: number;
  /** What the user is shown. */
  readonly words: string | undefined;
}

/** Before the helper is asked again after the first, second, … refusal of one request, and up to a quarter more. */
const PAUSES_MS = [1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000];
const MAX_REQUESTS = 13;
/** A turn ends with so many refusals received while the last call of the helper, whoever made it, stands as failed. */
const MAX_FAILED_REFUSALS = 3;
/** From a cold start. */
const MAX_FIRST_CALLS = 3;
/** A JWT with less left is replaced before it is sent. */
const JWT_LAST_MS = 30_000;

/**
 * Claude Code 2.1 as it was observed to use its helper, in simulated time: keeps a key for its interval without any timer,
 * sends the old one once more while the helper runs behind it; drops it at the moment of each 401 or 403 and of each change
 * of its settings; makes one call for all requests that wait for a key; keeps an empty key for an interval after a call that
 * failed; ends a request's turn with the third refusal received while the last call stands as failed, whoever made it.
 */
export class ClientDouble {
  readonly #options: DoubleOptions;
  /** undefined: dropped, so that the next request calls the helper first. */
  #key: string | undefined;
  #fetchedAtMs: number | undefined;
  #call: Promise<HelperResult> | undefined;
  #lastCallFailed = false;
  #helperCalls = 0;

  constructor(options: DoubleOptions) {
    this.#options = options;
  }

  get key(): string {
    return this.#key ?? '';
  }

  get helperCalls(): number {
    return this.#helperCalls;
  }

  /** When the key it holds was fetched. */
  get fetchedAtMs(): number | undefined {
    return this.#fetchedAtMs;
  }

  /** 0.3 to 0.7 s after its start the helper is called, before any message; up to three times if it fails. */
  async start(): Promise<boolean> {
    await this.#pause(300 + this.#options.random() * 400);
    for (let attempt = 0; attempt < MAX_FIRST_CALLS; attempt += 1) {
      if ('key' in (await this.#askHelper())) return true;
      await this.#pause(800 + this.#options.random() * 200);
    }
    return false;
  }

  /** One of its settings files was written. */
  settingsChanged(): void {
    this.#key = undefined;
  }

  /**
   * One request to the API with whatever it takes to have it answered.
   * @param refusalAfterMs how long the API takes to say no to the first attempt.
   */
  async turn(refusalAfterMs?: number): Promise<Turn> {
    const { clock, random, api } = this.#options;
    const startedAtMs = clock.now();
    const callsBefore = this.#helperCalls;
    let refusedAtMs: number | undefined;
    let failures = 0;
    let words = 'Invalid API key · Fix external API key';
    const result = (ok: boolean, requests: number): Turn => ({
      ok,
      requests,
      failedRequests: ok ? requests - 1 : requests,
      helperCalls: this.#helperCalls - callsBefore,
      tookMs: clock.now() - startedAtMs,
      sinceRefusalMs: refusedAtMs === undefined ? 0 : clock.now() - refusedAtMs,
      words: ok ? undefined : words,
    });
    await this.#prepare();
    for (let request = 1; ; request += 1) {
      if (this.#key === undefined) {
        const answer = await this.#askHelper();
        if ('failure' in answer) words = answer.failure;
      }
      const verdict = api(this.key);
      await this.#pause(verdict !== 200 && request === 1 ? (refusalAfterMs ?? 40) : 20 + random() * 40);
      if (verdict === 200) return result(true, request);
      refusedAtMs ??= clock.now();
      this.#key = undefined;
      if (this.#lastCallFailed) failures += 1;
      if (failures === MAX_FAILED_REFUSALS || request === MAX_REQUESTS) return result(false, request);
      await this.#pause((PAUSES_MS[request - 1] ?? 32_000) * (1 + random() / 4));
    }
  }

  /** What happens to the key before a request is sent. */
  async #prepare(): Promise<void> {
    const { clock, intervalMs } = this.#options;
    if (this.#key === undefined) return;
    const exp = expiryOf(this.#key);
    if (exp !== undefined && exp - clock.wall() < JWT_LAST_MS) {
      await this.#askHelper();
      return;
    }
    const age = clock.now() - (this.#fetchedAtMs ?? Number.NEGATIVE_INFINITY);
    if (age >= intervalMs) void this.#askHelper(true);
  }

  /** Calls are coalesced. One that fails behind a request keeps the old key; one that somebody waits for empties it. */
  #askHelper(isBehind = false): Promise<HelperResult> {
    this.#call ??= this.#spawn(isBehind).finally(() => {
      this.#call = undefined;
    });
    return this.#call;
  }

  async #spawn(isBehind: boolean): Promise<HelperResult> {
    this.#helperCalls += 1;
    const answer = await this.#options.helper();
    this.#lastCallFailed = 'failure' in answer;
    if ('key' in answer) this.#key = answer.key;
    else if (!isBehind) this.#key = '';
    this.#fetchedAtMs = this.#options.clock.now();
    return answer;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.after(ms, resolve);
    });
  }
}

function expiryOf(key: string): number | undefined {
  const payload = /^ey[^.]*\.([^.]+)\./.exec(key)?.[1];
  if (payload === undefined) return undefined;
  const { exp } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { exp?: number };
  return exp === undefined ? undefined : exp * 1000;
}
