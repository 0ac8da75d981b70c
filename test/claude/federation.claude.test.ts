import { describe } from 'vitest';
import { ACCOUNT, IdentityIssuer, ORGANIZATION, RULE } from '../fakes/token-exchange.ts';
import { openBench } from './open-bench.ts';
import { runOnce } from './real-client.ts';

const OAUTH = 'oauth-2025-04-20';

describe.concurrent('workload identity federation and the real client', (it) => {
  it('sends a federated token of its helper as it sends any key, without the header that OAuth wants', async ({
    expect,
    onTestFinished,
  }) => {
    const bench = await openBench(onTestFinished);
    const token = 'sk-ant-oat01-canary-0123456789';
    bench.store(token);
    bench.api.acceptOnly(token);
    expect(await runOnce(bench)).toMatchObject({ ok: true });
    const [call] = bench.api.calls;
    expect(call).toMatchObject({ apiKey: token, authorization: `Bearer ${token}` });
    expect(call?.betas).not.toContain(OAUTH);
  });

  it('adds the header to a token of its helper where ANTHROPIC_BETAS says so, not ANTHROPIC_CUSTOM_HEADERS', async ({
    expect,
    onTestFinished,
  }) => {
    const bench = await openBench(onTestFinished);
    const byHeader = { ANTHROPIC_CUSTOM_HEADERS: `anthropic-beta: ${OAUTH}` };
    for (const env of [{ ANTHROPIC_BETAS: OAUTH }, byHeader]) {
      expect(await runOnce(bench, { more: { env } })).toMatchObject({ ok: true });
    }
    expect(bench.api.calls.map(({ betas }) => betas.includes(OAUTH))).toEqual([true, false]);
  });

  it('exchanges the identity token in a file automatically, and sends what it got with that header', async ({
    expect,
    onTestFinished,
  }) => {
    const bench = await openBench(onTestFinished);
    const file = bench.write('identity-token', new IdentityIssuer().token());
    const env = {
      ANTHROPIC_FEDERATION_RULE_ID: RULE,
      ANTHROPIC_ORGANIZATION_ID: ORGANIZATION,
      ANTHROPIC_SERVICE_ACCOUNT_ID: ACCOUNT,
      ANTHROPIC_IDENTITY_TOKEN_FILE: file,
    };
    expect(await runOnce(bench, { helper: null, more: { env } })).toMatchObject({ ok: true });
    expect(bench.api.exchange.seen.map(({ status }) => status)).toEqual([200]);
    const [call] = bench.api.calls;
    expect(call).toMatchObject({ apiKey: '', authorization: `Bearer ${[...bench.api.exchange.issued][0]}` });
    expect(call?.betas).toContain(OAUTH);
  });
});
