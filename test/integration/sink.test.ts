import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BrokerHome, type RunningDaemon } from '../fakes/daemon-process.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { enrolLaptop, laptopConfig } from '../fakes/laptop.ts';
import { hasMemoryFolder, memoryFolder } from '../fakes/memory-folder.ts';
import { MessagesApi } from '../fakes/messages-api.ts';
import { until } from '../fakes/processes.ts';
import { ACCOUNT, ORGANIZATION, RULE } from '../fakes/token-exchange.ts';

const IDENTITY = `[credentials.identity]
provider = "vault"
path = "identity/oidc/token/claude"
field = "token"
`;
const SINK = '[credentials.identity.sink]\nfile = "{runtime}/identity-token"\n';

let vault: DevVault;
let api: MessagesApi;
let home: BrokerHome;
let runtime: string;
let file: string;

beforeEach(async () => {
  if (!hasMemoryFolder) return;
  vault = await DevVault.start({ nowMs: Date.now });
  vault.policies.write('claude', ['secret/data/claude', 'identity/oidc/token/claude']);
  vault.kv.writeV2('secret/claude', { api_key: 'sk-static-0123456789' });
  vault.engines.oidcRole('claude', 600_000);
  api = await MessagesApi.start();
  api.exchange.issuer = 'dev-vault';
  home = new BrokerHome(laptopConfig(vault.address, IDENTITY + SINK));
  runtime = memoryFolder();
  file = join(runtime, 'broker', 'identity-token');
  enrolLaptop(vault, home.folder);
});

afterEach(async () => {
  if (!hasMemoryFolder) return;
  await home.close();
  await api.stop();
  await vault.stop();
  rmSync(runtime, { recursive: true, force: true });
});

const start = () => home.start({ XDG_RUNTIME_DIR: runtime });
const written = () => until(() => existsSync(file));

/** What a program with Anthropic's SDK does that was told of the file. */
async function ask(): Promise<unknown> {
  const variables = {
    ANTHROPIC_FEDERATION_RULE_ID: RULE,
    ANTHROPIC_ORGANIZATION_ID: ORGANIZATION,
    ANTHROPIC_SERVICE_ACCOUNT_ID: ACCOUNT,
    ANTHROPIC_IDENTITY_TOKEN_FILE: file,
    ANTHROPIC_CONFIG_DIR: runtime,
  };
  Object.assign(process.env, variables);
  try {
    const client = new Anthropic({ baseURL: api.url, maxRetries: 0 });
    return await client.messages.create({ model: 'x', max_tokens: 1, messages: [{ role: 'user', content: 'ping' }] });
  } finally {
    for (const name of Object.keys(variables)) delete process.env[name];
  }
}

async function status() {
  const { stdout } = await home.broker('status', '--json');
  const { credentials } = JSON.parse(stdout);
  return credentials.find(({ name }: { name: string }) => name === 'identity');
}

describe.skipIf(!hasMemoryFolder)('Vault, a file, and a program that exchanges what is in it', () => {
  it('no key anywhere: each exchange has an identity token of its own', async () => {
    const daemon = await start();
    await written();
    expect(statSync(file).mode & 0o7777).toBe(0o600);
    const first = readFileSync(file, 'utf8');
    expect(first.split('.')).toHaveLength(3);
    await until(() => existsSync(file) && readFileSync(file, 'utf8') !== first);
    await expect(ask()).resolves.toMatchObject({ role: 'assistant' });
    const used = api.exchange.seen.at(-1)?.form['assertion'];
    await until(() => existsSync(file) && readFileSync(file, 'utf8') !== used);
    await expect(ask()).resolves.toMatchObject({ role: 'assistant' });
    expect(api.exchange.seen.map(({ status: seen }) => seen)).toEqual([200, 200]);
    expect(daemon.log).not.toContain(first);
  });

  it('is there while the daemon is, says so, and goes with it', async () => {
    const daemon = await start();
    await written();
    expect((await status()).sink).toEqual({ file, written: true, problem: null, remedy: null });
    expect((await home.broker('status')).stdout).toContain(`identity: kept in ${file}`);
    await daemon.end('SIGTERM');
    expect(existsSync(file)).toBe(false);
  });

  it('is replaced by the next daemon if this one is killed', async () => {
    await (await started()).end('SIGKILL');
    const left = statSync(file).ino;
    await start();
    await until(() => existsSync(file) && statSync(file).ino !== left);
  });

  it('goes with its table in the configuration, and comes back with it', async () => {
    const daemon = await started();
    home.configure(laptopConfig(vault.address, IDENTITY));
    daemon.kill('SIGHUP');
    await until(() => !existsSync(file));
    home.configure(laptopConfig(vault.address, IDENTITY + SINK));
    daemon.kill('SIGHUP');
    await written();
  });

  it('goes when Vault takes the right to it away', async () => {
    await started();
    vault.policies.write('claude', ['secret/data/claude']);
    expect(await home.broker('refresh', 'identity')).toMatchObject({ code: 77 });
    await until(() => !existsSync(file));
    await until(async () => (await status()).sink.problem !== null);
  });

  it('a key that never expires is not kept in a file', async () => {
    home.configure(laptopConfig(vault.address, '[credentials.anthropic.sink]\nfile = "{runtime}/key"\n'));
    const daemon = await start();
    await daemon.whenLogged('has no expiry');
    expect(existsSync(join(runtime, 'broker', 'key'))).toBe(false);
    expect((await home.broker('status')).stdout).toMatch(
      /is not there: the key of "anthropic" has no expiry[^\n]*\n +hint: remove/,
    );
  });

  it('on a disk it is not written', async () => {
    home.configure(
      laptopConfig(vault.address, `${IDENTITY}[credentials.identity.sink]\nfile = "${home.folder}/run/token"\n`),
    );
    const daemon = await start();
    await daemon.whenLogged('is not in memory');
    expect(existsSync(join(home.folder, 'run', 'token'))).toBe(false);
  });

  async function started(): Promise<RunningDaemon> {
    const daemon = await start();
    await written();
    return daemon;
  }
});
