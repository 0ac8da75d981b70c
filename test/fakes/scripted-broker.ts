import type { Ask, BrokerApi, EventQuery, MetricFamily, OpenedKey } from '../../src/broker/api.ts';
import type { KeyVersion } from '../../src/credential/key.ts';
import { SecretBytes } from '../../src/credential/secret.ts';
import { BrokerError } from '../../src/errors.ts';
import type {
  BrokerEvent,
  CheckReport,
  CredentialStatus,
  HealthReport,
  StatusReport,
} from '../../src/protocol/reports.ts';

export const START_MS = Date.UTC(2030, 0, 1);
export const KEY = 'sk-test-0123456789';

export const KEY_VERSION: KeyVersion = {
  credential: 'anthropic',
  sourceFingerprint: 'source',
  version: '7',
  digest: 'c0ffee00',
  issuedAtMs: START_MS - 60_000,
  confirmedAtMs: START_MS - 42_000,
  expiresAtMs: START_MS + 3_600_000,
  expirySource: 'unknown',
  ttlMs: 900_000,
  lease: undefined,
  isJwt: false,
};

export const CREDENTIAL: CredentialStatus = {
  name: 'anthropic',
  isDefault: true,
  provider: 'vault-prod',
  providerType: 'vault',
  allow: [],
  state: 'fresh',
  version: '7',
  fingerprint: 'c0ffee00',
  issuedAt: new Date(START_MS - 60_000).toISOString(),
  confirmedAt: new Date(START_MS - 42_000).toISOString(),
  expiresAt: new Date(START_MS + 3_600_000).toISOString(),
  expirySource: 'lease',
  lease: null,
  nextRefreshAt: new Date(START_MS + 2_400_000).toISOString(),
  refreshing: false,
  lastAskedAt: new Date(START_MS - 5_000).toISOString(),
  sink: null,
  timesServed: 1234,
  sessions: 0,
  clockSkewSeconds: null,
  checkHost: null,
  advice: [],
  lastError: null,
};

export const STATUS: StatusReport = {
  daemon: {
    version: '0.1.0',
    pid: 4711,
    startedAt: new Date(START_MS - 7_200_000).toISOString(),
    uptimeSeconds: 7200,
    socket: '/run/user/1000/broker/broker.sock',
    configFile: '/home/u/.config/broker/config.toml',
    stateDir: '/home/u/.local/state/broker',
    node: '24.0.0',
    peerCredentials: 'kernel',
    cache: { persistent: true, keyEncryptionKey: 'file', keyHome: 'file', problem: null, remedy: null },
    configProblem: null,
    places: [],
    limits: { openFiles: 1024, connections: 968, problem: null, remedy: null },
  },
  credentials: [CREDENTIAL],
};

/** A broker that does what the test wrote down, and remembers what it was asked. */
export class ScriptedBroker implements BrokerApi {
  readonly asks: Ask[] = [];
  readonly answers: OpenedKey[] = [];
  delivered = 0;
  report: StatusReport = STATUS;
  healthReport: HealthReport = { ok: true, problem: null, remedy: null };
  stored: BrokerEvent[] = [];
  #listeners = new Set<() => void>();

  /** Replace it to fail, to wait, or to answer something else. */
  script: (ask: Ask) => Promise<OpenedKey> = async (ask) => this.give(ask, { value: KEY });

  answer(ask: Ask): Promise<OpenedKey> {
    this.asks.push(ask);
    return this.script(ask);
  }

  give(ask: Ask, fields: Record<string, string>, key: Partial<KeyVersion> = {}): OpenedKey {
    const answer: OpenedKey = {
      key: { ...KEY_VERSION, credential: ask.credential ?? 'anthropic', ...key },
      state: 'fresh',
      at: ask.at,
      secrets: new Map(Object.entries(fields).map(([name, text]) => [name, SecretBytes.fromString(text)])),
      delivered: () => {
        this.delivered++;
      },
    };
    this.answers.push(answer);
    return answer;
  }

  readonly refreshed: (string | undefined)[] = [];
  async refresh(credential: string | undefined): Promise<CredentialStatus> {
    this.refreshed.push(credential);
    return this.#find(credential);
  }

  async refreshAll(): Promise<readonly CredentialStatus[]> {
    this.refreshed.push('*');
    return this.report.credentials;
  }

  checkReport: CheckReport = {
    name: 'anthropic',
    url: 'https://api.example.com/v1/models',
    word: 'good',
    seen: 'HTTP 200',
    madeUp: { word: 'rejected', seen: 'HTTP 401 authentication_error' },
    armed: true,
  };
  async check(credential: string | undefined): Promise<CheckReport> {
    return { ...this.checkReport, name: this.#find(credential).name };
  }

  readonly invalidated: (string | undefined)[] = [];
  async invalidate(credential: string | undefined): Promise<CredentialStatus> {
    this.invalidated.push(credential);
    return { ...this.#find(credential), state: 'idle', version: null };
  }

  status(): StatusReport {
    return this.report;
  }

  health(): HealthReport {
    return this.healthReport;
  }

  events({ afterId, limit, credential }: EventQuery): readonly BrokerEvent[] {
    const wanted = this.stored.filter((event) => credential === undefined || event.credential === credential);
    return afterId === undefined ? wanted.slice(-limit) : wanted.filter(({ id }) => id > afterId).slice(0, limit);
  }

  onEvents(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get followers(): number {
    return this.#listeners.size;
  }

  happen(kind: string, credential: string | null = 'anthropic', detail: BrokerEvent['detail'] = {}): void {
    const id = (this.stored.at(-1)?.id ?? 0) + 1;
    this.stored.push({ id, at: new Date(START_MS + id).toISOString(), kind, credential, detail });
    for (const listener of [...this.#listeners]) listener();
  }

  metrics(): readonly MetricFamily[] {
    return [{ name: 'broker_test', type: 'counter', help: 'A test.', samples: [{ labels: { a: 'x"y' }, value: 3 }] }];
  }

  #find(credential: string | undefined): CredentialStatus {
    const found = this.report.credentials.find(({ name, isDefault }) =>
      credential === undefined ? isDefault : name === credential,
    );
    if (found !== undefined) return found;
    throw new BrokerError('ERR_UNKNOWN_CREDENTIAL', `there is no credential ${credential}`, {
      remedy: 'see: broker status',
    });
  }
}
