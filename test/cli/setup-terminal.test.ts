import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AwsJsonServer } from '../fakes/aws-json-server.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { enrolLaptop } from '../fakes/laptop.ts';
import { hasServiceManager, SetupHome } from '../fakes/setup-home.ts';
import { BrokerTerminal, hasTmux } from '../fakes/tmux.ts';

const KEY = 'sk-ant-api03-canary-0123456789';

let vault: DevVault;
let home: SetupHome;
let terminal: BrokerTerminal;

beforeEach(async () => {
  vault = await DevVault.start({ nowMs: () => Date.now(), secretPrefix: 'canary-' });
  vault.policies.write('claude', ['secret/data/claude']);
  vault.kv.writeV2('secret/claude', { note: 'for us', api_key: KEY });
  vault.logins.user('userpass', 'ada', 'canary-secret', { policies: ['claude'], ttlMs: 3_600_000 });
  home = new SetupHome();
  enrolLaptop(vault, home.folder);
  terminal = new BrokerTerminal();
});

afterEach(async () => {
  await terminal.close();
  await home.close();
  await vault.stop();
});

const env = (): Record<string, string> => ({ ...home.env, VAULT_ADDR: vault.address, USER: 'ada' });

/** What is asked for Vault with AppRole, in order, and what is answered; the last answer starts the writing. */
const DIALOGUE: readonly (readonly [asked: string, answer: (terminal: BrokerTerminal) => Promise<void>])[] = [
  ['Where does the key live?', (at) => at.press('Enter')],
  ['Address of Vault', (at) => at.press('Enter')],
  ['How do you log in to it?', (at) => at.press('Down', 'Enter')],
  ['File with the role-id', (at) => at.answer('~/role-id')],
  ['File with the secret-id', (at) => at.answer('~/secret-id')],
  ['Path of the secret', (at) => at.answer('secret/data/claude')],
  ['Name for this credential?', (at) => at.press('Enter')],
  ['Which value of the secret is the key?', (at) => at.press('Down', 'Enter')],
  ['Let the API itself say', (at) => at.press('Enter')],
  ['Add apiKeyHelper to which settings', (at) => at.press('Enter')],
  // On Linux alone; no is the default.
  ['Only for Claude Code itself', (at) => at.press('Enter')],
  // Only where there is something to install it into.
  ...(hasServiceManager() ? [['Install the daemon as a service', (at: BrokerTerminal) => at.press('n')] as const] : []),
  ['Go ahead?', (at) => at.press('y')],
];

