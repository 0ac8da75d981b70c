import { describe, expect, test } from 'vitest';
import { type MachineFacts, otherClients } from '../../../src/clients/look.ts';
import type { CredentialConfig } from '../../../src/config/config.ts';
import { TemporaryHome } from '../claude/home.ts';
import { runDoctor } from '../claude/run-doctor.ts';

const CONFIG = '.codex/config.toml';

function configWith(more: Partial<CredentialConfig> = {}): NonNullable<MachineFacts['config']> {
  const work = { name: 'work', provider: 'p', ...more } as CredentialConfig;
  return { file: '/c/broker.toml', defaultCredential: 'work', credentials: new Map([['work', work]]) };
}

function look(home: TemporaryHome, more: Partial<MachineFacts> = {}) {
  return otherClients({
    env: { PATH: home.path('bin') },
    homeDir: home.root,
    platform: 'linux',
    stateDir: home.path('state'),
    systemRoot: home.path('root'),
    config: configWith(),
    ...more,
  });
}

function withCodex(lines: (helper: string) => string): TemporaryHome {
  const home = new TemporaryHome();
  const helper = home.write('bin/broker-key', '#!/bin/sh\n', 0o755);
  home.write(CONFIG, lines(helper));
  return home;
}

const ours = (helper: string, args = '[]', more = '') => `model_provider = "broker"
[model_providers.broker]
name = "b"
${more}
[model_providers.broker.auth]
command = "${helper}"
args = ${args}
`;

const traps = (home: TemporaryHome, more: Partial<MachineFacts> = {}) =>
  look(home, more).flatMap((client) => client.traps.map(({ id, where }) => ({ id, where })));

describe('Codex', () => {
  test('is not told of where it is not installed', () => {
    using home = new TemporaryHome();
    expect(look(home)).toEqual([]);
    home.write('bin/codex', '#!/bin/sh\n', 0o755);
    expect(look(home)).toMatchObject([{ name: 'Codex', uses: 'its own login, for the provider openai', traps: [] }]);
  });

  test('asks the broker, and nothing is in the way', () => {
    using home = withCodex((helper) => ours(helper, '["work"]'));
    expect(look(home)).toEqual([
      {
        name: 'Codex',
        file: home.path(CONFIG),
        uses: "the broker's credential work, for the provider broker",
        asksBroker: true,
        credential: 'work',
        traps: [],
      },
    ]);
  });

  test.each([
    ['env_key = "K"', 'the variable of env_key'],
    ['experimental_bearer_token = "sk-canary"', 'a fixed token in its configuration'],
    ['requires_openai_auth = true', 'its own login'],
    ['', 'no key'],
    ['[model_providers.broker.auth]\ncommand = "/opt/token"', 'what another command prints'],
  ])('with %j sends %s', (line, uses) => {
    using home = withCodex(() => `model_provider = "broker"\n[model_providers.broker]\nname = "b"\n${line}\n`);
    expect(look(home)).toMatchObject([{ uses: `${uses}, for the provider broker`, asksBroker: false, traps: [] }]);
  });

  test('a file that is not TOML', () => {
    using home = withCodex(() => 'x');
    expect(traps(home)).toEqual([{ id: 'client-config-broken', where: undefined }]);
  });

  test('a key beside the command', () => {
    using home = withCodex((helper) => ours(helper, '[]', 'env_key = "K"'));
    expect(traps(home)).toEqual([{ id: 'client-key-conflict', where: undefined }]);
  });

  test('a helper that is gone, and too short a time', () => {
    using home = withCodex(() => `${ours('/nowhere/broker-key')}timeout_ms = 1000\n`);
    expect(traps(home).map(({ id }) => id)).toEqual(['client-helper-missing', 'client-impatient']);
  });

  test.each([
    ['one that only Claude Code may have', '[]', configWith({ allow: ['claude-code'] })],
    ['one with several values', '[]', configWith({ fields: { a: 'b' } })],
    ['one that is not there', '["other"]', configWith()],
    ['the default one, where none is', '[]', { ...configWith(), defaultCredential: undefined }],
  ])('a credential that it is not given: %s', (_, args, config) => {
    using home = withCodex((helper) => ours(helper, args));
    expect(traps(home, { config })).toEqual([{ id: 'client-key-refused', where: '/c/broker.toml' }]);
    expect(traps(home, { config: undefined })).toEqual([]);
  });

  test('a line that selects a profile, with which it does not start', () => {
    using home = withCodex((helper) => `profile = "fast"\n${ours(helper)}[profiles.fast]\nmodel_provider = "openai"\n`);
    expect(look(home)).toMatchObject([{ uses: 'nothing: it refuses its configuration', asksBroker: false }]);
    const [trap] = look(home).flatMap((client) => client.traps);
    expect(trap).toMatchObject({ id: 'client-config-broken', detail: expect.stringContaining('NAME.config.toml') });
    expect(trap?.detail).toContain(`${home.path(CONFIG)}:1`);
  });

  test('each profile that has another key is told of, laid over the file below it', () => {
    using home = withCodex((helper) => ours(helper, '["work"]'));
    home.write('.codex/same.config.toml', 'model = "m-2"\n');
    const login = home.write('.codex/login.config.toml', 'model_provider = "openai"\n');
    const args = home.write('.codex/args.config.toml', '[model_providers.broker.auth]\nargs = ["gone"]\n');
    expect(look(home)).toMatchObject([
      { name: 'Codex', credential: 'work' },
      { name: 'Codex --profile args', file: args, credential: 'gone', traps: [{ id: 'client-key-refused' }] },
      { name: 'Codex --profile login', file: login, uses: 'its own login, for the provider openai', traps: [] },
    ]);
    home.write('.codex/login.config.toml', 'x');
    expect(look(home).at(-1)).toMatchObject({ file: login, traps: [{ id: 'client-config-broken' }] });
  });

  test('what an administrator says of a provider counts key by key', () => {
    using home = withCodex((helper) => ours(helper, '["work"]'));
    home.write('root/etc/codex/managed_config.toml', '[model_providers.broker.auth]\nargs = ["gone"]\n');
    expect(look(home)).toMatchObject([{ credential: 'gone', traps: [{ id: 'client-key-refused' }] }]);
  });

  test('another provider is selected, by the person or by an administrator', () => {
    using home = withCodex((helper) => ours(helper).replace('model_provider = "broker"', 'model_provider = "openai"'));
    expect(traps(home)).toEqual([{ id: 'client-not-selected', where: undefined }]);
    home.write(CONFIG, ours(home.path('bin/broker-key')));
    const managed = home.write('root/etc/codex/managed_config.toml', 'model_provider = "openai"\n');
    expect(traps(home)).toEqual([{ id: 'client-managed', where: managed }]);
  });
});

