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

/** Before the helper is asked again after the first, second, … refusal of one request; from the eighth on 32 to 39 s. */
const RETRY_MS = [1_100, 1_000, 2_400, 4_500, 9_000, 18_000, 34_000];
const MAX_REQUESTS = 13;
/** A turn ends when the helper has failed this often in a row. */
const MAX_HELPER_FAILURES = 3;
/** A JWT with less left is replaced before it is sent. */
const JWT_LAST_MS = 30_000;

/**
 * Claude Code 2.1 as it was observed to use its helper, in simulated time: keeps a key for its interval without any
 * timer, sends the old one once more while the helper runs behind it, waits 1.1 s after a 401 or 403 and asks again,
 * makes one call for everybody who wants one, sends an empty key after its helper failed, gives up after three failures
 * in a row or thirteen requests.
 */
export class ClientDouble {
  readonly #options: DoubleOptions;
  #key = '';
  #fetchedAtMs: number | undefined;
  #call: Promise<HelperResult> | undefined;
  #helperCalls = 0;

  constructor(options: DoubleOptions) {
    this.#options = options;
  }

  get key(): string {
    return this.#key;
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
    for (let attempt = 0; attempt < MAX_HELPER_FAILURES; attempt += 1) {
      if ('key' in (await this.#askHelper())) return true;
      await this.#pause(800 + this.#options.random() * 200);
    }
    return false;
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
    let words: string | undefined;
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
      const key = this.#key;
      const verdict = api(key);
      await this.#pause(verdict !== 200 && request === 1 ? (refusalAfterMs ?? 40) : 20 + random() * 40);
      if (verdict === 200) return result(true, request);
      refusedAtMs ??= clock.now();
      words ??= 'Invalid API key · Fix external API key';
      if (request === MAX_REQUESTS) return result(false, request);
      await this.#pause(RETRY_MS[request - 1] ?? 32_000 + random() * 7_000);
      const answer = await this.#askHelper();
      failures = 'key' in answer ? 0 : failures + 1;
      if ('failure' in answer) words = answer.failure;
      if (failures === MAX_HELPER_FAILURES) return result(false, request);
      await this.#pause(20 + random() * 40);
    }
  }

  /** What happens to the key before a request is sent. */
  async #prepare(): Promise<void> {
    const { clock, intervalMs } = this.#options;
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
