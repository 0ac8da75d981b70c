import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pageReader } from '../fakes/automatic-person.ts';
import { cacheDump } from '../fakes/cache-dump.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { personConfig } from '../fakes/laptop.ts';
import { freePort } from '../fakes/loopback.ts';
import { shellWord } from '../fakes/processes.ts';

const KEY = 'sk-ant-0123456789';
const GRANT = { policies: ['claude'], ttlMs: 3_600_000, maxTtlMs: 36_000_000 };

let vault: DevVault;
let home: BrokerHome;
let port: number;

beforeEach(async () => {
  port = await freePort();
  vault = await DevVault.start({ nowMs: () => Date.now(), secretPrefix: 'canary-' });
  vault.policies.write('claude', ['secret/data/claude']);
  vault.kv.writeV2('secret/claude', { api_key: KEY });
  vault.oidc.role('default', { grant: GRANT, allowedRedirectUris: [`http://localhost:${port}/oidc/callback`] });
  vault.oidc.role('device', { grant: GRANT, mode: 'device' });
  const own = `${vault.address}/v1/auth/oidc/oidc/callback`;
  vault.oidc.role('direct', { grant: GRANT, mode: 'direct', allowedRedirectUris: [own] });
  vault.oidc.role('either', { grant: GRANT, mode: 'direct' });
  vault.oidc.role('renamed', { grant: GRANT, mode: 'direct', allowedRedirectUris: [`${own}?from=outside`] });
  vault.oidc.role('outsider', { grant: GRANT, refusal: 'access_denied' });
  vault.oidc.role('elsewhere', { grant: GRANT, allowedRedirectUris: ['http://localhost:1/oidc/callback'] });
  vault.logins.user('userpass', 'ada', 'canary-correct horse', GRANT);
  home = new BrokerHome(config(`method = "oidc"\ncallback_port = ${port}`));
});

afterEach(async () => {
  await home.close();
  await vault.stop();
});

const config = (auth: string) => personConfig(vault.address, auth);

describe('oidc', () => {
  it('the helper says who has to log in; one login later it prints the key, also after a restart', async () => {
    const daemon = await home.start();
    const before = await home.key();
    expect(before).toMatchObject({ code: 77, stdout: '' });
    expect(before.stderr).toContain('run: broker login corp');
    const watch = pageReader();
    const run = await home.brokerWith(watch, 'login', 'corp', '--no-browser');
    expect(run.code).toBe(0);
    expect(run.stdout).toMatch(/^logged in to corp; the session ends in (1 h|59 min|60 min)/);
    expect(await watch.page()).toContain('You are logged in');
    expect(await home.key()).toEqual({ code: 0, stdout: `${KEY}\n`, stderr: '' });
    await daemon.end('SIGKILL');
    await home.start();
    expect((await home.broker('refresh')).code).toBe(0);
    expect(vault.count(/oidc\/callback/)).toBe(1);
    const dump = cacheDump(home.stateDir);
    for (const text of [daemon.log, dump, run.stdout, run.stderr]) expect(text).not.toContain('canary');
  });

  it('a session that is over is told with the command to type, and a new login mends it at once', async () => {
    await home.start();
    await home.brokerWith(pageReader(), 'login', 'corp', '--no-browser');
    expect((await home.key()).code).toBe(0);
    for (const { id } of vault.tokens.live()) if (id !== vault.rootToken) vault.tokens.revoke(id);
    expect((await home.broker('refresh')).stderr).toContain('broker login corp');
    // The key in hand is good meanwhile.
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
    expect((await home.broker('invalidate', 'anthropic')).code).toBe(0);
    expect((await home.key()).code).toBe(77);
    await home.brokerWith(pageReader(), 'login', 'corp', '--no-browser');
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
  });

  it('a token that is no good takes nothing from the login at hand', async () => {
    await home.start();
    await home.brokerWith(pageReader(), 'login', 'corp', '--no-browser');
    expect(await home.post('/v1/providers/corp/login', 'hvs.unknown')).toMatchObject({ status: 403 });
    expect(await home.key()).toEqual({ code: 0, stdout: `${KEY}\n`, stderr: '' });
  });

  it('the device flow needs no way back', async () => {
    home.configure(config('method = "oidc"\nrole = "device"'));
    await home.start();
    const run = await home.brokerWith(pageReader(), 'login', 'corp', '--no-browser', '--json');
    expect(run).toMatchObject({ code: 0 });
    expect(JSON.parse(run.stdout)).toMatchObject({ provider: 'corp', renewable: true });
    expect(run.stderr).toContain('Enter this code there: BROK-ER01');
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
  });

  it.each([
    ['direct', ''],
    // A role that allows both is asked for the one that its mode needs: nobody listens here.
    ['either', ''],
    ['renamed', 'redirect_uri = "ADDRESS/v1/auth/oidc/oidc/callback?from=outside"'],
  ])('the browser comes back to Vault where the role %s says so, and Vault is polled', async (role, more) => {
    const options = more.replace('ADDRESS', vault.address);
    home.configure(config(`method = "oidc"\nrole = "${role}"\ncallback_port = ${port}\n${options}`));
    await home.start();
    const watch = pageReader();
    const run = await home.brokerWith(watch, 'login', 'corp', '--no-browser');
    expect(run).toMatchObject({ code: 0 });
    expect(await watch.page()).toContain('you are signed in');
    expect(vault.count(/oidc\/poll/)).toBeGreaterThan(0);
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
  });

  it.each([
    ['outsider', 77, /identity provider refused the login \(access_denied\)/],
    ['elsewhere', 78, /allowed_redirect_uris/],
    ['nobody', 78, /role/],
  ])('role %s ends with exit code %i', async (role, code, words) => {
    home.configure(config(`method = "oidc"\nrole = "${role}"\ncallback_port = ${port}`));
    await home.start();
    const run = await home.brokerWith(pageReader(), 'login', 'corp', '--no-browser');
    expect(run).toMatchObject({ code, stdout: '' });
    expect(run.stderr).toMatch(words);
  });

  it('opens what $BROWSER names', async () => {
    await home.start();
    const browser = join(home.folder, 'browser.mjs');
    writeFileSync(browser, `#!/bin/sh\nexec ${shellWord(process.execPath)} -e 'await fetch(process.argv[1])' "$@"\n`, {
      mode: 0o700,
    });
    const env = { BROWSER: browser };
    const run = await home.brokerWith({ env }, 'login', 'corp');
    expect(run.stderr).toContain('Log in in the browser');
    expect(run).toMatchObject({ code: 0 });
  });

  it('takes nothing but a visit with the state of this login', async () => {
    await home.start();
    const statuses: number[] = [];
    let visit: Promise<void> | undefined;
    const onStderr = (text: string) => {
      const address = /https?:\/\/\S+\/v1\/dev\/oidc\/page\S+(?=\n)/.exec(text)?.[0];
      if (address === undefined) return;
      visit ??= (async () => {
        for (const path of ['/', '/oidc/callback', '/oidc/callback?state=st_wrong&code=x']) {
          statuses.push((await fetch(`http://127.0.0.1:${port}${path}`)).status);
        }
        await fetch(address);
      })();
    };
    expect((await home.brokerWith({ onStderr }, 'login', 'corp', '--no-browser')).code).toBe(0);
    await visit;
    expect(statuses).toEqual([404, 400, 400]);
  });
});