describe('Claude Desktop', () => {
  const folder = 'Library/Application Support/Claude-3p/configLibrary';

  test('asks the broker through the script, unless a profile is there', () => {
    using home = new TemporaryHome();
    const script = home.write('state/bin/broker-key-desktop', "#!/bin/sh\nexec '/b/broker-key' work\n", 0o755);
    home.write(`${folder}/_meta.json`, '{"appliedId":"a1"}');
    home.write(
      `${folder}/a1.json`,
      JSON.stringify({ inferenceProvider: 'gateway', inferenceCredentialHelper: script }),
    );
    expect(look(home)).toEqual([]);
    expect(look(home, { platform: 'darwin' })).toMatchObject([
      { name: 'Claude Desktop', uses: "the broker's credential work, for gateway", credential: 'work', traps: [] },
    ]);
    const user = home.root.split('/').at(-1);
    const profile = home.write(`root/Library/Managed Preferences/${user}/com.anthropic.claudefordesktop.plist`, '');
    expect(traps(home, { platform: 'darwin' })).toEqual([{ id: 'client-managed', where: profile }]);
  });
});

describe('broker doctor', () => {
  const CREDENTIALS =
    'default = "work"\n[providers.p]\ntype = "exec"\n[credentials.work]\nprovider = "p"\ncommand = ["true"]\nallow = ["claude-code"]\n';

  test('says which key Codex will use, and what stands in its way', async () => {
    using home = withCodex((helper) => ours(helper));
    home.write('.config/broker/config.toml', CREDENTIALS);
    const { out } = await runDoctor(home, ['--no-client']);
    expect(out).toContain("    Codex           the broker's default credential, for the provider broker\n");
    expect(out).toContain('[credentials.work] has `allow`, which lets Claude Code alone have it [client-key-refused]');
    const { otherClients, findings } = JSON.parse((await runDoctor(home, ['--no-client', '--json'])).out);
    expect(otherClients).toEqual([
      {
        name: 'Codex',
        file: home.path(CONFIG),
        uses: "the broker's default credential, for the provider broker",
        asksBroker: true,
        credential: null,
        inTheWay: ['client-key-refused'],
      },
    ]);
    const where = home.path('.config/broker/config.toml');
    expect(findings).toContainEqual(expect.objectContaining({ id: 'client-key-refused', severity: 'error', where }));
  });

  test('says nothing of clients that are not installed', async () => {
    using home = new TemporaryHome();
    expect((await runDoctor(home, ['--no-client'])).out).not.toContain('Other clients');
  });
});
