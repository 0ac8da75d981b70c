import type { Client } from '../../src/platform/process-tree.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { BrokerHarness, type CredentialSketch, type Told } from '../fakes/harness.ts';
import { HOUR, MINUTE, SECOND } from '../fakes/living.ts';
import { ClientDouble, type HelperResult } from './client-double.ts';
import { Dice } from './dice.ts';
import { BrokenInvariant, Invariants, TURN_MARGIN_MS } from './invariants.ts';
import { clientOf, credentialsOf, INTERVALS, PROVIDERS, TIMELESS } from './population.ts';
import { Rhythm } from './rhythm.ts';
import { Store } from './store.ts';
import { Weather } from './weather.ts';

export interface DayOptions {
  readonly seed: number;
  readonly hours: number;
  /** Default: 50. */
  readonly credentials?: number;
}

export interface DayReport {
  readonly answers: number;
  readonly refusedAsks: number;
  readonly turns: number;
  readonly failedTurns: number;
  readonly reads: number;
  readonly readsAllowed: number;
  readonly restarts: number;
  readonly crashes: number;
}

interface Session {
  readonly client: Client;
  readonly credential: CredentialSketch;
  readonly intervalMs: number;
  readonly double: ClientDouble;
}

/** About twelve an hour of work. */
const EDITS_PER_TURN = 0.1;
/** Of one credential: ten seconds apart, doubling to a minute. */
const SUSPICIONS_PER_HOUR = 63;
const EVENTS_SHOWN = 40;
const SESSIONS = 30;
/** Helpers give up a little after the broker does. */
const HELPER_LIMIT_MS = 9_500;

/** A day in the life of one daemon, its clients and its providers; the same for the same seed. */
export class Day {
  readonly #options: DayOptions;
  readonly #dice: Dice;
  readonly #clock: FakeClock;
  readonly #store: Store;
  readonly #bench: BrokerHarness;
  readonly #invariants: Invariants;
  readonly #rhythm: Rhythm;
  readonly #weather = new Map<string, Weather>();
  /** For how long each credential was in use, as the broker understands it. */
  readonly #usedMs = new Map<string, { totalMs: number; lastMs: number }>();
  readonly #putBackAtMs = new Map<string, number>();
  readonly #sessions = new Set<Session>();
  readonly #history: string[] = [];
  #fault: unknown;
  #pid = 0;
  #bornAtMs: number;
  /** Until then the API answers 401 to every key. */
  #blipUntilMs = 0;
  #counts = { turns: 0, failedTurns: 0, refusedAsks: 0, suspicious: 0, restarts: 0, crashes: 0, wakes: 0, person: 0 };

  static async begin(options: DayOptions): Promise<Day> {
    const clock = new FakeClock();
    return new Day(options, clock, await Store.open(() => clock.wall()));
  }

