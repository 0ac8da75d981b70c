import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { parse } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { TemporaryHome } from '../unit/claude/home.ts';
import { captureIo } from '../unit/claude/test-io.ts';

const CONFIG = '.codex/config.toml';
const CREDENTIALS =
  'default = "work"\n[providers.p]\ntype = "exec"\n[credentials.work]\nprovider = "p"\ncommand = ["true"]\n';

function codexHome(): TemporaryHome & { helper: string; run: (...words: string[]) => ReturnType<typeof run> } {
  const home = new TemporaryHome();
  const helper = home.write('bin/broker-key', '#!/bin/sh\n', 0o755);
  home.write('.config/broker/config.toml', CREDENTIALS);
  return Object.assign(home, { helper, run: (...words: string[]) => run(home, words) });
}

async function run(home: TemporaryHome, words: readonly string[], env: Record<string, string> = {}) {
  const io = captureIo(home, env);
  await main(['codex', ...words], io);
  return io;
}

const read = (file: string) => readFileSync(file, 'utf8');
const values = (home: TemporaryHome, file = CONFIG) =>
  parse(read(home.path(file))) as { model_provider?: string; model_providers: Record<string, Record<string, unknown>> };

describe('broker codex install', () => {
  test('makes the file and its folder private, and the uninstall takes both away', async () => {
    using home = codexHome();
    const io = await home.run('install', '--helper', home.helper, '--credential', 'work');
    expect([io.exitCode, io.err]).toEqual([0, '']);
    expect(values(home)).toEqual({
      model_provider: 'broker',
      model_providers: {
        broker: {
          name: 'broker',
          base_url: 'https://api.openai.com/v1',
          auth: { command: home.helper, args: ['work'], timeout_ms: 10_000, refresh_interval_ms: 300_000 },
        },
      },
    });
    expect(statSync(home.path(CONFIG)).mode & 0o777).toBe(0o600);
    expect(statSync(home.path('.codex')).mode & 0o777).toBe(0o700);
    const gone = await home.run('uninstall');
    expect(gone.out).toBe(`${home.path(CONFIG)}: uninstalled (the file is gone again)\n`);
    expect(readdirSync(home.root)).not.toContain('.codex');
    expect(readdirSync(home.path('state/codex'))).toEqual([]);
  });

  test('takes the provider, its address, its name and both times from the command line', async () => {
    using home = codexHome();
    await home.run(
      ...['install', '--helper', home.helper, '--provider', 'corp', '--base-url', 'https://corp.example/v1'],
      ...['--name', 'The "corp"', '--timeout', '8s', '--refresh', '0'],
    );
    expect(values(home)).toEqual({
      model_provider: 'corp',
      model_providers: {
        corp: {
          name: 'The "corp"',
          base_url: 'https://corp.example/v1',
          auth: { command: home.helper, args: [], timeout_ms: 8_000, refresh_interval_ms: 0 },
        },
      },
    });
  });

  test('follows CODEX_HOME, and --config names another file', async () => {
    using home = codexHome();
    await run(home, ['install', '--helper', home.helper], { CODEX_HOME: home.path('moved') });
    expect(values(home, 'moved/config.toml').model_provider).toBe('broker');
    await home.run('install', '--helper', home.helper, '--config', home.path('.codex/fast.config.toml'));
    expect(values(home, '.codex/fast.config.toml').model_provider).toBe('broker');
    await home.run('uninstall', '--config', home.path('.codex/fast.config.toml'));
    expect(values(home, 'moved/config.toml').model_provider).toBe('broker');
  });

  test('keeps mode and link of a file that is there', async () => {
    using home = codexHome();
    const kept = home.write('dotfiles/codex.toml', 'model = "m"\n');
    chmodSync(kept, 0o640);
    mkdirSync(home.path('.codex'));
    symlinkSync(kept, home.path(CONFIG));
    await home.run('install', '--helper', home.helper);
    expect(lstatSync(home.path(CONFIG)).isSymbolicLink()).toBe(true);
    expect(statSync(kept).mode & 0o777).toBe(0o640);
    expect(values(home, 'dotfiles/codex.toml').model_provider).toBe('broker');
    await home.run('uninstall');
    expect(read(kept)).toBe('model = "m"\n');
  });

  test('--dry-run shows the lines and writes nothing; --print gives them to write by hand', async () => {
    using home = codexHome();
    home.write(
      CONFIG,
      'model = "m"\nmodel_provider = "gate"\n[model_providers.gate]\nname = "Gate"\nenv_key = "GATE"\n',
    );
    const before = read(home.path(CONFIG));
    const dry = await home.run('install', '--helper', home.helper, '--force', '--dry-run');
    expect(dry.out).toContain('-env_key = …');
    expect(dry.out).toContain('+[model_providers.gate.auth]');
    expect(dry.out).not.toContain('GATE');
    const printed = await home.run('install', '--helper', home.helper, '--print');
    expect(parse(printed.out)).toHaveProperty('model_providers.broker.auth.command', home.helper);
    expect(read(home.path(CONFIG))).toBe(before);
    expect(readdirSync(home.root)).not.toContain('state');
  });

  test('--json says what was done', async () => {
    using home = codexHome();
    const io = await home.run('install', '--helper', home.helper, '--json');
    expect(JSON.parse(io.out)).toEqual({
      file: home.path(CONFIG),
      changed: true,
      dryRun: false,
      exact: true,
      diff: expect.stringContaining('+model_provider = "broker"'),
      backup: null,
      provider: 'broker',
      selected: 'broker',
      warnings: [],
    });
  });

  test('what --force takes out is kept in a backup and comes back', async () => {
    using home = codexHome();
    const text = 'model_provider = "gate"\n[model_providers.gate]\nname = "Gate"\nexperimental_bearer_token = "t-1"\n';
    home.write(CONFIG, text);
    const io = await home.run('install', '--helper', home.helper, '--force');
    const [copy = ''] = /(?<=kept in ).*/.exec(io.out) ?? [];
    expect(read(copy)).toBe(text);
    expect(values(home).model_providers['gate']).not.toHaveProperty('experimental_bearer_token');
    await home.run('install', '--helper', home.helper, '--refresh', '1m');
    await home.run('uninstall');
    expect(read(home.path(CONFIG))).toBe(text);
  });
});

