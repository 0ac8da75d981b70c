import type { Advice, CredentialState, SinkReport, StatusReport } from '../../../src/protocol/reports.ts';

export interface StatusSample {
  readonly lifeMs?: number;
  /** Of that life; default: a lease. */
  readonly expirySource?: 'jwt';
  readonly state?: CredentialState;
  readonly isDefault?: boolean;
  readonly clockSkewSeconds?: number;
  readonly checkHost?: string;
  readonly advice?: readonly Advice[];
  readonly allow?: readonly string[];
  readonly sink?: SinkReport;
}

/** A daemon with one credential, `anthropic`. */
export function statusOf(sample: StatusSample = {}): StatusReport {
  const issued = Date.UTC(2026, 10, 22);
  const error = {
    at: new Date(issued).toISOString(),
    code: 'ERR_DENIED',
    kind: 'denied',
    message: 'denied by the provider',
  };
  return {
    daemon: {
      version: '0.1.0',
      pid: 1,
      startedAt: new Date(issued).toISOString(),
      uptimeSeconds: 1,
      socket: '/run/user/1/broker/broker.sock',
      configFile: '/c/config.toml',
      stateDir: '/s',
      node: 'v24',
      peerCredentials: 'kernel',
      cache: { persistent: true, keyEncryptionKey: 'file', keyHome: 'file', problem: null, remedy: null },
      configProblem: null,
      places: [],
      limits: { openFiles: 1024, connections: 968, problem: null, remedy: null },
    },
    credentials: [
      {
        name: 'anthropic',
        isDefault: sample.isDefault ?? true,
        provider: 'vault',
        providerType: 'vault',
        allow: sample.allow ?? [],
        state: sample.state ?? 'fresh',
        version: '1',
        fingerprint: '01234567',
        issuedAt: new Date(issued).toISOString(),
        confirmedAt: new Date(issued).toISOString(),
        expiresAt: sample.lifeMs === undefined ? null : new Date(issued + sample.lifeMs).toISOString(),
        expirySource: sample.lifeMs === undefined ? 'unknown' : (sample.expirySource ?? 'lease'),
        lease: null,
        nextRefreshAt: null,
        refreshing: false,
        lastAskedAt: null,
        sink: sample.sink ?? null,
        timesServed: 0,
        clockSkewSeconds: sample.clockSkewSeconds ?? null,
        checkHost: sample.checkHost ?? null,
        advice: sample.advice ?? [],
        lastError: sample.state === 'failing' ? { ...error, remedy: null, failures: 1, nextAttemptAt: null } : null,
      },
    ],
  };
}
