import type { MetricFamily } from '../broker/api.ts';
import type { CredentialState, CredentialStatus, StatusReport } from '../protocol/reports.ts';

export const METRICS_CONTENT_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

const STATES: readonly CredentialState[] = ['fresh', 'stale', 'waiting', 'failing', 'idle'];

/** What the status report says, as figures. */
export function statusMetrics({ daemon, credentials }: StatusReport): MetricFamily[] {
  return [
    gauge('broker_build', 'The daemon that runs; always 1.', [
      { labels: { version: daemon.version, node: daemon.node }, value: 1 },
    ]),
    gauge('broker_uptime_seconds', 'Since the daemon started.', [{ labels: {}, value: daemon.uptimeSeconds }]),
    gauge('broker_cache_persistent', '1 if keys survive a restart.', [
      { labels: {}, value: daemon.cache.persistent ? 1 : 0 },
    ]),
    {
      name: 'broker_keys_served',
      type: 'counter',
      help: 'Answers that were written completely.',
      samples: credentials.map((credential) => ({ labels: labelsOf(credential), value: credential.timesServed })),
    },
    gauge(
      'broker_credential_state',
      '1 for the state that the credential is in.',
      credentials.flatMap((credential) =>
        STATES.map((state) => ({
          labels: { ...labelsOf(credential), state },
          value: credential.state === state ? 1 : 0,
        })),
      ),
    ),
    moments('broker_key_expiry_timestamp_seconds', 'When the key dies, where that is known.', credentials, 'expiresAt'),
    moments(
      'broker_key_confirmed_timestamp_seconds',
      'When the provider last confirmed the key.',
      credentials,
      'confirmedAt',
    ),
    moments('broker_next_refresh_timestamp_seconds', 'When the provider is asked next.', credentials, 'nextRefreshAt'),
    gauge(
      'broker_refresh_failures',
      'Failed refreshes since the last good one.',
      credentials.map((credential) => ({
        labels: labelsOf(credential),
        value: credential.lastError?.failures ?? 0,
      })),
    ),
  ];
}

/** OpenMetrics 1.0 text. */
export function renderMetrics(families: readonly MetricFamily[]): string {
  const lines: string[] = [];
  for (const { name, type, help, samples } of families) {
    lines.push(`# TYPE ${name} ${type}`, `# HELP ${name} ${escapeText(help)}`);
    const suffix = type === 'counter' ? '_total' : '';
    for (const { labels, value } of samples) lines.push(`${name}${suffix}${renderLabels(labels)} ${value}`);
  }
  return `${lines.join('\n')}\n# EOF\n`;
}

function gauge(name: string, help: string, samples: MetricFamily['samples']): MetricFamily {
  return { name, type: 'gauge', help, samples };
}

function moments(
  name: string,
  help: string,
  credentials: readonly CredentialStatus[],
  field: 'expiresAt' | 'confirmedAt' | 'nextRefreshAt',
): MetricFamily {
  const samples = credentials.flatMap((credential) => {
    const at = credential[field];
    return at === null ? [] : [{ labels: labelsOf(credential), value: Date.parse(at) / 1000 }];
  });
  return gauge(name, help, samples);
}

function labelsOf({ name, provider }: CredentialStatus): Record<string, string> {
  return { credential: name, provider };
}

function renderLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeText(value).replaceAll('"', '\\"')}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escapeText(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