describe('broker codex install refuses and changes nothing', () => {
  const GATE = 'model_provider = "gate"\n[model_providers.gate]\nname = "Gate"\nbase_url = "https://gate.example/v1"\n';

  test.each([
    ['a key beside a command', `${GATE}env_key = "GATE"\n`, [], 77, 'has env_key'],
    ['a login beside a command', `${GATE}requires_openai_auth = true\n`, [], 77, 'has requires_openai_auth'],
    ['a command of another origin', `${GATE}[model_providers.gate.auth]\ncommand = "x"\n`, [], 77, 'another command'],
    ['another selection', GATE, ['--provider', 'broker'], 77, 'model_provider is already set at'],
    ['another address', GATE, ['--base-url', 'https://other.example/v1'], 77, 'has another base_url'],
    ['a provider of Codex itself', '', ['--provider', 'openai'], 64, 'a provider of Codex'],
    ['no id', '', ['--provider', 'a b'], 64, '--provider is not an id'],
    ['no address', '', ['--base-url', 'gate.example'], 64, '--base-url is not an http(s) address'],
    ['a password in an address', '', ['--base-url', 'https://a:b@gate.example'], 64, 'holds a name or a password'],
    ['no duration', '', ['--refresh', 'often'], 64, '--refresh "often" is not a duration'],
    ['too short a time', '', ['--timeout', '10ms'], 64, '--timeout 10ms is under 1s'],
    ['no name', '', ['--credential', 'A B'], 64, 'not a valid credential name'],
    ['not TOML', 'model = \n', [], 78, 'not valid TOML: {FILE}:1:9'],
    ['a key twice', 'model = "a"\nmodel = "b"\n', [], 78, 'not valid TOML: {FILE}:2:'],
    ['a table twice', '[a]\n[b]\n[a]\n', [], 78, 'not valid TOML: {FILE}:3:'],
    ['names that go too deep', `${'a.'.repeat(3000)}b = 1\n`, [], 78, '{FILE} is nested too deeply'],
    ['not UTF-8', Buffer.from([0x61, 0xff]), [], 78, '{FILE} is not UTF-8'],
    ['a provider that is a number', 'model_providers.broker = 1\n', [], 64, 'is not a table'],
  ])('%s', async (_, content, flags, exitCode, message) => {
    using home = codexHome();
    const file = home.write(CONFIG, '');
    writeFileSync(file, content);
    const io = await home.run('install', '--helper', home.helper, ...flags);
    expect(io.err).toContain(message.replace('{FILE}', file));
    expect(io.err).toMatch(/hint: \S/);
    expect(io.exitCode).toBe(exitCode);
    expect(readFileSync(file)).toEqual(Buffer.from(content));
  });

  test('a credential that Codex would never be given', async () => {
    using home = codexHome();
    const text =
      'default = "a"\n[providers.p]\ntype = "exec"\n[credentials.a]\nprovider = "p"\ncommand = ["true"]\nallow = ["claude-code"]\n';
    const env = { BROKER_CONFIG: home.write('broker.toml', text) };
    const io = await run(home, ['install', '--helper', home.helper], env);
    expect([io.exitCode, io.err]).toEqual([77, expect.stringContaining('has `allow`: Codex would be refused')]);
    expect((await run(home, ['install', '--helper', home.helper, '--force'], env)).exitCode).toBe(0);
  });

  test('a named pipe in the place of the file', async () => {
    using home = codexHome();
    mkdirSync(home.path('.codex'));
    execFileSync('mkfifo', [home.path(CONFIG)]);
    expect((await home.run('install', '--helper', home.helper)).exitCode).toBe(74);
  });
});

