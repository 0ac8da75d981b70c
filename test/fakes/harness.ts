import type { Ask, BrokerPorts } from '../../src/broker/api.ts';
import { Broker } from '../../src/broker/broker.ts';
import type { BrokerSetup, CredentialCheck } from '../../src/broker/credentials.ts';
import type { DaemonFacts } from '../../src/broker/status.ts';
import { type CredentialCache, VALUE } from '../../src/cache/cache.ts';
import { openMemoryCache } from '../../src/cache/open.ts';
import type { CredentialConfig, DaemonConfig } from '../../src/config/config.ts';
import type { Format } from '../../src/credential/rejection.ts';
import { BrokerError } from '../../src/errors.ts';
import type { AllowWord } from '../../src/platform/attestation.ts';
import type { CallOrigin, SettingsStamp } from '../../src/platform/client-identity.ts';
import type { Clock, Random } from '../../src/platform/clock.ts';
import { CLAUDE_CODE } from '../../src/platform/known-clients.ts';
import type { Client } from '../../src/platform/process-tree.ts';
import { CollectingLog } from './collecting-log.ts';
import { FakeClock } from './fake-clock.ts';
import { HOUR, MINUTE } from './living.ts';
import { FakeProcess } from './process.ts';
import { ScriptedProvider } from './scripted-provider.ts';
import { type EngineSketch, SecretSystem } from './secret-system.ts';

export interface CredentialSketch {
  readonly name: string;
  readonly engine: EngineSketch;
  /** Default: the name. Credentials with the same path share a read. */
  readonly path?: string;
  readonly provider?: string;
  readonly expiresField?: string | undefined;
  readonly ttlMs?: number;
  readonly maxStaleMs?: number;
  readonly check?: CredentialCheck;
  /** The credential that its provider logs in with. */
  readonly borrows?: string;
  readonly scope?: 'session';
  readonly allow?: readonly AllowWord[];
}

export interface HarnessOptions {
  readonly credentials: readonly CredentialSketch[];
  readonly cache?: CredentialCache;
  readonly random?: Random;
  readonly daemon?: Partial<DaemonConfig>;
  readonly clock?: FakeClock;
  /** What the daemon's machine shows for time and runs timers on. Default: the clock itself. */
  readonly machine?: Clock;
  /** Default: one of its own. */
  readonly system?: SecretSystem;
}

export interface AskSketch {
  readonly intervalMs?: number;
  readonly client?: Client | undefined;
  /** Whose call it is. Default: the client's own. */
  readonly origin?: CallOrigin;
  readonly format?: Format;
  readonly saysRejected?: boolean;
  readonly signal?: AbortSignal;
  /** What the kernel shows of the caller; absent: nothing. */
  readonly attest?: Ask['attest'];
  /** Default: true, the answer is written completely at once. */
  readonly delivered?: boolean;
}

/** What became of an ask. */
export interface Told {
  readonly value?: string;
  readonly state?: 'fresh' | 'stale';
  readonly code?: string;
  readonly error?: BrokerError;
  readonly tookMs: number;
  /** For asks whose answer is not delivered at once. */
  readonly deliver: () => void;
}

export const client = (pid: number): Client => ({
  id: `${pid}:s${pid}`,
  pid,
  startTime: `s${pid}`,
  name: 'claude',
  known: CLAUDE_CODE,
});

/** The real broker on a fake clock, between clients and providers that a test plays. */
export class BrokerHarness {
  readonly clock: FakeClock;
  readonly system: SecretSystem;
  readonly log = new CollectingLog();
  readonly providers = new Map<string, ScriptedProvider>();
  readonly exited = new Set<number>();
  readonly files = new Map<string, string>();
  /** Settings of clients, by pid. */
  readonly settings = new Map<number, SettingsStamp>();
  processSpace = 'boot';
  /** What the next process is told. */
  afterUncleanEnd = false;
  /** Setups of credentials, by name; changed by a test before `reconfigure`. */
  credentials: readonly CredentialSketch[];
  cache: CredentialCache;
  process: FakeProcess;
  broker: Broker;
  readonly #watchers = new Map<number, Set<() => void>>();
  readonly #machine: Clock;
  readonly #daemon: DaemonConfig;
  readonly #random: Random;

