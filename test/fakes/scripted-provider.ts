import type { Lease, Login } from '../../src/credential/life.ts';
import { ProviderError } from '../../src/errors.ts';
import { LoginAttempts } from '../../src/providers/login-attempts.ts';
import type {
  Call,
  CredentialLender,
  IssuedSecret,
  IssueRequest,
  Provider,
  RenewedLease,
} from '../../src/providers/provider.ts';
import type { FakeClock } from './fake-clock.ts';
import type { SecretSystem } from './secret-system.ts';

export type Operation = 'issue' | 'renew' | 'revoke' | 'renewLogin' | 'retireLogin';

/** One call as it arrived. */
export interface Arrival {
  readonly operation: Operation;
  /** The path of what is read, or the lease or login concerned. */
  readonly what: string;
  readonly atMs: number;
}

/** What happens to a call on its way. */
export interface Trouble {
  readonly delayMs?: number;
  readonly error?: ProviderError;
  /** Never answered; `deaf` does not even notice that the caller gave up. */
  readonly hang?: 'honest' | 'deaf';
}

/** A provider over a SecretSystem that does what the script says to each call. */
export class ScriptedProvider implements Provider {
  /** The broker gives it a second more. */
  readonly callLimitMs = 29_000;
  readonly arrivals: Arrival[] = [];
  /** Asked about every call; undefined: nothing happens to it. */
  trouble: (arrival: Arrival) => Trouble | undefined = () => undefined;
  /** The Date header; some systems send none. */
  tellsTime = true;
  /** How far its clock is off from everybody else's. */
  skewMs = 0;
  /** No wrong login locks anything here. */
  readonly attempts: LoginAttempts;
  inputs: readonly string[] = [];
  /** It logs in with the key of a credential for every read. */
  loan: { readonly lender: CredentialLender; readonly credential: string } | undefined;
  /** Keys that it has logged in with. */
  readonly loginKeys: string[] = [];
  /** Values that it does not take for a login. */
  readonly refusedKeys = new Set<string>();
  forgotten = 0;
  closed = false;
  /** Calls under way now, and the most that ever were at the same time, by what they concern. */
  underWay = new Map<string, number>();
  readonly crowd = new Map<string, number>();
  /** Told about every value read or issued, with the moment at which it expires. */
  onRead: (path: string, value: string) => void = () => undefined;
  onRevoke: (leaseId: string) => void = () => undefined;
  readonly #clock: FakeClock;
  readonly #system: SecretSystem;
  #loginId: string | undefined;

  constructor(clock: FakeClock, system: SecretSystem) {
    this.#clock = clock;
    this.#system = system;
    this.attempts = new LoginAttempts(clock);
  }

  count(operation: Operation, what?: string): number {
    return this.arrivals.filter((one) => one.operation === operation && (what === undefined || one.what === what))
      .length;
  }

