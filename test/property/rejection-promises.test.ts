import { describe, expect, it } from 'vitest';
import {
  type ClientHistory,
  type JudgedAsk,
  judgeEarly,
  judgeExplained,
  judgeInTime,
  NO_HISTORY,
  recordServed,
  suspicionOf,
} from '../../src/credential/rejection.ts';
import { Dice } from '../simulation/dice.ts';

/**
 * The promises of docs/rejection.md, tried with a client that counts as the real one does: its key is dropped at the
 * moment of each 401, one call fills it for all requests, a failed call leaves an empty key for a whole interval, and a
 * request's turn ends at its third 401 received while the last helper call stands as failed.
 */
const PAUSES_MS = [1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000];
const MAX_REQUESTS = 13;

interface World {
  readonly random: () => number;
  readonly intervalMs: number;
  /** What the provider has, by time. */
  readonly provided: (nowMs: number) => string;
  readonly isGood: (key: string, nowMs: number) => boolean;
  /** Whether the client's settings were written since `sinceMs`. */
  readonly wasEdited: (sinceMs: number, nowMs: number) => boolean;
}

interface TurnEnd {
  readonly ok: boolean;
  readonly sinceFirst401Ms: number;
}

class Laptop {
  readonly #world: World;
  #queue: { atMs: number; order: number; run: () => void }[] = [];
  #order = 0;
  nowMs = 0;
  #key: string | undefined;
  #lastCallFailed = false;
  #waiting: (() => void)[] | undefined;
  #history: ClientHistory = NO_HISTORY;
  #brokerKey: string;
  #brokerReadMs = Number.NEGATIVE_INFINITY;
  readonly ended: TurnEnd[] = [];
  answers = '';

  constructor(world: World) {
    this.#world = world;
    this.#brokerKey = world.provided(0);
  }

  at(atMs: number, run: () => void): void {
    this.#queue.push({ atMs, order: this.#order++, run });
  }

  run(untilMs: number): void {
    for (;;) {
      this.#queue.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
      const next = this.#queue[0];
      if (next === undefined || next.atMs > untilMs) return;
      this.#queue.shift();
      this.nowMs = next.atMs;
      next.run();
    }
  }

  /** A settings file was written: the client drops its key. */
  edit(): void {
    this.#key = undefined;
  }

