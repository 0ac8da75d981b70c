import { ProviderError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { waitUntil, within } from '../platform/waiting.ts';

/** So long without an answer, and the connection may be one that a sleep, a firewall or a change of networks has cut. */
export const PATIENCE_MS = 5_000;
/** Between two further attempts to one address: a server that is down or slow must not be asked everything twice. */
const APART_MS = 10_000;

interface AddressState {
  answers: number;
  answeredAtMs: number;
  hedgedAtMs: number;
  /** When the last repetition was sent that was answered before what it repeats. */
  overtookAtMs: number;
  readonly waiting: Set<Question>;
}

interface Question {
  readonly askedAtMs: number;
  giveUp(): void;
}

/** By clock, since what is remembered are its times; all providers of a daemon have the same one. */
const addresses = new WeakMap<Clock, Map<string, AddressState>>();

/**
 * A read that issues nothing and has no answer is sent once more, over a fresh connection, and again while nothing comes; the first
 * answer counts. So an outage that swallowed all of them ends when it ends, not when their time limit does. Not if the address
 * has answered somebody else meanwhile: then this one question is slow, and asking it twice makes it no faster. But where a repetition
 * was answered before what it repeats, the questions from before it are lost, most likely: they are given up, to be asked anew.
 */
export class Hedge {
  readonly #clock: Clock;
  readonly #state: AddressState;

  /** `address`: what all that are asked over the same network and server have in common. */
  constructor(clock: Clock, address: string) {
    this.#clock = clock;
    const known = addresses.get(clock) ?? new Map<string, AddressState>();
    addresses.set(clock, known);
    const never = Number.NEGATIVE_INFINITY;
    const nothingYet = { answers: 0, answeredAtMs: never, hedgedAtMs: never, overtookAtMs: never };
    this.#state = known.get(address) ?? { ...nothingYet, waiting: new Set() };
    known.set(address, this.#state);
  }

  /** There was an answer, whatever it said. */
  answered(): void {
    this.#state.answers += 1;
    this.#state.answeredAtMs = this.#clock.now();
  }

  hasAnsweredSince(ms: number): boolean {
    return this.#state.answeredAtMs >= ms;
  }

  /**
   * @param attempt `isAgain` asks for a connection of its own; each attempt has a signal, aborted when another has won.
   * @param firstMs how long the first one is waited for.
   */
  async send<T>(
    signal: AbortSignal,
    attempt: (signal: AbortSignal, isAgain?: boolean) => Promise<T>,
    firstMs = PATIENCE_MS,
  ): Promise<T> {
    const { answers } = this.#state;
    const over = new AbortController();
    const either = [signal, over.signal];
    const attempts = [within(either, undefined, attempt)];
    const { promise: lost, reject } = Promise.withResolvers<never>();
    lost.catch(() => undefined);
    const askedAtMs = this.#clock.now();
    const question: Question = { askedAtMs, giveUp: () => reject(lostAfter(this.#clock.now() - askedAtMs)) };
    this.#state.waiting.add(question);
    try {
      for (let patienceMs = firstMs; ; patienceMs = APART_MS) {
        const any = Promise.race([Promise.any(attempts), lost]);
        const early = await waitUntil(this.#clock, any, this.#clock.now() + patienceMs, signal);
        if (early.done) return early.value;
        if (this.#state.overtookAtMs > askedAtMs) question.giveUp();
        if (this.#state.answers > answers) return await any;
        if (!this.#isTime()) continue;
        const againAtMs = this.#clock.now();
        this.#state.hedgedAtMs = againAtMs;
        const again = within(either, undefined, (own) => attempt(own, true));
        attempts.push(
          again.then((value) => {
            this.#overtook(question, againAtMs);
            return value;
          }),
        );
      }
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof AggregateError ? error.errors[0] : error;
    } finally {
      this.#state.waiting.delete(question);
      over.abort(new Error('another attempt was answered'));
    }
  }

  /** Those that have not waited long yet look when they have. */
  #overtook(question: Question, againAtMs: number): void {
    this.#state.overtookAtMs = againAtMs;
    for (const other of this.#state.waiting) {
      const hasWaited = this.#clock.now() - other.askedAtMs >= PATIENCE_MS;
      if (other !== question && other.askedAtMs < againAtMs && hasWaited) other.giveUp();
    }
  }

  #isTime(): boolean {
    return this.#clock.now() - this.#state.hedgedAtMs >= APART_MS;
  }
}

function lostAfter(waitedMs: number): ProviderError {
  return new ProviderError(
    'transient',
    `no answer came within ${Math.ceil(waitedMs / 1000)} s, while others have theirs`,
    {
      remedy:
        'nothing if it happens once: the broker asks again; else see whether the server or the network loses requests',
      waitedMs,
    },
  );
}
