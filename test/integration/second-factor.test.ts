import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pageReader } from '../fakes/automatic-person.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { totpAt } from '../fakes/dev-vault/second-factors.ts';
import { personConfig } from '../fakes/laptop.ts';
import { freePort } from '../fakes/loopback.ts';
import { BrokerTerminal, hasTmux } from '../fakes/tmux.ts';

const KEY = 'sk-ant-0123456789';
const PASSWORD = 'canary-correct horse';
const GRANT = { policies: ['claude'], ttlMs: 3_600_000, maxTtlMs: 36_000_000 };

let vault: DevVault;
let home: BrokerHome;

beforeEach(async () => {
  vault = await DevVault.start({ nowMs: () => Date.now(), secretPrefix: 'canary-' });
  vault.policies.write('claude', ['secret/data/claude']);
  vault.kv.writeV2('secret/claude', { api_key: KEY });
  vault.logins.user('userpass', 'ada', PASSWORD, GRANT);
  home = new BrokerHome(config('method = "userpass"\nusername = "ada"'));
});

afterEach(async () => {
  await home.close();
  await vault.stop();
});

const config = (auth: string) => personConfig(vault.address, auth);

function enforceTotp(mounts = ['userpass']) {
  const method = vault.mfa.totp('phone');
  vault.mfa.enforce('people', mounts, [method]);
  return { ...method, code: () => totpAt(method.key, Date.now()) };
}

const logIn = (input: string, ...flags: string[]) =>
  home.brokerWith({ input }, 'login', 'corp', '--password-stdin', ...flags);
const wrongCode = (right: string) => (right === '000000' ? '000001' : '000000');

describe('a code', () => {
  it('is the second line of standard input', async () => {
    const totp = enforceTotp();
    await home.start();
    const run = await logIn(`${PASSWORD}\n${totp.code()}\n`, '--passcode-stdin');
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(run.stdout).toMatch(/^logged in to corp/);
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
  });

  it('may come in a variable, with the blanks that apps show it with', async () => {
    const totp = enforceTotp();
    await home.start();
    const env = { BROKER_PASSCODE: totp.code().replace(/(...)/, '$1 ') };
    const run = await home.brokerWith({ input: `${PASSWORD}\n`, env }, 'login', 'corp', '--password-stdin');
    expect(run).toMatchObject({ code: 0, stderr: '' });
  });

  it('that is wrong, or used, is told, and nothing of it is repeated', async () => {
    const totp = enforceTotp();
    await home.start();
    const used = totp.code();
    expect(await logIn(`${PASSWORD}\n${used}\n`, '--passcode-stdin')).toMatchObject({ code: 0 });
    for (const code of [wrongCode(used), used]) {
      const run = await logIn(`${PASSWORD}\n${code}\n`, '--passcode-stdin');
      expect(run).toMatchObject({ code: 77, stdout: '' });
      expect(run.stderr).toMatch(/does not accept the second factor \(403\).*failed to validate TOTP passcode/);
      expect(run.stderr).toContain('with a code that was not used yet');
      expect(run.stderr).not.toContain(code);
      expect(run.stderr).not.toContain('canary');
    }
  });

  it('is not asked for without a terminal, and says how it can be handed in', async () => {
    enforceTotp();
    await home.start();
    const run = await logIn(`${PASSWORD}\n`);
    expect(run).toMatchObject({ code: 64, stdout: '' });
    expect(run.stderr).toMatch(/no terminal to ask for its code[\s\S]*--passcode-stdin, or in BROKER_PASSCODE/);
    const cut = await logIn(`${PASSWORD}\n`, '--passcode-stdin');
    expect(cut).toMatchObject({ code: 64 });
    expect(cut.stderr).toContain('standard input holds no passcode');
  });

  it('comes after a login in the browser, too', async () => {
    const totp = enforceTotp(['oidc']);
    const port = await freePort();
    vault.oidc.role('default', { grant: GRANT, allowedRedirectUris: [`http://localhost:${port}/oidc/callback`] });
    home.configure(config(`method = "oidc"\ncallback_port = ${port}`));
    await home.start();
    const run = await home.brokerWith(
      { ...pageReader(), env: { BROKER_PASSCODE: totp.code() } },
      'login',
      'corp',
      '--no-browser',
    );
    expect(run).toMatchObject({ code: 0 });
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
  });
});