describe('broker codex uninstall', () => {
  test('does nothing where nothing is', async () => {
    using home = codexHome();
    expect((await home.run('uninstall')).out).toBe(`${home.path(CONFIG)}: nothing to change\n`);
    home.write(CONFIG, 'model = "m"\n');
    expect((await home.run('uninstall')).out).toBe(`${home.path(CONFIG)}: nothing to change\n`);
  });

  test('without its record takes out our commands alone, and says what is left', async () => {
    using home = codexHome();
    await home.run('install', '--helper', home.helper);
    rmSync(home.path('state/codex'), { recursive: true });
    const io = await home.run('uninstall');
    expect(values(home).model_providers['broker']).not.toHaveProperty('auth');
    expect(io.err).toContain('model_provider = "broker" is left in');
  });
});

describe('broker codex show', () => {
  test('shows which provider is selected, and no foreign words', async () => {
    using home = codexHome();
    home.write(
      CONFIG,
      '[model_providers.a]\nname = "A"\n[model_providers.a.auth]\ncommand = "/opt/a"\nargs = ["--token", "t-123"]\n',
    );
    await home.run('install', '--helper', home.helper, '--credential', 'work', '--no-select');
    const text = (await home.run('show')).out;
    expect(text).toContain('/opt/a (and 2 more words) (not the broker)');
    expect(text).toContain(`command: ${home.helper} work`);
    expect(text).toContain('selected: openai');
    expect(text).not.toContain('t-123');
    const { providers, selected, installed } = JSON.parse((await home.run('show', '--json')).out);
    expect({ selected, installed }).toEqual({ selected: null, installed: 'broker' });
    expect(providers[1]).toEqual({
      id: 'broker',
      selected: false,
      baseUrl: 'https://api.openai.com/v1',
      ours: true,
      command: `${home.helper} work`,
      credential: 'work',
      timeoutMs: 10_000,
      refreshMs: 300_000,
      conflicts: [],
    });
  });

  test('says that there is no file, or a broken one', async () => {
    using home = codexHome();
    expect((await home.run('show')).out).toContain(`${home.path(CONFIG)}: missing\n`);
    home.write(CONFIG, 'x\n');
    expect((await home.run('show')).out).toContain('not valid TOML');
  });
});
