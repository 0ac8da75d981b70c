import { HOUR, MINUTE, SECOND } from '../fakes/living.ts';
import { type Arrival, failure, type ScriptedProvider, type Trouble } from '../fakes/scripted-provider.ts';
import type { Dice } from './dice.ts';

type Mood = 'ok' | 'failing' | 'flaky' | 'slow' | 'hanging' | 'deaf' | 'throttling' | 'login-expired';

const TROUBLES: readonly Mood[] = [
  'failing',
  'failing',
  'flaky',
  'slow',
  'hanging',
  'deaf',
  'throttling',
  'login-expired',
];
/** A refresh is up to three calls: each of them slower than this, and a stale key may be served after two seconds. */
const SLOW_MS = 500;

/** What one provider goes through in a day: mostly fine, then some minutes of one trouble or another. */
export class Weather {
  mood: Mood = 'ok';
  /** How often it turned bad, and for how long in all. */
  episodes = 0;
  troubledMs = 0;
  #lastTroubleAtMs = Number.NEGATIVE_INFINITY;
  /** When a call was last answered as it should be. */
  #lastWellAtMs: number;
  /** Before this it asked not to be asked. */
  #notBeforeMs = 0;
  /** Secrets that are refused for good reasons, until when. */
  readonly #denied = new Map<string, number>();
  readonly #dice: Dice;
  readonly #provider: ScriptedProvider;
  readonly #fixLogin: () => void;
  #changesAtMs: number;
  #sinceMs = 0;

  /** @param fixLogin a person logs in again, which changes a file that the login is made from. */
  constructor(provider: ScriptedProvider, dice: Dice, startMs: number, fixLogin: () => void) {
    this.#provider = provider;
    this.#dice = dice;
    this.#fixLogin = fixLogin;
    this.#changesAtMs = startMs + dice.wait(40 * MINUTE);
    this.#lastWellAtMs = startMs;
    provider.trouble = (arrival) => this.#meet(arrival);
  }

  /** To be called as time passes. @returns true if the mood changed. */
  pass(nowMs: number): boolean {
    if (nowMs < this.#changesAtMs) return false;
    this.#sinceMs = nowMs;
    if (this.mood === 'ok') {
      this.mood = this.#dice.pick(TROUBLES);
      this.episodes += 1;
      const lasts = Math.min(HOUR, this.#dice.wait(7 * MINUTE));
      this.troubledMs += lasts;
      this.#changesAtMs = nowMs + lasts;
    } else {
      this.#turnFine();
      this.#changesAtMs = nowMs + this.#dice.wait(40 * MINUTE);
    }
    return true;
  }

  /** The last moment at which a call met, or would have met, with trouble that allows a stale key to be served. */
  lastTroubleAtMs(nowMs: number): number {
    // Nobody tries an expired login again and again: it takes a person.
    return this.mood === 'login-expired' ? nowMs : this.#lastTroubleAtMs;
  }

  /** Until when an ask may be told of this outage, with nobody trying again for it: 15 s, in a long outage a minute. */
  mayBeToldUntilMs(): number {
    const ageMs = this.#lastTroubleAtMs - this.#lastWellAtMs;
    const waitMs = ageMs <= 4 * MINUTE ? 15 * SECOND : MINUTE;
    return Math.max(this.#notBeforeMs, this.#lastTroubleAtMs + waitMs);
  }

  /** A call under way when the machine falls asleep hangs on, or is as old as the sleep was long, when it wakes. */
  sleep(nowMs: number, ms: number): void {
    const isUnderWay = [...this.#provider.underWay.values()].some((calls) => calls > 0);
    if (this.#lastTroubleAtMs > nowMs) this.#lastTroubleAtMs += ms;
    else if (isUnderWay) this.#lastTroubleAtMs = nowMs + ms;
  }

  /** For how long every call has failed at once. */
  failsFor(nowMs: number): number {
    return this.mood === 'failing' ? nowMs - this.#sinceMs : 0;
  }

  deny(path: string, untilMs: number): void {
    this.#denied.set(path, untilMs);
  }

  clearUp(): void {
    this.#turnFine();
    this.#changesAtMs = Number.POSITIVE_INFINITY;
    this.#denied.clear();
  }

  #turnFine(): void {
    if (this.mood === 'login-expired') this.#fixLogin();
    this.mood = 'ok';
  }

  #meet({ what, atMs }: Arrival): Trouble | undefined {
    if ((this.#denied.get(what) ?? 0) > atMs) return { error: failure.denied() };
    const trouble = this.#trouble();
    if (trouble.error !== undefined || trouble.hang !== undefined || (trouble.delayMs ?? 0) >= SLOW_MS) {
      // A call that hangs is in trouble until it is given up.
      this.#lastTroubleAtMs = Math.max(
        this.#lastTroubleAtMs,
        atMs + (trouble.hang ? 30 * SECOND : (trouble.delayMs ?? 0)),
      );
    }
    if (trouble.error === undefined && trouble.hang === undefined) this.#lastWellAtMs = atMs;
    // It is obeyed with up to a fifth on top.
    const retryAfterMs = (trouble.error?.retryAfterMs ?? 0) * 1.2;
    this.#notBeforeMs = Math.max(this.#notBeforeMs, atMs + retryAfterMs + SECOND);
    return trouble;
  }

  #trouble(): Trouble {
    const dice = this.#dice;
    const delayMs = dice.between(5, 80);
    switch (this.mood) {
      case 'ok':
        return { delayMs };
      case 'failing':
        return { delayMs, error: failure.transient() };
      case 'flaky':
        return dice.chance(0.5) ? { delayMs } : { delayMs, error: failure.transient() };
      case 'slow':
        return { delayMs: dice.between(500, 15 * SECOND) };
      case 'hanging':
        return { hang: 'honest' };
      case 'deaf':
        return { hang: 'deaf' };
      case 'throttling':
        return { delayMs, error: failure.transient(dice.between(5 * SECOND, 90 * SECOND)) };
      case 'login-expired':
        return { delayMs, error: failure.loginExpired() };
    }
  }
}