describe.runIf(hasTmux())('setup at a terminal', () => {
  it('leads from nothing to a working helper', async () => {
    await terminal.run(['setup'], env(), home.folder);
    await terminal.until('VAULT_ADDR is');
    for (const [asked, answer] of DIALOGUE) {
      await terminal.until(asked);
      await answer(terminal);
    }
    expect(await terminal.exitCode()).toBe(0);
    const screen = await terminal.screen();
    expect(screen).toContain('Ready: ');
    expect(screen).toMatch(/Works: the key is sk-ant-api03-… \(\d+ characters, #[0-9a-f]{8}\)/);
    expect(screen).not.toContain('canary');
    const { apiKeyHelper } = JSON.parse(readFileSync(home.settings, 'utf8')) as { apiKeyHelper: string };
    expect(await home.shell(apiKeyHelper)).toEqual({ code: 0, stdout: `${KEY}\n`, stderr: '' });
    expect(readFileSync(home.config, 'utf8')).toContain('field = "api_key"');
  });

  // Ctrl-D closes the line editor without a word: at a list, at a line of text, and after a login that has to be given back.
  const atCtrlD = ['Where does the key live?', 'File with the role-id', 'Go ahead?'];
  const ends = DIALOGUE.flatMap(([asked], at) =>
    (atCtrlD.includes(asked) ? ['C-c', 'C-d'] : ['C-c']).map((key) => [key, asked, at] as const),
  );

  it.each(ends)('%s at "%s" changes nothing', async (key, _, last) => {
    const before = home.snapshot();
    await terminal.run(['setup'], env(), home.folder);
    for (const [at, [asked, answer]] of DIALOGUE.slice(0, last + 1).entries()) {
      await terminal.until(asked);
      await (at === last ? terminal.press(key) : answer(terminal));
    }
    expect(await terminal.exitCode()).toBe(130);
    expect(await terminal.screen()).toContain('cancelled: nothing was changed');
    expect(home.snapshot()).toEqual(before);
    expect(vault.tokens.live()).toHaveLength(1);
  });

  it('Ctrl-C while Vault does not answer changes nothing', async () => {
    const before = home.snapshot();
    vault.faults.plan({ kind: 'hang' }, { times: Number.POSITIVE_INFINITY });
    const known = [
      '--provider',
      'vault',
      '--auth',
      'approle',
      '--role-id-file',
      '~/role-id',
      '--address',
      vault.address,
    ];
    const rest = ['--secret-id-file', '~/secret-id', '--path', 'secret/data/claude', '--credential', 'anthropic'];
    await terminal.run(['setup', ...known, ...rest], env(), home.folder);
    await terminal.until('Logging in and reading');
    await terminal.press('C-c');
    expect(await terminal.exitCode()).toBe(130);
    expect(home.snapshot()).toEqual(before);
  });

  it.each(['C-c', 'C-d'])('%s while an answer is looked at changes nothing, and does not wait for it', async (key) => {
    const before = home.snapshot();
    vault.faults.plan({ kind: 'hang' }, { times: Number.POSITIVE_INFINITY });
    await terminal.run(['setup', '--provider', 'vault'], env(), home.folder);
    await terminal.until('Address of Vault');
    await terminal.press('Enter');
    await terminal.until('Validating');
    await terminal.press(key);
    expect(await terminal.exitCode()).toBe(130);
    const screen = await terminal.screen();
    expect(screen).toContain('cancelled: nothing was changed');
    expect(screen).not.toMatch(/How do you log in|Error/);
    expect(home.snapshot()).toEqual(before);
  });

  it('Ctrl-C in the midst of it takes back what was done', async () => {
    const before = home.snapshot();
    await terminal.run(['setup'], env(), home.folder);
    for (const [asked, answer] of DIALOGUE) {
      await terminal.until(asked);
      if (asked === 'Go ahead?') vault.faults.plan({ kind: 'hang' }, { times: Number.POSITIVE_INFINITY });
      await answer(terminal);
    }
    await terminal.until('reload: ');
    await terminal.press('C-c');
    expect(await terminal.exitCode()).toBe(130);
    const screen = await terminal.screen();
    expect(screen).toMatch(/daemon: taken back\s+configuration: taken back\s+cancelled/);
    expect(home.snapshot()).toEqual(before);
    expect(existsSync(home.socket)).toBe(false);
  });

  it('a wrong path is told and asked again', async () => {
    const known = [
      '--provider',
      'vault',
      '--auth',
      'approle',
      '--role-id-file',
      '~/role-id',
      '--address',
      vault.address,
    ];
    const rest = [
      '--secret-id-file',
      '~/secret-id',
      '--credential',
      'anthropic',
      '--scope',
      'none',
      '--no-service',
      '--yes',
    ];
    await terminal.run(['setup', ...known, ...rest, '--path', 'secret/data/nowhere'], env(), home.folder);
    await terminal.until(/Vault denies secret\/data\/nowhere/);
    await terminal.until('What now?');
    await terminal.press('Enter');
    await terminal.until('Path of the secret');
    await terminal.answer('secret/data/claude');
    await terminal.until('Which value of the secret');
    await terminal.press('Down', 'Enter');
    expect(await terminal.exitCode()).toBe(0);
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
  });

  it('a mistake at every question is told at that question, and what was answered stays', async () => {
    writeFileSync(join(home.folder, 'wrong'), 'not-a-secret-id', { mode: 0o600 });
    const mistake = async (wrong: string, told: string | RegExp) => {
      await terminal.type(wrong);
      await terminal.press('Enter');
      await terminal.until(told);
      await terminal.press('C-u');
    };
    await terminal.run(['setup', '--scope', 'user'], home.env, home.folder);
    await terminal.until('Where does the key live?');
    await terminal.press('Enter');
    await terminal.until('Address of Vault, like https://');
    await mistake('', 'Type it, like https://vault.example.com:8200');
    await mistake('vault.example.com:8200', 'begins with https://');
    await mistake('http://127.0.0.1:1', 'cannot be reached');
    await terminal.answer(vault.address);
    await terminal.until('How do you log in to it?');
    await terminal.press('Down', 'Enter');
    await terminal.until('File with the role-id');
    await mistake('~/nowhere', /there is no file .*\/nowhere/);
    await terminal.answer('~/role-id');
    await terminal.until('File with the secret-id');
    await terminal.answer('~/wrong');
    await terminal.until(/Vault refuses the login at auth\/approle\/login[\s\S]*What now\?/);
    await terminal.press('Enter');
    await terminal.until(/(Address of Vault[\s\S]*){2}/);
    await terminal.press('Enter');
    await terminal.until(/(How do you log in[\s\S]*){2}● AppRole/);
    await terminal.press('Enter');
    await terminal.until(/(File with the role-id[\s\S]*){2}/);
    await terminal.press('Enter');
    await terminal.until(/(File with the secret-id[\s\S]*){2}/);
    await terminal.answer('~/secret-id');
    await terminal.until('Mount of the auth method');
    await terminal.press('Enter');
    await terminal.until('mounted here: secret/ (kv version 2), kv/ (kv version 1)');
    await terminal.until('Path of the secret, like secret/data/claude');
    await mistake(`${vault.address}/v1/secret/data/claude`, 'path = "secret/data/claude"');
    await terminal.answer('secret/clod');
    await terminal.until(
      /KV version 2 has data\/ after its mount: secret\/data\/clod[\s\S]*Vault denies[\s\S]*What now\?/,
    );
    await terminal.press('Enter');
    await terminal.until(/(Path of the secret[\s\S]*){2}/);
    await terminal.answer('secret/claude');
    await terminal.until('Name for this credential?');
    await mistake('my key', 'this is not a name: a name is 1 to 64');
    await terminal.press('Enter');
    await terminal.until('Which value of the secret is the key?');
    await terminal.press('Down', 'Enter');
    await terminal.until('Let the API itself say');
    await terminal.press('Down', 'Down', 'Enter');
    await terminal.until('Address that answers 2xx');
    await mistake('gateway/models', 'this is not a web address');
    await terminal.answer(`${vault.address}/v1/sys/health`);
    await terminal.until('Only for Claude Code itself');
    await terminal.press('Enter');
    if (hasServiceManager()) {
      await terminal.until('Install the daemon as a service');
      await terminal.press('n');
    }
    await terminal.until('Go ahead?');
    await terminal.press('y');
    expect(await terminal.exitCode()).toBe(0);
    expect(await terminal.screen()).toMatch(/One key through the helper, as the client runs it: .* after \d+ ms/);
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
    expect(readFileSync(home.config, 'utf8')).toContain('[credentials.anthropic.check]');
  });

  it('set up already: one credential is changed, and every answer is kept but one', async () => {
    const known = ['--provider', 'vault', '--address', vault.address, '--auth', 'approle', '--no-service', '--yes'];
    const files = ['--role-id-file', '~/role-id', '--secret-id-file', '~/secret-id', '--field', 'api_key'];
    const inHome = [...known, ...files].map((word) => word.replace('~', home.folder));
    expect((await home.broker('setup', ...inHome, '--path', 'secret/data/claude')).code).toBe(0);
    vault.policies.write('claude', ['secret/data/claude', 'secret/data/two']);
    vault.kv.writeV2('secret/two', { api_key: `${KEY}-2`, other: 'x' });
    await terminal.run(['setup'], env(), home.folder);
    await terminal.until('There is a configuration already');
    await terminal.press('Down', 'Enter');
    for (const asked of [
      'Address of Vault',
      '● AppRole',
      'File with the role-id',
      'File with the secret-id',
      'Mount of the auth method',
    ]) {
      await terminal.until(asked);
      await terminal.press('Enter');
    }
    await terminal.until('Path of the secret');
    await terminal.answer('secret/two');
    await terminal.until('● api_key');
    await terminal.press('Enter');
    await terminal.until('credentials.anthropic.path: "secret/data/claude" → "secret/data/two"');
    await terminal.until('Go ahead?');
    await terminal.press('y');
    expect(await terminal.exitCode()).toBe(0);
    expect((await home.key()).stdout).toBe(`${KEY}-2\n`);
  });

  it('a mistyped password: the first choice is to type it again', async () => {
    const known = ['--provider', 'vault', '--auth', 'userpass', '--username', 'ada', '--address', vault.address];
    const rest = ['--path', 'secret/data/claude', '--field', 'api_key', '--credential', 'anthropic', '--scope', 'none'];
    await terminal.run(['setup', ...known, ...rest, '--no-service', '--yes'], env(), home.folder);
    await terminal.until('Password of ada');
    await terminal.type('canary-typo');
    await terminal.press('Enter');
    await terminal.until('● try again: type the password once more');
    await terminal.press('Enter');
    await terminal.until(/(Password of ada[\s\S]*){2}/);
    await terminal.type('canary-secret');
    await terminal.press('Enter');
    expect(await terminal.exitCode()).toBe(0);
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
  });

  it('a login that is mounted elsewhere: its mount is asked for once it was refused', async () => {
    const known = ['--provider', 'vault', '--auth', 'ldap', '--username', 'ada', '--address', vault.address];
    const rest = ['--path', 'secret/data/claude', '--field', 'api_key', '--credential', 'anthropic', '--scope', 'none'];
    await terminal.run(['setup', ...known, ...rest, '--no-service', '--yes'], env(), home.folder);
    await terminal.until('Password of ada');
    await terminal.type('canary-secret');
    await terminal.press('Enter');
    await terminal.until('● try again: type the password once more');
    await terminal.press('Down', 'Enter');
    for (const asked of ['Address of Vault', '● user name and password of LDAP', 'Name to log in with']) {
      await terminal.until(asked);
      await terminal.press('Enter');
    }
    await terminal.until('Mount of the auth method');
    await terminal.answer('userpass');
    await terminal.until(/(Password of ada[\s\S]*){2}/);
    await terminal.type('canary-secret');
    await terminal.press('Enter');
    expect(await terminal.exitCode()).toBe(0);
    expect(readFileSync(home.config, 'utf8')).toContain('method = "ldap"\nusername = "ada"\nmount = "userpass"');
  });

  it('a password is asked for without an echo, once, and kept nowhere', async () => {
    const known = ['--provider', 'vault', '--auth', 'userpass', '--username', 'ada', '--address', vault.address];
    const rest = ['--path', 'secret/data/claude', '--field', 'api_key', '--credential', 'anthropic', '--scope', 'none'];
    await terminal.run(['setup', ...known, ...rest, '--no-service', '--yes'], env(), home.folder);
    await terminal.until('Password of ada');
    await terminal.type('canary-secret');
    await terminal.press('Enter');
    expect(await terminal.exitCode()).toBe(0);
    expect(await terminal.screen()).not.toContain('canary');
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
    for (const content of Object.values(home.snapshot())) expect(content).not.toContain('canary-secret');
    expect(readFileSync(home.config, 'utf8')).toContain('# When the session is over: broker login vault');
  });
});

describe('setup with AWS', () => {
  let aws: AwsJsonServer;

  beforeEach(async () => {
    aws = new AwsJsonServer();
    await aws.start();
    aws.put('prod/claude', JSON.stringify({ key: KEY }));
    aws.put('/prod/claude', KEY);
    home.folderFor('.aws');
    writeFileSync(
      join(home.folder, '.aws', 'config'),
      '[profile dev]\nregion = eu-west-1\naws_access_key_id = AKIACANARY\naws_secret_access_key = canary\n[sso-session corp]\n',
      { mode: 0o600 },
    );
  });

  afterEach(() => aws.stop());

  it.each([
    ['aws-secrets-manager', ['--secret-id', 'prod/claude']],
    ['aws-ssm', ['--parameter', '/prod/claude']],
  ])('%s, without a terminal', async (kind, source) => {
    const args = ['--provider', kind, '--profile', 'dev', '--endpoint', aws.url, ...source, '--no-service', '--yes'];
    expect(await home.broker('setup', ...args)).toMatchObject({ code: 0 });
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
    expect(existsSync(home.settings)).toBe(true);
  });

  it.runIf(hasTmux())('at a terminal: the profile of the machine is suggested', async () => {
    await terminal.run(
      ['setup', '--endpoint', aws.url, '--no-service', '--yes'],
      { ...home.env, AWS_PROFILE: 'dev' },
      home.folder,
    );
    await terminal.until('AWS: profiles dev');
    await terminal.until('Where does the key live?');
    await terminal.press('Enter');
    await terminal.until('AWS profile');
    await terminal.press('Enter');
    await terminal.until('Region of the secret');
    await terminal.press('Enter');
    await terminal.until('Name or ARN of the secret');
    await terminal.answer('prod/claude');
    await terminal.until('Name for this credential?');
    await terminal.press('Enter');
    await terminal.until('Add apiKeyHelper to which settings');
    await terminal.press('Enter');
    expect(await terminal.exitCode()).toBe(0);
    expect(readFileSync(home.config, 'utf8')).toContain('profile = "dev"');
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
  });
});