  constructor(options: HarnessOptions) {
    const { credentials, cache = openMemoryCache(), random = () => 0.5, daemon } = options;
    this.clock = options.clock ?? new FakeClock();
    this.#machine = options.machine ?? this.clock;
    this.system = options.system ?? new SecretSystem(this.clock);
    this.credentials = credentials;
    this.cache = cache;
    this.#random = random;
    this.#daemon = {
      turnMarginMs: 2 * MINUTE,
      idleAfterMs: HOUR,
      idleExitMs: 0,
      revokeOnExit: false,
      logLevel: 'info',
      cache: 'disk',
      keyHome: 'auto',
      ...daemon,
    };
    for (const { name, path = name, engine } of credentials) {
      if (this.system.place(path) === undefined) this.system.add(path, engine);
    }
    for (const { provider = 'vault' } of credentials) this.provider(provider);
    this.process = new FakeProcess(this.#machine);
    this.broker = this.#build();
  }

  /** The one that is called "vault" unless named. */
  provider(name = 'vault'): ScriptedProvider {
    const known = this.providers.get(name);
    if (known !== undefined) return known;
    const made = new ScriptedProvider(this.clock, this.system);
    this.providers.set(name, made);
    return made;
  }

  /** The process is gone without a word; the next one finds what the cache holds. */
  crash(cache: CredentialCache): void {
    this.process.kill();
    for (const provider of this.providers.values()) provider.hangUp();
    this.process = new FakeProcess(this.#machine);
    this.cache = cache;
    this.broker = this.#build();
  }

  /** How providers are reached, as of the next configuration. */
  reach = '';

  reconfigure(credentials: readonly CredentialSketch[], fingerprint = 'provider'): void {
    this.credentials = credentials;
    for (const { name, path = name, engine } of credentials) {
      if (this.system.place(path) === undefined) this.system.add(path, engine);
    }
    this.broker.reconfigure(this.setup(fingerprint));
  }

  async ask(name: string, sketch: AskSketch = {}): Promise<Told> {
    const startedAtMs = this.clock.now();
    const ask: Ask = {
      at: this.#machine.read(),
      credential: name,
      intervalMs: sketch.intervalMs ?? 5 * MINUTE,
      namesInterval: sketch.intervalMs !== undefined,
      format: sketch.format ?? 'raw',
      saysRejected: sketch.saysRejected ?? false,
      mayBeOwn: sketch.origin !== 'other',
      origin: () => sketch.origin ?? 'own',
      attest: sketch.attest,
      client: 'client' in sketch ? sketch.client : client(1),
      signal: sketch.signal ?? new AbortController().signal,
    };
    const tookMs = () => this.clock.now() - startedAtMs;
    try {
      const answer = await this.broker.answer(ask);
      const value = answer.secrets.get(VALUE)?.reveal() ?? '';
      for (const secret of answer.secrets.values()) secret.wipe();
      if (sketch.delivered !== false) answer.delivered();
      return { value, state: answer.state, tookMs: tookMs(), deliver: () => answer.delivered() };
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      return { code: error.code, error, tookMs: tookMs(), deliver: () => undefined };
    }
  }

  /** Asks, and lets time pass until there is an answer. */
  get(name: string, sketch: AskSketch = {}): Promise<Told> {
    return this.finish(this.ask(name, sketch));
  }

  /** Lets time pass until the promise is settled: an hour at the most. */
  async finish<T>(promise: Promise<T>): Promise<T> {
    let isDone = false;
    const done = () => {
      isDone = true;
    };
    promise.then(done, done);
    await this.clock.advance(0);
    for (const end = this.clock.now() + HOUR; !isDone && this.clock.now() < end; ) await this.clock.advanceToNext();
    if (!isDone) throw new Error('still waiting after an hour');
    return promise;
  }

  eventKinds(): readonly string[] {
    return this.broker.events({ limit: 10_000 }).map((event) => event.kind);
  }

  setup(fingerprint = 'provider'): BrokerSetup {
    const credentials = this.credentials.map((sketch) => this.#spec(sketch, fingerprint));
    const names = [...new Set(credentials.map(({ config }) => config.provider))];
    return {
      config: {
        file: '/etc/broker.toml',
        defaultCredential: credentials[0]?.config.name,
        providers: new Map(names.map((name) => [name, { name, type: 'scripted', options: {} }])),
        credentials: new Map(credentials.map(({ config }) => [config.name, config])),
        daemon: this.#daemon,
      },
      providers: names.map((name) => ({
        name,
        type: 'scripted',
        fingerprint,
        reach: this.reach,
        attempts: this.provider(name).attempts,
        borrows: this.#borrowedBy(name),
        open: async (lender) => {
          const provider = this.provider(name);
          const [borrowed] = this.#borrowedBy(name);
          if (borrowed !== undefined) provider.loan = { lender, credential: borrowed };
          return this.process.connect(provider);
        },
        storedLogin: (loginId) => this.system.logins.get(loginId)?.login,
      })),
      credentials,
    };
  }

  #borrowedBy(provider: string): readonly string[] {
    const own = this.credentials.filter((sketch) => (sketch.provider ?? 'vault') === provider);
    return [...new Set(own.flatMap(({ borrows }) => borrows ?? []))];
  }

  #spec({ name, path = name, engine, provider = 'vault', check, ...times }: CredentialSketch, fingerprint: string) {
    const ownEnd = engine.kind === 'expires-at' ? 'expires_at' : undefined;
    const config: CredentialConfig = {
      name,
      provider,
      field: 'value',
      fields: undefined,
      expiresField: times.expiresField ?? ownEnd,
      ttlMs: times.ttlMs ?? 15 * MINUTE,
      maxStaleMs: times.maxStaleMs ?? 24 * HOUR,
      scope: times.scope,
      allow: times.allow,
      source: { path },
    };
    const readId = `${provider}:${fingerprint}:${path}`;
    return { config, sourceFingerprint: readId, readId, place: path, check };
  }