describe('a push', () => {
  it('is announced and waited for', async () => {
    vault.mfa.enforce('people', ['userpass'], [vault.mfa.push('okta', 'company phone')]);
    // Longer than any other request may take here.
    vault.faults.plan({ kind: 'slow', byMs: 1_500 }, { path: /^sys\/mfa\/validate$/ });
    home.configure(
      config('method = "userpass"\nusername = "ada"').replace('[providers.corp.auth]', 'timeout = "1s"\n$&'),
    );
    await home.start();
    const run = await logIn(`${PASSWORD}\n`);
    expect(run).toMatchObject({
      code: 0,
      stderr: 'Approve the login on your device (okta company phone); waiting for it.\n',
    });
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
  });

  it('that is declined ends the login', async () => {
    const push = vault.mfa.push('duo', '');
    push.approves = false;
    vault.mfa.enforce('people', ['userpass'], [push]);
    await home.start();
    const run = await logIn(`${PASSWORD}\n`);
    expect(run).toMatchObject({ code: 77, stdout: '' });
    expect(run.stderr).toContain('push declined');
    expect(vault.count(/sys\/mfa\/validate/)).toBe(1);
  });
});

describe('several methods', () => {
  it('leave a choice, which a script makes with --mfa-method', async () => {
    const totp = vault.mfa.totp('phone');
    vault.mfa.enforce('people', ['userpass'], [vault.mfa.push('okta', 'watch'), totp]);
    await home.start();
    const undecided = await logIn(`${PASSWORD}\n`);
    expect(undecided).toMatchObject({ code: 64 });
    expect(undecided.stderr).toContain('--mfa-method watch | phone');
    const unknown = await logIn(`${PASSWORD}\n`, '--mfa-method', 'pager');
    expect(unknown).toMatchObject({ code: 64 });
    expect(unknown.stderr).toContain('name one of: watch, phone');
    const code = totpAt(totp.key, Date.now());
    const run = await logIn(`${PASSWORD}\n${code}\n`, '--passcode-stdin', '--mfa-method', 'totp');
    expect(run).toMatchObject({ code: 0 });
  });

  it('are all given where each is enforced; a code serves one enforcement, so that another method is taken for the next', async () => {
    const [phone, key] = [vault.mfa.totp('phone'), vault.mfa.totp('key')];
    vault.mfa.enforce('people', ['userpass'], [phone]);
    vault.mfa.enforce('admins', ['userpass'], [key]);
    vault.mfa.enforce('auditors', ['userpass'], [phone, vault.mfa.push('okta', 'watch'), key]);
    await home.start();
    const codes = [phone, key].map((method) => totpAt(method.key, Date.now()));
    const run = await logIn(`${PASSWORD}\n${codes.join('\n')}\n`, '--passcode-stdin');
    expect(run).toMatchObject({ code: 0 });
    expect(run.stderr).toContain('okta watch');
  });
});