  async issue({ source, wantedLifeMs }: IssueRequest, call: Call): Promise<IssuedSecret> {
    const { path } = source as { readonly path: string };
    await this.#logIn(call);
    return await this.#answer('issue', path, call, () => {
      const secret = this.#read(path, wantedLifeMs);
      if (secret.content.kind === 'json') this.onRead(path, String(secret.content.json['value']));
      return secret;
    });
  }

  async #logIn(call: Call, refused?: string): Promise<void> {
    if (this.loan === undefined) return;
    const { lender, credential } = this.loan;
    const { secret, version } = await lender.lend(credential, call, refused);
    const key = secret.reveal();
    secret.wipe();
    this.loginKeys.push(key);
    if (!this.refusedKeys.has(key)) return;
    if (version === refused) throw failure.loginRefused();
    await this.#logIn(call, version);
  }

  renew(lease: Lease, call: Call): Promise<RenewedLease> {
    return this.#answer('renew', lease.id, call, () => {
      const renewed = this.#system.renewLease(lease.id);
      const durationMs = renewed.expiresAtMs - this.#clock.now();
      return { durationMs, renewable: true, serverTimeMs: this.#time };
    });
  }

  revoke(lease: Lease, call: Call): Promise<void> {
    return this.#answer('revoke', lease.id, call, () => {
      this.onRevoke(lease.id);
      this.#system.revokeLease(lease.id);
    });
  }

  login(loginId: string): Login | undefined {
    return this.#system.logins.get(loginId)?.login;
  }

  renewLogin(loginId: string, call: Call): Promise<Login> {
    return this.#answer('renewLogin', loginId, call, () => this.#system.renewLogin(loginId));
  }

  retireLogin(loginId: string, call: Call): Promise<void> {
    return this.#answer('retireLogin', loginId, call, () => {
      const entry = this.#system.logins.get(loginId);
      if (entry !== undefined && loginId !== this.#loginId) entry.revoked = true;
    });
  }

  loginInputs(): readonly string[] {
    return this.inputs;
  }

  forgetLogin(): void {
    this.forgotten += 1;
    this.#loginId = undefined;
  }

  close(): void {
    this.closed = true;
  }

  get #time(): number | undefined {
    return this.tellsTime ? this.#clock.now() + this.skewMs : undefined;
  }

  #read(path: string, wantedLifeMs: number): IssuedSecret {
    const place = this.#system.place(path);
    if (place === undefined) throw new ProviderError('gone', `there is no secret at ${path}`);
    const { engine } = place;
    const nothing = { lease: undefined, ttlHintMs: undefined, expiresAtServerMs: undefined, serverTimeMs: this.#time };
    if (engine.kind === 'leased') {
      const lease = this.#system.issueLease(path, this.#loginFor(wantedLifeMs));
      const { id, value, loginId } = lease;
      return {
        ...nothing,
        content: { kind: 'json', json: { value } },
        version: undefined,
        lease: {
          id,
          durationMs: engine.lastsMs,
          renewable: engine.renewable ?? false,
          maxDurationMs: engine.maxMs,
          loginId,
        },
      };
    }
    const { value, version, expiresAtMs } = place;
    const expires = engine.kind === 'expires-at' ? { expires_at: new Date(expiresAtMs ?? 0).toISOString() } : {};
    return {
      ...nothing,
      content: { kind: 'json', json: { value, ...expires } },
      version: String(version),
      ttlHintMs: engine.kind === 'static' ? engine.ttlHintMs : undefined,
    };
  }

  /** As the port asks: a new login if the present one would not live long enough. */
  #loginFor(wantedLifeMs: number): string | undefined {
    const present = this.#loginId === undefined ? undefined : this.#system.liveLogin(this.#loginId);
    const possible = present?.renewable ? present.maxExpiresAtMs : present?.expiresAtMs;
    if (present === undefined || (possible ?? 0) - this.#clock.now() < wantedLifeMs) {
      this.#loginId = this.#system.logIn()?.id;
    }
    return this.#loginId;
  }

  async #answer<T>(operation: Operation, what: string, { signal }: Call, work: () => T): Promise<T> {
    signal.throwIfAborted();
    const arrival: Arrival = { operation, what, atMs: this.#clock.now() };
    this.arrivals.push(arrival);
    const leave = this.#enter(what);
    // Whoever gave up does not wait any more, whether or not this end notices.
    signal.addEventListener('abort', leave, { once: true });
    try {
      const { delayMs = 0, error, hang } = this.trouble(arrival) ?? {};
      if (hang !== undefined) await this.#hang(hang === 'deaf' ? undefined : signal);
      if (delayMs > 0) await this.#delay(delayMs, signal);
      if (error !== undefined) throw error;
      return work();
    } finally {
      signal.removeEventListener('abort', leave);
      leave();
    }
  }

  #enter(what: string): () => void {
    const { underWay } = this;
    const now = (underWay.get(what) ?? 0) + 1;
    underWay.set(what, now);
    this.crowd.set(what, Math.max(now, this.crowd.get(what) ?? 0));
    let isIn = true;
    return () => {
      if (isIn) underWay.set(what, (underWay.get(what) ?? 1) - 1);
      isIn = false;
    };
  }

  /** The process that called is gone, and its calls with it. */
  hangUp(): void {
    this.underWay = new Map();
  }

  #hang(signal: AbortSignal | undefined): Promise<never> {
    return new Promise((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  }

  #delay(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = () => {
        timer.cancel();
        reject(signal.reason);
      };
      const timer = this.#clock.after(ms, () => {
        signal.removeEventListener('abort', abort);
        resolve();
      });
      signal.addEventListener('abort', abort, { once: true });
    });
  }
}

/** Each as its kind mostly is: an outage is the address's, an expired login the login's, the rest is one secret's. */
export const failure = {
  transient: (retryAfterMs?: number) =>
    new ProviderError('transient', 'connection refused', {
      concerns: 'address',
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    }),
  /** A quota, a redirect or a backend of one path; a tool that fails. */
  transientOfOne: (message = 'too many requests', retryAfterMs?: number) =>
    new ProviderError('transient', message, retryAfterMs === undefined ? {} : { retryAfterMs }),
  overloaded: () => new ProviderError('transient', 'too many requests', { isOverloaded: true }),
  loginExpired: () =>
    new ProviderError('login-expired', 'the login has expired', { remedy: 'log in again', concerns: 'login' }),
  /** The server was asked and said no. */
  loginRefused: () =>
    new ProviderError('login-expired', 'the secret-id is wrong', {
      remedy: 'renew it',
      concerns: 'login',
      isRefusedLogin: true,
    }),
  /** A program that puts a prompt before a person, who dismissed it. */
  promptDismissed: () => new ProviderError('login-expired', 'the prompt was dismissed', { remedy: 'unlock it' }),
  denied: () => new ProviderError('denied', 'permission denied'),
  gone: () => new ProviderError('gone', 'no such secret'),
  misconfigured: () => new ProviderError('misconfigured', 'no such field'),
};
