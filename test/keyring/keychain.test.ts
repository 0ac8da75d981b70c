import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { describeProvider } from '../conformance/provider-suite.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';
import { SetupHome } from '../fakes/setup-home.ts';
import { BrokerTerminal, hasTmux } from '../fakes/tmux.ts';
import { Desk, missingPrograms } from './desk.ts';
import { KeychainHarness } from './keychain-harness.ts';

const skipped = missingPrograms();

if (skipped === undefined) describeProvider('keychain', new KeychainHarness());

const CONFIG = `default = "anthropic"
[providers.desk]
type = "keychain"
[credentials.anthropic]
provider = "desk"
item = "claude"
[providers.tool]
type = "exec"
[credentials.other]
provider = "tool"
command = ["echo", "sk-other"]
[daemon]
key_home = "file"
`;

let desk: Desk;
let home: BrokerHome;

beforeEach(async () => {
  desk = new Desk();
  home = new BrokerHome(CONFIG);
  if (skipped === undefined) await desk.start();
});

afterEach(async () => {
  await home.close();
  await desk[Symbol.asyncDispose]();
});

const set = (value: string, ...words: string[]) =>
  home.brokerWith({ env: desk.session, input: value }, 'set', ...(words.length === 0 ? ['anthropic'] : words));
const unset = (...words: string[]) => home.brokerWith({ env: desk.session }, 'unset', 'anthropic', ...words);

describe.skipIf(skipped)('broker setup', () => {
  const words = ['setup', '--provider', 'keychain', '--no-service', '--scope', 'none'];
  const setup = (input: string, ...more: string[]) => fresh.brokerWith({ env: desk.session, input }, ...words, ...more);
  let fresh: SetupHome;

  beforeEach(() => {
    fresh = new SetupHome();
  });

  afterEach(() => fresh.close());

  it('stores a key that is not there yet, and takes it away again if setup does not get to its end', async () => {
    expect(await setup('')).toMatchObject({ code: 77, stderr: expect.stringContaining('--key-stdin') as string });
    expect(await setup('sk-canary\n', '--key-stdin', '--item', 'mine')).toMatchObject({ code: 0 });
    expect((await fresh.key('', desk.session)).stdout).toBe('sk-canary\n');
    // Found there from now on, under this name and no other.
    expect(await setup('', '--credential', 'second', '--item', 'mine')).toMatchObject({ code: 0 });
    const other = ['--credential', 'third', '--item', 'other'];
    expect(await setup('sk-other\n', '--key-stdin', '--dry-run', ...other)).toMatchObject({ code: 0 });
    expect(await setup('', ...other)).toMatchObject({ code: 77, stderr: expect.stringContaining('no item') as string });
  });
});

describe.skipIf(skipped)('broker set and unset', () => {
  it('a value is stored without a daemon, served by one, replaced and taken away', async () => {
    const stored = await set('sk-first\n');
    expect(stored).toMatchObject({
      code: 0,
      stderr: '',
      stdout: '"anthropic" stored in the Secret Service as "claude"; no daemon runs; the next one takes it up\n',
    });
    const daemon = await home.start(desk.session);
    expect((await home.key()).stdout).toBe('sk-first\n');

    const replaced = await set('sk-second', 'anthropic', '--json');
    expect(JSON.parse(replaced.stdout)).toEqual({
      name: 'anthropic',
      item: 'claude',
      keyring: 'Secret Service',
      daemon: true,
    });
    expect((await home.key()).stdout).toBe('sk-second\n');

    expect(await unset()).toMatchObject({ code: 0, stderr: '' });
    const gone = await home.key();
    expect(gone).toMatchObject({ code: 77, stdout: '' });
    expect(gone.stderr).toContain('the Secret Service is open, and has no item "claude" of the broker\'s');
    expect(gone.stderr).toContain('broker set NAME');
    expect(await unset()).toMatchObject({ code: 0 });
    expect(daemon.log).not.toMatch(/sk-(?:first|second)/);
    expect(await desk.accounts()).toEqual([]);
    expect(desk.prompts).toBe(0);
  });

  it.runIf(skipped === undefined && hasTmux())('at a terminal the value is asked for, and not shown', async () => {
    const terminal = new BrokerTerminal();
    onTestFinished(() => terminal.close());
    await terminal.run(['set', 'anthropic'], { ...home.env, ...desk.session }, home.folder);
    await terminal.until('Value of "anthropic"');
    await terminal.type('sk-typed-0123456789');
    // One sign for each character that was typed.
    await terminal.until(/(\S)\1{18}/);
    await terminal.press('Enter');
    const screen = await terminal.until('exit code: 0');
    expect(screen).toContain('"anthropic" stored in the Secret Service');
    expect(screen).not.toContain('sk-typed');
    await home.start(desk.session);
    expect((await home.key()).stdout).toBe('sk-typed-0123456789\n');
  });

  it('what no client would take as a key is not stored', async () => {
    for (const value of ['', 'two\nlines', 'Bearer sk-x', 'null', 'x'.repeat(20_000)]) {
      const refused = await set(value);
      expect(refused).toMatchObject({ code: 65, stdout: '' });
      expect(refused.stderr).toContain('what was handed in is not a key');
    }
    const longest = 'k'.repeat(16_384);
    expect((await set(longest)).code).toBe(0);
    await home.start(desk.session);
    expect((await home.key()).stdout).toBe(`${longest}\n`);
  });

  it('a credential of another provider, or none of that name, is said with what could be meant', async () => {
    const other = await set('sk-x', 'other');
    expect(other).toMatchObject({ code: 64 });
    expect(other.stderr).toMatch(/"other" is read from provider "tool" \(exec\), not from a keychain/);
    const none = await set('sk-x', 'nobody');
    expect(none).toMatchObject({ code: 78 });
    expect(none.stderr).toContain('name one of: anthropic');
  });

  it('a locked keyring is said, nobody is asked to unlock it, and the key that the daemon has is served', async () => {
    await set('sk-first');
    await home.start(desk.session);
    expect((await home.key()).stdout).toBe('sk-first\n');
    await desk.restartKeyring('locked');
    expect(await set('sk-second')).toMatchObject({ code: 77, stderr: expect.stringContaining('is locked') });
    const refreshed = await home.broker('refresh', 'anthropic');
    expect(refreshed).toMatchObject({ code: 69, stderr: expect.stringContaining('the Secret Service is locked') });
    expect((await home.key()).stdout).toBe('sk-first\n');
    expect(desk.prompts).toBe(0);
    await desk.restartKeyring('unlocked');
    expect(await home.broker('refresh', 'anthropic')).toMatchObject({ code: 0 });
  });

  it('where no keyring can be, that is said', async () => {
    const refused = await home.brokerWith({ input: 'sk-x' }, 'set', 'anthropic');
    expect(refused).toMatchObject({ code: 69, stderr: expect.stringContaining('there is no session bus') });
    await home.start();
    expect((await home.key()).stderr).toContain('there is no session bus');
  });
});