describe('a password of the configuration', () => {
  beforeEach(async () => {
    writeFileSync(join(home.folder, 'password'), PASSWORD, { mode: 0o600 });
    home.configure(config('method = "userpass"\nusername = "ada"\npassword_file = "~/password"'));
  });

  it('is enough without a second factor; with one the daemon sends for a person, and keeps what they bring', async () => {
    await home.start();
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
    expect((await home.broker('invalidate', 'anthropic')).code).toBe(0);
    const totp = enforceTotp();
    for (const { id } of vault.tokens.live()) if (id !== vault.rootToken) vault.tokens.revoke(id);
    const wanted = await home.key();
    expect(wanted).toMatchObject({ code: 77, stdout: '' });
    expect(wanted.stderr).toContain('wants a second factor for this login; run: broker login corp');
    const env = { BROKER_PASSCODE: totp.code() };
    expect(await home.brokerWith({ env }, 'login', 'corp')).toMatchObject({ code: 0, stderr: '' });
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
  });

  it('that changes after a restart does not cost the login that a person made', async () => {
    const totp = enforceTotp();
    const daemon = await home.start();
    const env = { BROKER_PASSCODE: totp.code() };
    expect(await home.brokerWith({ env }, 'login', 'corp')).toMatchObject({ code: 0 });
    expect((await home.key()).code).toBe(0);
    await daemon.end('SIGKILL');
    await home.start();
    expect((await home.broker('invalidate', 'anthropic')).code).toBe(0);
    vault.policies.write('claude', []);
    expect((await home.key()).code).toBe(77);
    vault.policies.write('claude', ['secret/data/claude']);
    writeFileSync(join(home.folder, 'password'), `${PASSWORD}\n`, { mode: 0o600 });
    expect(await home.key()).toMatchObject({ code: 0, stdout: `${KEY}\n` });
  });
});

describe('a login that no person makes', () => {
  it('cannot have a second factor: what has to change is said', async () => {
    enforceTotp(['approle']);
    const roleId = vault.logins.appRole('laptop', GRANT);
    writeFileSync(join(home.folder, 'secret-id'), vault.logins.secretId('laptop'), { mode: 0o600 });
    home.configure(config(`method = "approle"\nrole_id = "${roleId}"\nsecret_id_file = "~/secret-id"`));
    await home.start();
    const { code, stderr } = await home.key();
    expect(code).toBe(78);
    expect(stderr).toContain('have mount approle exempted from login MFA');
  });
});

describe.runIf(hasTmux())('at a terminal', () => {
  let terminal: BrokerTerminal;

  beforeEach(() => {
    terminal = new BrokerTerminal();
  });
  afterEach(() => terminal.close());

  it('password, choice and code are asked for, a wrong code once more', async () => {
    const totp = vault.mfa.totp('phone');
    vault.mfa.enforce('people', ['userpass'], [vault.mfa.push('okta', 'watch'), totp]);
    await home.start();
    await terminal.run(['login', 'corp'], home.env, home.folder);
    await terminal.until('Password of ada (userpass)');
    await terminal.type(PASSWORD);
    await terminal.press('Enter');
    await terminal.until('Which second factor?');
    await terminal.press('Down', 'Enter');
    await terminal.until('Code of your second factor (totp phone)');
    await terminal.type(wrongCode(totpAt(totp.key, Date.now())));
    await terminal.press('Enter');
    await terminal.until(/A code is good once; try the next one\.[\s\S]*Code of your second factor/);
    const code = totpAt(totp.key, Date.now());
    await terminal.type(code);
    await terminal.press('Enter');
    expect(await terminal.exitCode()).toBe(0);
    const screen = await terminal.screen();
    expect(screen).toContain('logged in to corp');
    for (const secret of [code, 'canary']) expect(screen).not.toContain(secret);
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
  });

  it('Ctrl-C at the code logs nobody in', async () => {
    vault.mfa.enforce('people', ['userpass'], [vault.mfa.totp('phone')]);
    await home.start();
    await terminal.run(['login', 'corp'], home.env, home.folder);
    await terminal.until('Password of ada (userpass)');
    await terminal.type(PASSWORD);
    await terminal.press('Enter');
    await terminal.until('Code of your second factor');
    await terminal.press('C-c');
    expect(await terminal.exitCode()).not.toBe(0);
    expect((await home.key()).code).toBe(77);
  });
});
