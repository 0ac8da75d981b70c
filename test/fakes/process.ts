import type { Clock, Moment, Timer } from '../../src/platform/clock.ts';
import type { Provider } from '../../src/providers/provider.ts';

/**
 * What a daemon's process is to a test: its timers and the answers it waits for end with it, without a word. The clock
 * and the providers themselves go on for the next one.
 */
export class FakeProcess implements Clock {
  readonly #clock: Clock;
  readonly #timers = new Set<Timer>();
  #isAlive = true;
  readonly died: Promise<void>;
  #announceDeath: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.died = new Promise((resolve) => {
      this.#announceDeath = resolve;
    });
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  kill(): void {
    this.#isAlive = false;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#announceDeath();
  }

  now(): number {
    return this.#clock.now();
  }

  wall(): number {
    return this.#clock.wall();
  }

  read(): Moment {
    return this.#clock.read();
  }

  after(delayMs: number, callback: () => void): Timer {
    if (!this.#isAlive) return { cancel: () => undefined };
    const timer = this.#clock.after(delayMs, () => {
      this.#timers.delete(timer);
      callback();
    });
    this.#timers.add(timer);
    return {
      cancel: () => {
        this.#timers.delete(timer);
        timer.cancel();
      },
    };
  }

  /** The provider as this process reaches it. */
  connect(provider: Provider): Provider {
    const { renew, revoke, login, renewLogin, retireLogin, dropLogin } = provider;
    return {
      callLimitMs: provider.callLimitMs,
      issue: (request, call) => this.#receive(provider.issue(request, call)),
      loginInputs: () => provider.loginInputs(),
      forgetLogin: () => provider.forgetLogin(),
      close: () => provider.close(),
      ...(renew && { renew: (lease, call) => this.#receive(renew.call(provider, lease, call)) }),
      ...(revoke && { revoke: (lease, call) => this.#receive(revoke.call(provider, lease, call)) }),
      ...(login && { login: (loginId) => login.call(provider, loginId) }),
      ...(renewLogin && { renewLogin: (loginId, call) => this.#receive(renewLogin.call(provider, loginId, call)) }),
      ...(dropLogin && { dropLogin: (call) => this.#receive(dropLogin.call(provider, call)) }),
      ...(retireLogin && { retireLogin: (loginId, call) => this.#receive(retireLogin.call(provider, loginId, call)) }),
    };
  }

  #receive<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      answer.then(
        (value) => this.#isAlive && resolve(value),
        (fault) => this.#isAlive && reject(fault),
      );
    });
  }
}
