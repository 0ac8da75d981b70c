import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { ACCOUNT, ORGANIZATION, RULE } from '../fakes/token-exchange.ts';
import { TemporaryHome } from '../unit/claude/home.ts';
import { captureIo } from '../unit/claude/test-io.ts';

const IDENTITY = `default = "identity"
[providers.tool]
type = "exec"
command = ["issue-identity"]
[credentials.identity]
provider = "tool"
`;
const SINK = '[credentials.identity.sink]\nfile = "{runtime}/identity-token"\n';
const PROVIDER = `[providers.claude]
type = "anthropic-wif"
federation_rule_id = "${RULE}"
organization_id = "${ORGANIZATION}"
service_account_id = "${ACCOUNT}"
workspace_id = "wrkspc_01Test"
identity = { credential = "identity" }
`;
const IDS = ['--rule', RULE, '--organization', ORGANIZATION, '--service-account', ACCOUNT];

function homeWith(config: string): TemporaryHome {
  const home = new TemporaryHome();
  home.write('.config/broker/config.toml', config, 0o600);
  chmodSync(home.path('.config/broker'), 0o700);
  mkdirSync(home.path('project'), { recursive: true });
  return home;
}

async function claude(home: TemporaryHome, ...words: string[]) {
  const io = captureIo(home, { XDG_RUNTIME_DIR: '/run/user/4711' });
  await main(['claude', ...words, '--project', home.path('project')], io);
  return io;
}

const settingsOf = (home: TemporaryHome) => JSON.parse(readFileSync(home.path('.claude/settings.json'), 'utf8'));

describe('broker claude install --wif', () => {
  test('writes the variables of workload identity, changes nothing else, and takes them out again', async () => {
    using home = homeWith(IDENTITY + SINK);
    const before = '{\n  // mine\n  "env": { "A": "1" }\n}\n';
    home.write('.claude/settings.json', before.replace('  // mine\n', ''), 0o600);
    expect((await claude(home, 'install', '--wif', ...IDS)).exitCode).toBe(0);
    expect(settingsOf(home)).toEqual({
      env: {
        A: '1',
        ANTHROPIC_FEDERATION_RULE_ID: RULE,
        ANTHROPIC_ORGANIZATION_ID: ORGANIZATION,
        ANTHROPIC_SERVICE_ACCOUNT_ID: ACCOUNT,
        ANTHROPIC_IDENTITY_TOKEN_FILE: '/run/user/4711/broker/identity-token',
      },
    });
    expect((await claude(home, 'uninstall', '--for', 'wif')).exitCode).toBe(0);
    expect(readFileSync(home.path('.claude/settings.json'), 'utf8')).toBe(before.replace('  // mine\n', ''));
  });

  test('takes what no flag says from the only provider of that type', async () => {
    using home = homeWith(IDENTITY + SINK + PROVIDER);
    expect((await claude(home, 'install', '--wif', '--workspace', 'default')).exitCode).toBe(0);
    expect(settingsOf(home).env).toMatchObject({
      ANTHROPIC_FEDERATION_RULE_ID: RULE,
      ANTHROPIC_WORKSPACE_ID: 'default',
    });
  });

  test('says that a helper in the same file wins', async () => {
    using home = homeWith(IDENTITY + SINK);
    home.write('.claude/settings.json', '{"apiKeyHelper": "mine"}', 0o600);
    const io = await claude(home, 'install', '--wif', ...IDS);
    expect(io.exitCode).toBe(0);
    expect(io.err).toMatch(/warning: .*has an apiKeyHelper, which wins over workload identity/);
  });

  test.each([
    [IDENTITY, IDS, 'no credential is kept in a file', 'add [credentials.NAME.sink]'],
    [IDENTITY, ['--credential', 'identity', ...IDS], '"identity" is not kept in a file', '[credentials.identity.sink]'],
    [IDENTITY + SINK, [], 'needs --rule, --organization, --service-account', 'Claude Console'],
    [IDENTITY + SINK, ['--rule', 'rule', ...IDS.slice(2)], '--rule: a federation rule is written fdrl_', 'copy it'],
    [IDENTITY + SINK, [...IDS, '--ttl', '5m'], '--wif does not go with --ttl', 'leave out --ttl'],
    [IDENTITY + SINK, [...IDS, '--for', 'otel'], '--wif does not go with --for', 'leave out --for'],
  ])('%#: what is missing or wrong is said, and nothing is written', async (config, flags, wrong, remedy) => {
    using home = homeWith(config);
    const io = await claude(home, 'install', '--wif', ...flags);
    expect(io.exitCode).toBe(64);
    expect(io.err).toContain(wrong);
    expect(io.err).toContain(remedy);
    expect(() => settingsOf(home)).toThrow(/ENOENT/);
  });
});