  /** `sentMs`: the first attempt was sent then with the key of that moment, and its answer comes now. */
  request(lateMs = 0): void {
    let first401: number | undefined;
    let requests = 0;
    let counted = 0;
    const attempt = (answerAfterMs: number) => {
      if (this.#key === undefined) {
        this.#callHelper(() => attempt(answerAfterMs));
        return;
      }
      const key = this.#key;
      const isGood = key !== '' && this.#world.isGood(key, this.nowMs);
      requests += 1;
      this.at(this.nowMs + answerAfterMs, () => {
        if (isGood) {
          this.ended.push({ ok: true, sinceFirst401Ms: this.nowMs - (first401 ?? this.nowMs) });
          return;
        }
        first401 ??= this.nowMs;
        this.#key = undefined;
        if (this.#lastCallFailed) counted += 1;
        if (counted >= 3 || requests >= MAX_REQUESTS) {
          this.ended.push({ ok: false, sinceFirst401Ms: this.nowMs - first401 });
          return;
        }
        const pauseMs = (PAUSES_MS[requests - 1] ?? 32_000) * (1 + this.#world.random() * 0.25);
        this.at(this.nowMs + pauseMs, () => attempt(50 + this.#world.random() * 250));
      });
    };
    attempt(lateMs > 0 ? lateMs : 50 + this.#world.random() * 250);
  }

  #callHelper(then: () => void): void {
    if (this.#waiting !== undefined) {
      this.#waiting.push(then);
      return;
    }
    this.#waiting = [then];
    this.at(this.nowMs + 5 + this.#world.random() * 10, () => {
      const answer = this.#broker();
      this.at(this.nowMs + 10, () => {
        this.#key = answer ?? '';
        this.#lastCallFailed = answer === undefined;
        const all = this.#waiting ?? [];
        this.#waiting = undefined;
        for (const each of all) each();
      });
    });
  }

  /** The broker as far as it matters here: the provider is asked on suspicion, at most every ten seconds. */
  #broker(): string | undefined {
    const { nowMs } = this;
    const ask = (): JudgedAsk => ({
      nowMs,
      wallMs: nowMs,
      intervalMs: this.#world.intervalMs,
      format: 'raw',
      strikable: true,
      saysRejected: false,
      askingIsDear: false,
      key: { digest: this.#brokerKey, leased: false, jwtExpiresAtMs: undefined, confirmedAtMs: this.#brokerReadMs },
    });
    const before = this.#history.served;
    if (suspicionOf(this.#history, ask()) !== 'early') {
      this.#history = judgeInTime(this.#history, ask());
    } else if (before !== undefined && this.#world.wasEdited(before.atMs, nowMs)) {
      this.#history = judgeExplained(this.#history, ask());
      this.answers += 'e';
    } else {
      if (nowMs - this.#brokerReadMs >= 10_000) {
        this.#brokerKey = this.#world.provided(nowMs);
        this.#brokerReadMs = nowMs;
      }
      const { answer, history } = judgeEarly(this.#history, ask(), { provider: 'confirmed' });
      this.#history = history;
      this.answers += answer === 'serve' ? 'S' : 'R';
      if (answer === 'refuse') return undefined;
    }
    this.#history = recordServed(this.#history, { digest: this.#brokerKey, atMs: nowMs, atWallMs: nowMs });
    return this.#brokerKey;
  }
}

const SEEDS = 2_000;

function percentile(values: readonly number[], part: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * part)] ?? 0;
}

function laptops(make: (random: () => number) => { laptop: Laptop; go: () => void }): TurnEnd[] {
  return Array.from({ length: SEEDS }, (_, seed) => {
    const dice = new Dice(seed + 1);
    const { laptop, go } = make(dice.next);
    go();
    return laptop.ended;
  }).flat();
}

/** At 60 s the key in hand stops working; what the provider has from then on is up to the scene. */
const REVOKED_MS = 60_000;

function revoked(random: () => number, after: 'dead' | 'dead successor' | 'good successor', wasEdited = () => false) {
  return new Laptop({
    random,
    intervalMs: 300_000,
    wasEdited,
    provided: (nowMs) => (nowMs < REVOKED_MS || after === 'dead' ? 'old' : 'new'),
    isGood: (key, nowMs) => (key === 'old' ? nowMs < REVOKED_MS : after === 'good successor'),
  });
}

describe('what refusal promises', () => {
  it.each([
    ['dead', 12_000],
    ['dead successor', 22_000],
  ] as const)('one request under way, the key %s: the turn ends within %i ms', (after, limitMs) => {
    const ends = laptops((random) => {
      const laptop = revoked(random, after);
      laptop.at(0, () => laptop.request());
      laptop.at(REVOKED_MS + 1, () => laptop.request());
      return { laptop, go: () => laptop.run(400_000) };
    });
    const failed = ends.filter(({ ok }) => !ok);
    expect(failed).toHaveLength(SEEDS);
    const times = failed.map(({ sinceFirst401Ms }) => sinceFirst401Ms);
    expect(percentile(times, 1)).toBeLessThanOrEqual(limitMs);
  });

  it('no good turn ends by up to four 401s of the old key, each up to seven seconds late', () => {
    const ends = laptops((random) => {
      const laptop = revoked(random, 'good successor');
      laptop.at(0, () => laptop.request());
      const late = 1 + Math.floor(random() * 4);
      for (let index = 0; index < late; index += 1) {
        laptop.at(REVOKED_MS + 1 + index * 10, () => laptop.request(50 + random() * 7_000));
      }
      return { laptop, go: () => laptop.run(400_000) };
    });
    expect(ends.filter(({ ok }) => !ok)).toEqual([]);
  });

  it('no good turn ends by any number of asks that an edit of the settings explains', () => {
    const ends = laptops((random) => {
      const edits = Array.from({ length: 20 }, () => random() * 300_000);
      const laptop = new Laptop({
        random,
        intervalMs: 300_000,
        provided: () => 'old',
        isGood: () => true,
        wasEdited: (sinceMs, nowMs) => edits.some((atMs) => atMs >= sinceMs && atMs <= nowMs),
      });
      for (const atMs of edits) laptop.at(atMs, () => laptop.edit());
      for (let atMs = 0; atMs < 300_000; atMs += 3_000) laptop.at(atMs + random() * 1_000, () => laptop.request());
      return { laptop, go: () => laptop.run(400_000) };
    });
    expect(ends.filter(({ ok }) => !ok)).toEqual([]);
  });

  it('several dead requests at once end too', () => {
    const ends = laptops((random) => {
      const laptop = revoked(random, 'dead');
      laptop.at(0, () => laptop.request());
      for (let index = 0; index < 4; index += 1)
        laptop.at(REVOKED_MS + 1 + index * 700 * random(), () => laptop.request());
      return { laptop, go: () => laptop.run(600_000) };
    });
    const times = ends.filter(({ ok }) => !ok).map(({ sinceFirst401Ms }) => sinceFirst401Ms);
    expect(times).toHaveLength(SEEDS * 4);
    expect(percentile(times, 0.5)).toBeLessThanOrEqual(69_000);
    expect(percentile(times, 1)).toBeLessThanOrEqual(193_000);
  });
});