  /** The process ends, which whoever watches it learns at once. */
  exit(pid: number): void {
    this.exited.add(pid);
    const watchers = [...(this.#watchers.get(pid) ?? [])];
    this.#watchers.delete(pid);
    for (const onExit of watchers) onExit();
  }

  #watch(pid: number, onExit: () => void): (() => void) | undefined {
    if (this.exited.has(pid)) return undefined;
    const watchers = this.#watchers.get(pid) ?? new Set();
    this.#watchers.set(pid, watchers.add(onExit));
    return () => void watchers.delete(onExit);
  }

  #build(): Broker {
    const ports: BrokerPorts = {
      clock: this.process,
      random: this.#random,
      log: this.log,
      cache: this.cache,
      fingerprintFiles: (paths) => paths.map((path) => this.files.get(path) ?? '').join('\n'),
      onTick: () => undefined,
      afterUncleanEnd: this.afterUncleanEnd,
      isAlive: ({ pid }) => !this.exited.has(pid),
      watchExit: ({ pid }, onExit) => this.#watch(pid, onExit),
      settingsOf: ({ pid }) => this.settings.get(pid) ?? { fingerprint: '', changedAtWallMs: Number.NEGATIVE_INFINITY },
      processSpace: this.processSpace,
    };
    const facts = (): DaemonFacts => ({
      version: '0.0.0',
      pid: 1,
      startedAtMs: 0,
      socket: '/run/broker.sock',
      configFile: '/etc/broker.toml',
      stateDir: '/var/lib/broker',
      node: 'v24',
      peerCredentials: 'kernel',
      configProblem: undefined,
      places: [],
      limits: { openFiles: null, connections: 2048, problem: null, remedy: null },
      cache: this.cache.health(),
    });
    return new Broker(ports, this.setup(), facts);
  }
}
