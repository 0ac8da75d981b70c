import { describe } from 'vitest';
import { openBench } from './open-bench.ts';
import * as others from './other-helpers.ts';

describe.concurrent('the real client’s other helpers, when their key was replaced and the old one is refused', (it) => {
  it('awsCredentialExport brings the new credentials after ExpiredToken', async ({ expect, onTestFinished }) => {
    const bench = await openBench(onTestFinished);
    expect(await others.bedrock(bench, 'at the provider')).toMatchObject({ ok: true, refused: 1, helperCalls: 1 });
  });

  it('proxyAuthHelper brings what the broker knows by then after a 407', async ({ expect, onTestFinished }) => {
    const bench = await openBench(onTestFinished);
    expect(await others.proxy(bench, 'and refreshed')).toMatchObject({ ok: true, refused: 1, helperCalls: 1 });
  });

  it('otelHeadersHelper brings it at its next interval', async ({ expect, onTestFinished }) => {
    const bench = await openBench(onTestFinished);
    expect(await others.telemetry(bench, 'and refreshed')).toMatchObject({ ok: true });
  });

  it('headersHelper of an MCP server brings it at the next connection', async ({ expect, onTestFinished }) => {
    const bench = await openBench(onTestFinished);
    expect(await others.mcpHeaders(bench, 'and refreshed')).toMatchObject({ ok: true, refused: 0, helperCalls: 1 });
  });
});
