import { type ClientBench, FIRST, SECOND } from '../fakes/client-bench.ts';
import { HelperTarget } from '../fakes/helper-targets.ts';
import { RealClient, runOnce } from './real-client.ts';
import { pass } from './scenarios.ts';

/** What became of one of the client's other helpers when the key that it brings was replaced, and the old one refused. */
export interface Handover {
  /** Whether the client went on with the new key. */
  readonly ok: boolean;
  /** Requests with the old one. */
  readonly refused: number;
  /** From the first of them to the first with the new one. */
  readonly afterRefusalMs: number;
  /** How often the helper was run meanwhile. */
  readonly helperCalls: number;
}

/** How a key comes to be replaced: the provider has another one, or the broker has been told so as well. */
export type Replaced = 'at the provider' | 'and refreshed';

/** `otelHeadersHelper`, run again by its own interval only. */
export function telemetry(bench: ClientBench, how: Replaced): Promise<Handover> {
  return handover(bench, how, async (target) => {
    const more = { otelHeadersHelper: `${bench.helper} --format headers other` };
    const env = {
      CLAUDE_CODE_ENABLE_TELEMETRY: '1',
      OTEL_METRICS_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_EXPORTER_OTLP_ENDPOINT: target.url,
      OTEL_METRIC_EXPORT_INTERVAL: '500',
      CLAUDE_CODE_OTEL_HEADERS_HELPER_DEBOUNCE_MS: '1000',
    };
    const client = RealClient.open(bench, { more, env });
    // It tells nothing while nothing happens.
    const untilAccepted = async (sinceMs: number) => {
      while (target.firstAcceptedMs(sinceMs) === undefined) {
        await client.turn();
        await pass(500);
      }
    };
    await untilAccepted(0);
    return { client, goOn: () => untilAccepted(target.changedMs) };
  });
}

/** `proxyAuthHelper`, run again after each 407. */
export function proxy(bench: ClientBench, how: Replaced, { quietMs = 0 } = {}): Promise<Handover> {
  return handover(bench, how, async (target) => {
    const more = { proxyAuthHelper: `${bench.helper} --format proxy other` };
    const env = {
      CLAUDE_CODE_ENABLE_PROXY_AUTH_HELPER: '1',
      HTTP_PROXY: target.url,
      HTTPS_PROXY: target.url,
      // Loopback would be reached without the proxy.
      ANTHROPIC_BASE_URL: 'http://api.test',
    };
    const client = RealClient.open(bench, { more, env });
    await client.turn();
    await pass(quietMs);
    return { client, goOn: async () => void (await client.turn()) };
  });
}

/** `awsCredentialExport`, run once after ExpiredToken. */
export function bedrock(bench: ClientBench, how: Replaced): Promise<Handover> {
  return handover(bench, how, async (target) => {
    const more = { awsCredentialExport: `${bench.helper} --format aws aws` };
    const env = { CLAUDE_CODE_USE_BEDROCK: '1', AWS_REGION: 'eu-west-1', ANTHROPIC_BEDROCK_BASE_URL: target.url };
    const client = RealClient.open(bench, { more, env });
    await client.turn();
    return { client, goOn: async () => void (await client.turn()) };
  });
}

/** `headersHelper` of an MCP server, run once for each connection: by one client after the other, `everyMs` apart. */
export function mcpHeaders(bench: ClientBench, how: Replaced, { everyMs = 0 } = {}): Promise<Handover> {
  return handover(bench, how, async (target) => {
    const server = { type: 'http', url: `${target.url}/mcp`, headersHelper: `${bench.helper} --format headers other` };
    const args = ['--mcp-config', bench.write('mcp.json', JSON.stringify({ mcpServers: { one: server } }))];
    await runOnce(bench, { args });
    const goOn = async () => {
      while (target.firstAcceptedMs(target.changedMs) === undefined) {
        await runOnce(bench, { args });
        await pass(everyMs);
      }
    };
    return { client: undefined, goOn };
  });
}

interface Session {
  readonly client: RealClient | undefined;
  /** Until the new key has been used, or the client has given up. */
  readonly goOn: () => Promise<void>;
}

async function handover(
  bench: ClientBench,
  how: Replaced,
  open: (target: HelperTarget) => Promise<Session>,
): Promise<Handover> {
  bench.storeOther(FIRST);
  const target = await HelperTarget.start(FIRST, bench.api.url);
  let session: Session | undefined;
  try {
    session = await open(target);
    const { other: before = 0, aws: awsBefore = 0 } = await servedTo(bench);
    bench.storeOther(SECOND);
    if (how === 'and refreshed') for (const name of ['other', 'aws']) await bench.home.broker('refresh', name);
    target.change(SECOND);
    await session.goOn();
    const { other = 0, aws = 0 } = await servedTo(bench);
    const refused = target.presented.filter(({ atMs, accepted }) => atMs >= target.changedMs && !accepted);
    const accepted = target.firstAcceptedMs(target.changedMs);
    const from = refused[0]?.atMs ?? accepted ?? target.changedMs;
    return {
      ok: accepted !== undefined,
      refused: refused.length,
      afterRefusalMs: (accepted ?? performance.now()) - from,
      helperCalls: other + aws - before - awsBefore,
    };
  } finally {
    await session?.client?.close();
    await target.stop();
  }
}

async function servedTo(bench: ClientBench): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { credential } of await bench.events('served'))
    counts[credential ?? ''] = (counts[credential ?? ''] ?? 0) + 1;
  return counts;
}