  private constructor(options: DayOptions, clock: FakeClock, store: Store) {
    this.#options = options;
    this.#dice = new Dice(options.seed);
    this.#clock = clock;
    this.#store = store;
    this.#bench = new BrokerHarness({
      credentials: credentialsOf(options.credentials ?? 50),
      cache: this.#store.cache,
      random: this.#dice.fork().next,
      clock,
      daemon: { turnMarginMs: TURN_MARGIN_MS },
    });
    this.#bench.system.loginPolicy = { lastsMs: HOUR, maxMs: 8 * HOUR, renewable: true };
    this.#invariants = new Invariants(this.#bench.system);
    this.#rhythm = new Rhythm(this.#bench.credentials);
    this.#follow();
    this.#bornAtMs = clock.now();
    for (const name of PROVIDERS) {
      const provider = this.#bench.provider(name);
      provider.tellsTime = name !== TIMELESS;
      provider.onRead = (path, value) => {
        this.#note(`${name} gives ${path} ${value.slice(-20)}`);
        this.#invariants.noteReading(value, clock.now());
      };
      provider.onRevoke = (leaseId) => this.#judgeRevocation(leaseId);
      provider.inputs = [name];
      const fixLogin = () => this.#bench.files.set(name, String(clock.now()));
      this.#weather.set(name, new Weather(provider, this.#dice.fork(), clock.now(), fixLogin));
    }
  }

  /** @throws Error with the seed and the last events if an invariant is broken. */
  async run(): Promise<DayReport> {
    try {
      const endMs = this.#clock.now() + this.#options.hours * HOUR;
      while (this.#clock.now() < endMs && this.#fault === undefined) await this.#step();
      if (this.#fault === undefined) await this.#finish();
      if (this.#fault !== undefined) throw this.#fault;
      return this.#report();
    } catch (fault) {
      throw this.#explain(fault);
    } finally {
      await this.#bench.finish(this.#bench.broker.stop());
      this.#store.remove();
    }
  }

  /** Reads what the broker says of itself as it says it. */
  #follow(): void {
    const { broker } = this.#bench;
    let afterId = broker.events({ limit: 1 })[0]?.id ?? 0;
    broker.onEvents(() => {
      const now = this.#clock.now();
      const isFair = (name: string) => now - (this.#weather.get(name)?.lastTroubleAtMs(now) ?? 0) > MINUTE;
      for (const event of broker.events({ afterId, limit: 10_000 })) {
        afterId = event.id;
        try {
          this.#rhythm.judge(event, now, isFair);
        } catch (fault) {
          this.#fault ??= fault;
        }
      }
    });
  }

  async #step(): Promise<void> {
    const dice = this.#dice;
    while (this.#sessions.size < SESSIONS) this.#begin();
    await this.#clock.advance(dice.between(SECOND, 20 * SECOND));
    for (const [name, weather] of this.#weather) {
      const now = this.#clock.now();
      if (weather.pass(now)) this.#note(`${name} is ${weather.mood} now`);
      if (weather.failsFor(now) > 2 * MINUTE) this.#invariants.judgeProbes(name, this.#bench.provider(name), now);
    }
    await this.#change();
    this.#invariants.judgeCrowds(this.#bench.providers.values());
  }

  /** What may happen at any moment; on average every so many steps of about ten seconds. */
  async #change(): Promise<void> {
    const dice = this.#dice;
    const { system } = this.#bench;
    if (dice.chance(1 / 60)) {
      const credential = dice.pick(this.#bench.credentials);
      const path = credential.path ?? credential.name;
      if (credential.engine.kind !== 'leased') {
        const old = system.place(path)?.value ?? '';
        if (dice.chance(0.4)) system.revoked.add(old);
        this.#note(`${path} is rotated, the old value ${system.revoked.has(old) ? 'revoked' : 'good for some time'}`);
        system.rotate(path);
      } else {
        for (const lease of system.liveLeases) if (lease.path === path) system.revokeLease(lease.id);
        this.#note(`the leases of ${path} are revoked`);
      }
    }
    if (dice.chance(1 / 150)) {
      const credential = dice.pick(this.#bench.credentials.filter(({ engine }) => engine.kind === 'static'));
      this.#note(`${credential.name} is revoked without a successor`);
      system.revokeCurrent(credential.path ?? credential.name);
    }
    if (dice.chance(1 / 150)) {
      const { name, path = name } = dice.pick(this.#bench.credentials.filter(({ engine }) => engine.kind === 'static'));
      this.#note(`somebody puts an old value of ${path} back`);
      system.putBack(path);
      this.#putBackAtMs.set(path, this.#clock.now());
    }
    if (dice.chance(1 / 200)) {
      const credential = dice.pick(this.#bench.credentials);
      this.#note(`${credential.name} is denied for some minutes`);
      const until = this.#clock.now() + dice.between(MINUTE, 10 * MINUTE);
      this.#weather.get(credential.provider ?? '')?.deny(credential.path ?? credential.name, until);
    }
    if (dice.chance(1 / 250)) {
      const ms = dice.between(MINUTE, 2 * HOUR);
      this.#note(`asleep for ${Math.round(ms / 1000)} s`);
      this.#counts.wakes += 1;
      // What happened before is told before.
      this.#bench.broker.events({ limit: 1 });
      for (const weather of this.#weather.values()) weather.sleep(this.#clock.now(), ms);
      this.#clock.sleep(ms);
      if (dice.chance(0.5)) this.#bench.broker.noticeWake();
    }
    if (dice.chance(1 / 250)) {
      const ms = dice.between(-6 * HOUR, 6 * HOUR);
      this.#note(`the wall clock is set by ${Math.round(ms / 1000)} s`);
      this.#clock.setWall(this.#clock.wall() + ms);
    }
    if (dice.chance(1 / 200)) {
      const ms = dice.between(SECOND, 20 * SECOND);
      this.#note(`the API answers 401 to everybody for ${Math.round(ms / 1000)} s`);
      this.#blipUntilMs = this.#clock.now() + ms;
    }
    if (dice.chance(1 / 200)) await this.#restart();
    if (dice.chance(1 / 150)) this.#interfere();
  }

  async #restart(): Promise<void> {
    if (this.#dice.chance(0.5)) {
      this.#note('restart');
      this.#counts.restarts += 1;
      await this.#bench.finish(this.#bench.broker.stop());
      this.#bench.crash(await this.#store.reopen());
    } else {
      const torn = this.#dice.chance(0.4) ? Math.floor(this.#dice.between(1, 20_000)) : 0;
      this.#note(`kill -9, ${torn} bytes torn off`);
      this.#counts.crashes += 1;
      this.#bench.crash(await this.#store.crash(torn));
    }
    this.#bornAtMs = this.#clock.now();
    this.#rhythm.restart();
    this.#follow();
  }

  /** A person at the keyboard. */
  #interfere(): void {
    const { name } = this.#dice.pick(this.#bench.credentials);
    this.#counts.person += 1;
    this.#note(`broker refresh ${name}`);
    this.#bench.broker.refresh(name).catch(() => undefined);
  }

  #begin(): void {
    const dice = this.#dice.fork();
    const credential = dice.pick(this.#bench.credentials);
    this.#pid += 1;
    const client = clientOf(this.#pid);
    const intervalMs = dice.pick(INTERVALS);
    const double = new ClientDouble({
      clock: this.#clock,
      random: dice.next,
      intervalMs,
      client,
      helper: () => this.#help(session),
      api: (key) => (this.#bench.system.accepts(key) && this.#clock.now() >= this.#blipUntilMs ? 200 : 401),
    });
    const session: Session = { client, credential, intervalMs, double };
    this.#sessions.add(session);
    this.#live(session, dice).catch((fault: unknown) => {
      this.#fault ??= fault;
    });
  }

  /** A session: turns in quick succession, pauses, now and then a long one, and an end. */
  async #live(session: Session, dice: Dice): Promise<void> {
    if (await session.double.start()) {
      for (let turns = 1 + Math.floor(dice.wait(25)); turns > 0 && this.#fault === undefined; turns -= 1) {
        if (dice.chance(EDITS_PER_TURN)) this.#edit(session);
        const turn = await session.double.turn();
        this.#counts.turns += 1;
        if (turn.failedRequests > 0) this.#counts.suspicious += turn.helperCalls;
        if (!turn.ok) this.#counts.failedTurns += 1;
        const pause = dice.chance(0.1) ? dice.wait(12 * MINUTE) : dice.wait(30 * SECOND);
        await new Promise<void>((resolve) => void this.#clock.after(pause, resolve));
      }
    }
    this.#bench.exited.add(session.client.pid);
    this.#sessions.delete(session);
  }

  /** A click on "don't ask again": the client writes a settings file, and drops its key for that. */
  #edit({ client, double }: Session): void {
    const changedAtWallMs = this.#clock.wall();
    this.#bench.settings.set(client.pid, { fingerprint: String(changedAtWallMs), changedAtWallMs });
    double.settingsChanged();
  }

  /** The helper: one key or one line, within its limit; a reply cut off by a dying daemon is asked again. */
  async #help(session: Session): Promise<HelperResult> {
    const startedMs = this.#clock.awakeMs;
    while (this.#clock.awakeMs - startedMs < HELPER_LIMIT_MS) {
      const { process } = this.#bench;
      const told = await Promise.race([this.#ask(session), process.died]);
      if (told === undefined) continue;
      return told.value === undefined ? { failure: told.error?.message ?? '' } : { key: told.value };
    }
    return { failure: 'broker: no daemon' };
  }

  async #ask({ client, credential, intervalMs }: Session): Promise<Told> {
    const askedMs = this.#clock.awakeMs;
    const { process } = this.#bench;
    const told = await this.#bench.ask(credential.name, { client, intervalMs });
    if (!process.isAlive) return told;
    const who = `client ${client.pid} asks ${credential.name} for ${intervalMs} ms`;
    this.#note(`${who}: ${told.value?.slice(-20) ?? told.code} ${told.state ?? ''}`);
    if (told.state === 'stale') this.#note(`known of ${credential.name}: ${this.#knownFailure(credential.name)}`);
    if (told.code !== undefined) this.#counts.refusedAsks += 1;
    this.#noteUse(credential.name);
    const observed = {
      credential,
      intervalMs,
      told,
      waitedMs: Math.round(this.#clock.awakeMs - askedMs),
      nowMs: this.#clock.now(),
      lastTroubleAtMs: Math.max(
        this.#weather.get(credential.provider ?? '')?.lastTroubleAtMs(this.#clock.now()) ?? 0,
        // A value that was rejected is looked for ever more rarely: that another is there again is not known at once.
        this.#putBackAtMs.get(credential.path ?? credential.name) ?? 0,
      ),
      mayBeToldUntilMs: this.#weather.get(credential.provider ?? '')?.mayBeToldUntilMs() ?? 0,
    };
    try {
      this.#invariants.judge(observed, this.#store.cache);
      this.#invariants.judgeRefusal(`${client.pid} ${credential.name}`, intervalMs, told, this.#clock.now());
    } catch (fault) {
      this.#fault ??= fault;
    }
    return told;
  }

  #noteUse(name: string): void {
    const now = this.#clock.now();
    const used = this.#usedMs.get(name) ?? { totalMs: 0, lastMs: now };
    const gapMs = Math.min(now - used.lastMs, HOUR);
    this.#usedMs.set(name, { totalMs: used.totalMs + gapMs, lastMs: now });
  }

  #knownFailure(name: string): string {
    const status = this.#bench.broker.status().credentials.find((one) => one.name === name);
    return JSON.stringify(status?.lastError ?? null);
  }

  /** Nobody who is known to hold a lease loses it. Who held one before a restart is not known. */
  #judgeRevocation(leaseId: string): void {
    const value = this.#bench.system.leases.get(leaseId)?.value;
    for (const { client, double } of this.#sessions) {
      if (double.key !== value || (double.fetchedAtMs ?? 0) < this.#bornAtMs) continue;
      this.#fault ??= new BrokenInvariant('no lease is revoked under its holder', `${leaseId}, client ${client.pid}`);
    }
  }

  /** The sun comes out: a quarter of an hour later nothing of all that is left, and nobody is locked out. */
  async #finish(): Promise<void> {
    for (const weather of this.#weather.values()) weather.clearUp();
    await this.#clock.advance(16 * MINUTE);
    for (const credential of this.#bench.credentials) {
      const path = credential.path ?? credential.name;
      if (this.#bench.system.revoked.has(this.#bench.system.place(path)?.value ?? '')) this.#bench.system.rotate(path);
      await this.#bench.finish(this.#bench.broker.refresh(credential.name)).catch(() => undefined);
      this.#pid += 1;
      const session = { client: clientOf(this.#pid), intervalMs: 5 * MINUTE, credential };
      const told = await this.#bench.finish(this.#ask({ ...session, double: undefined as never }));
      if (this.#fault !== undefined) return;
      if (told.value === undefined || !this.#bench.system.accepts(told.value)) {
        throw new BrokenInvariant('nobody is locked out', `${credential.name}: ${told.code ?? 'a dead key'}`);
      }
    }
    this.#judgeReads();
  }

  /**
   * How often the provider may be asked for keys. Ahead of need: twice per life of a key at the most (never before
   * half of it), four times where the value is replaced by its issuer at half its life and so may be read with half of
   * it left; only while it is used and for an hour after. Besides: once for every ask of a client that met with a
   * refusal, for every refresh by a person and for every session (its interval may want more life than there is); for
   * all that is used once after a restart or a wake; and in an outage, where something cannot be served, one probe in ten
   * seconds to a minute and provider, and some more as it begins.
   */
  #readsAllowed(): number {
    const { suspicious, restarts, crashes, wakes, person } = this.#counts;
    // Clients that keep keys for seconds have them confirmed by the clock.
    const clocked = INTERVALS.filter((ms) => ms < 10 * SECOND).length / INTERVALS.length;
    const hours = this.#options.hours;
    let allowed =
      suspicious +
      clocked * SESSIONS * hours * SUSPICIONS_PER_HOUR +
      person +
      this.#pid * 2 +
      (restarts + crashes + wakes) * SESSIONS;
    for (const { name, engine, ttlMs = 15 * MINUTE } of this.#bench.credentials) {
      const life = engine.kind === 'static' ? Math.min(ttlMs, engine.ttlHintMs ?? ttlMs) : engine.lastsMs;
      const perLife = engine.kind === 'jwt' || engine.kind === 'expires-at' ? 4 : 2;
      const usedMs = (this.#usedMs.get(name)?.totalMs ?? 0) + HOUR;
      allowed += 3 + (usedMs * perLife) / life;
    }
    for (const { episodes, troubledMs } of this.#weather.values()) {
      allowed += episodes * 20 + troubledMs / (30 * SECOND);
    }
    return Math.ceil(allowed);
  }

  #reads(): number {
    let reads = 0;
    for (const provider of this.#bench.providers.values()) reads += provider.count('issue') + provider.count('renew');
    return reads;
  }

  #judgeReads(): void {
    const allowed = this.#readsAllowed();
    if (this.#reads() > allowed) {
      throw new BrokenInvariant('bounded calls to the provider', `${this.#reads()}, and ${allowed} are allowed`);
    }
  }

  #report(): DayReport {
    const { turns, failedTurns, refusedAsks, restarts, crashes } = this.#counts;
    const readsAllowed = this.#readsAllowed();
    const answers = this.#invariants.checked;
    return { answers, refusedAsks, turns, failedTurns, reads: this.#reads(), readsAllowed, restarts, crashes };
  }

  #note(what: string): void {
    if (this.#fault !== undefined) return;
    const at = new Date(this.#clock.now()).toISOString().slice(8, 23);
    this.#history.push(`${at} ${what}`);
    if (this.#history.length > EVENTS_SHOWN) this.#history.shift();
  }

  #explain(fault: unknown): Error {
    const { seed, hours } = this.#options;
    const what = fault instanceof Error ? `${fault.name}: ${fault.message}` : String(fault);
    const again = `node test/simulation/run.ts --seed ${seed} --hours ${hours}`;
    const isBroken = fault instanceof BrokenInvariant;
    const trace = isBroken || !(fault instanceof Error) ? '' : `\n${fault.stack}`;
    return new Error(`seed ${seed}: ${what}\n  ${this.#history.join('\n  ')}\nagain: ${again}${trace}`, {
      cause: fault,
    });
  }
}
