import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'vitest';
import { memoryFolder } from '../fakes/memory-folder.ts';
import { until } from '../fakes/processes.ts';
import { ACCOUNT, IdentityIssuer, ORGANIZATION, RULE } from '../fakes/token-exchange.ts';
import { OPEN_BAO, OpenBao } from './open-bao.ts';
import { openBench } from './open-bench.ts';
import { RealClient, runOnce } from './real-client.ts';

const OAUTH = 'oauth-2025-04-20';
/** The client exchanges again when less is left of its token. */
const RENEWED_AT_SECONDS = 30;

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

  const VAULT = `[credentials.identity]
provider = "vault"
path = "identity/oidc/token/claude"
field = "token"
`;
  const SINK = '[credentials.identity.sink]\nfile = "{runtime}/identity-token"\n';

  /** A bench whose daemon keeps an identity token in a file, and a client that was told of it by `broker claude install --wif`. */
  async function withSink(onTestFinished: (close: () => Promise<void>) => void, tables: string, issuer: string) {
    const runtime = memoryFolder();
    onTestFinished(async () => rmSync(runtime, { recursive: true, force: true }));
    const bench = await openBench(onTestFinished, { more: tables + SINK, env: { XDG_RUNTIME_DIR: runtime } });
    bench.api.exchange.issuer = issuer;
    const file = join(runtime, 'broker', 'identity-token');
    await until(() => existsSync(file));
    const ids = ['--rule', RULE, '--organization', ORGANIZATION, '--service-account', ACCOUNT];
    const printed = await bench.home.broker('claude', 'install', '--wif', '--managed', '--json', ...ids);
    const settings = JSON.parse(printed.stdout) as Record<string, unknown>;
    // By its time, since whoever reads the file is taken for a client.
    const writtenAt = () => statSync(file, { bigint: true }).mtimeNs;
    return { bench, writtenAt, options: { helper: null, more: settings } };
  }

  it('Vault, a file, the client, the API: no key anywhere, and an identity token of its own for each client', async ({
    expect,
    onTestFinished,
  }) => {
    const { bench, writtenAt, options } = await withSink(onTestFinished, VAULT, 'dev-vault');
    const former = writtenAt();
    expect(await runOnce(bench, options)).toMatchObject({ ok: true, words: 'pong\n' });
    await until(() => writtenAt() !== former);
    expect(await runOnce(bench, options)).toMatchObject({ ok: true, words: 'pong\n' });
    expect(bench.api.exchange.seen.map(({ status }) => status)).toEqual([200, 200]);
    expect(bench.api.calls.every(({ apiKey, betas }) => apiKey === '' && betas.includes(OAUTH))).toBe(true);
  });

  it('a session goes on when its token is nearly over', async ({ expect, onTestFinished }) => {
    const { bench, writtenAt, options } = await withSink(onTestFinished, VAULT, 'dev-vault');
    const { exchange } = bench.api;
    exchange.lifeSeconds = RENEWED_AT_SECONDS + 5;
    const client = RealClient.open(bench, options);
    onTestFinished(() => client.close());
    const former = writtenAt();
    expect(await client.turn()).toMatchObject({ ok: true });
    await until(() => writtenAt() !== former);
    while (exchange.seen.length < 2) expect(await client.turn()).toMatchObject({ ok: true });
    expect(exchange.seen.every(({ status }) => status === 200)).toBe(true);
  });

  it.skipIf(OPEN_BAO === undefined)('OpenBao, a file, the client, the API', async ({ expect, onTestFinished }) => {
    const bao = await OpenBao.start(OPEN_BAO ?? '');
    onTestFinished(() => bao.stop());
    const { bench, options } = await withSink(onTestFinished, bao.tables, bao.issuer);
    expect(await runOnce(bench, options)).toMatchObject({ ok: true, words: 'pong\n' });
    expect(bench.api.exchange.seen.map(({ status }) => status)).toEqual([200]);
  });

  it('reads the file again after an identity token that was used up before, and the turn goes on', async ({
    expect,
    onTestFinished,
  }) => {
    const bench = await openBench(onTestFinished);
    const issuer = new IdentityIssuer();
    const token = issuer.token();
    const file = bench.write('identity-token', token);
    bench.api.exchange.spend(token);
    const env = {
      ANTHROPIC_FEDERATION_RULE_ID: RULE,
      ANTHROPIC_ORGANIZATION_ID: ORGANIZATION,
      ANTHROPIC_SERVICE_ACCOUNT_ID: ACCOUNT,
      ANTHROPIC_IDENTITY_TOKEN_FILE: file,
    };
    const turn = runOnce(bench, { helper: null, more: { env } });
    await until(() => bench.api.exchange.seen.length > 0);
    bench.write('identity-token', issuer.token());
    expect(await turn).toMatchObject({ ok: true });
    const statuses = bench.api.exchange.seen.map(({ status }) => status);
    expect([statuses.at(0), statuses.at(-1)]).toEqual([401, 200]);
  });
});