describe('a password that is kept nowhere', () => {
  beforeEach(async () => {
    home.configure(config('method = "userpass"\nusername = "ada"'));
    await home.start();
  });

  it('is handed in on standard input', async () => {
    expect((await home.key()).stderr).toContain('broker login corp');
    const run = await home.brokerWith({ input: 'canary-correct horse\n' }, 'login', 'corp', '--password-stdin');
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
  });

  it('is never asked without a terminal', async () => {
    const run = await home.broker('login', 'corp');
    expect(run).toMatchObject({ code: 64, stdout: '' });
    expect(run.stderr).toContain('--password-stdin');
  });

  it('may be wrong', async () => {
    const run = await home.brokerWith({ input: 'canary-wrong\n' }, 'login', 'corp', '--password-stdin');
    expect(run).toMatchObject({ code: 77, stdout: '' });
    expect(run.stderr).toMatch(/check the password/);
    expect(run.stderr).not.toContain('canary');
  });
});

describe('what cannot be logged in to', () => {
  it('says so', async () => {
    home.configure(config('method = "token"\ntoken_file = "~/t"'));
    await home.start();
    expect((await home.broker('login', 'corp')).stderr).toContain('logs in automatically, with method token');
    expect((await home.broker('login', 'crop')).stderr).toContain('name one of: corp');
  });

  it('needs a daemon, before anybody is asked anything', async () => {
    const run = await home.broker('login', 'corp');
    expect(run).toMatchObject({ code: 69, stdout: '' });
  });

  it('the socket takes a token and nothing else', async () => {
    await home.start();
    const post = (body: string) => home.post('/v1/providers/corp/login', body);
    expect(await post('')).toMatchObject({ status: 400 });
    expect(await post('two words')).toMatchObject({ status: 400 });
    expect(await post('x'.repeat(20_000))).toMatchObject({ status: 413 });
    expect(await post('hvs.unknown')).toMatchObject({ status: 403 });
    expect((await post(vault.createToken(GRANT).id)).status).toBe(200);
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
  });
});
