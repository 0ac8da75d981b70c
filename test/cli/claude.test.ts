import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { TemporaryHome } from '../unit/claude/home.ts';
import { captureIo } from '../unit/claude/test-io.ts';

async function claude(home: TemporaryHome, ...words: string[]) {
  mkdirSync(home.path('project'), { recursive: true });
  const io = captureIo(home);
  await main(['claude', ...words, '--project', home.path('project')], io);
  return io;
}

function homeWithHelper(name = 'bin/broker-key'): TemporaryHome & { helper: string } {
  const home = new TemporaryHome();
  return Object.assign(home, { helper: home.write(name, 'printf "%s\\n" "$@"\n', 0o755) });
}

const read = (file: string) => JSON.parse(readFileSync(file, 'utf8'));

describe('broker claude install', () => {
  test('writes a command that /bin/sh runs as it was meant', async () => {
    using home = homeWithHelper("it's here/broker-key");
    const io = await claude(home, 'install', '--helper', home.helper, '--credential', 'anthropic', '--ttl', '2m');
    expect(io.exitCode).toBe(0);
    const settings = read(home.path('.claude/settings.json'));
    expect(execFileSync('/bin/sh', ['-c', settings.apiKeyHelper], { encoding: 'utf8' })).toBe('anthropic\n');
    expect(settings.env).toEqual({ CLAUDE_CODE_API_KEY_HELPER_TTL_MS: '120000' });
  });

  test.each([
    [['--scope', 'project-local'], 'project/.claude/settings.local.json'],
    [['--settings', '{HOME}/bare.json'], 'bare.json'],
    [['--scope', 'file', '--settings', '{HOME}/deep/er/bare.json'], 'deep/er/bare.json'],
  ])('%j writes %s', async (flags, file) => {
    using home = homeWithHelper();
    await claude(home, 'install', '--helper', home.helper, ...flags.map((flag) => flag.replace('{HOME}', home.root)));
    expect(read(home.path(file)).apiKeyHelper).toBe(home.helper);
    expect(statSync(home.path(file)).mode & 0o777).toBe(0o600);
  });

  test('follows CLAUDE_CONFIG_DIR', async () => {
    using home = homeWithHelper();
    const io = captureIo(home, { CLAUDE_CONFIG_DIR: home.path('moved') });
    await main(['claude', 'install', '--helper', home.helper], io);
    expect(read(home.path('moved/settings.json')).apiKeyHelper).toBe(home.helper);
  });

  test.each([
    ['otel', { otelHeadersHelper: '{HELPER} --format headers work' }],
    ['aws', { awsCredentialExport: '{HELPER} --format aws work' }],
    [
      'proxy',
      {
        proxyAuthHelper: '{HELPER} --format proxy work',
        env: { CLAUDE_CODE_ENABLE_PROXY_AUTH_HELPER: '1' },
      },
    ],
  ])('--for %s', async (target, expected) => {
    using home = homeWithHelper();
    const file = home.path('.claude/settings.json');
    await claude(home, 'install', '--helper', home.helper, '--credential', 'work', '--for', target);
    const wanted = JSON.parse(JSON.stringify(expected).replaceAll('{HELPER}', home.helper));
    expect(read(file)).toEqual(wanted);
    await claude(home, 'uninstall', '--for', target);
    expect(() => read(file)).toThrow('ENOENT');
  });

  test('warns of a credential that the configuration does not have', async () => {
    using home = homeWithHelper();
    const text = '[providers.p]\ntype = "exec"\n[credentials.work]\nprovider = "p"\ncommand = ["true"]\n';
    const config = home.write('config.toml', text);
    const install = async (...flags: string[]) => {
      const io = captureIo(home, { BROKER_CONFIG: config });
      await main(['claude', 'install', '--helper', home.helper, ...flags], io);
      return io.err;
    };
    expect(await install('--credential', 'work')).toBe('');
    expect(await install('--credential', 'wrk')).toBe(`warning: ${config} has no credential "wrk"; it has: work\n`);
    expect(await install()).toBe(`warning: ${config} has no default: name one with --credential: work\n`);
  });

  test('--for mcp:NAME puts the helper beside the server, and only where there is one', async () => {
    using home = homeWithHelper();
    const text = '{"numStartups":1,"mcpServers":{"search":{"type":"http","url":"https://x"}}}';
    const file = home.write('.claude.json', text);
    const missing = await claude(home, 'install', '--helper', home.helper, '--for', 'mcp:nothing');
    expect([missing.exitCode, missing.err]).toEqual([64, expect.stringContaining('no MCP server "nothing"')]);
    await claude(home, 'install', '--helper', home.helper, '--for', 'mcp:search');
    expect(read(file).mcpServers.search.headersHelper).toBe(`${home.helper} --format headers`);
    await claude(home, 'uninstall', '--for', 'mcp:search');
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  test('--deny-rules adds rules, a later install keeps them, and uninstall takes only them', async () => {
    using home = homeWithHelper();
    const text = '{"permissions":{"deny":["Bash(broker get:*)","Read(.env)"]}}';
    const file = home.write('.claude/settings.json', text);
    await claude(home, 'install', '--helper', home.helper, '--deny-rules');
    await claude(home, 'install', '--helper', home.helper, '--ttl', '1m');
    const state = home.path('state').slice(1);
    const added = ['Bash(broker-key:*)', `Bash(${home.helper}:*)`, `Read(//${state}/**)`];
    expect(read(file).permissions.deny).toEqual([...added, 'Bash(broker get:*)', 'Read(.env)']);
    await claude(home, 'uninstall');
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  test('--managed prints strict JSON and writes nothing', async () => {
    using home = homeWithHelper();
    const io = await claude(home, 'install', '--managed', '--json', '--helper', '/opt/broker-key', '--deny-rules');
    const { apiKeyHelper, permissions } = JSON.parse(io.out);
    expect(apiKeyHelper).toBe('/opt/broker-key');
    // For every user's home, and not for that of the user who runs the command.
    expect(permissions.deny).toContain('Read(~/.local/state/broker/**)');
    expect(() => statSync(home.path('.claude'))).toThrow('ENOENT');
  });

  test('warns of a file that the client refuses', async () => {
    using home = homeWithHelper();
    const file = home.write('.claude/settings.json', '{\n  // mine\n  "model": "opus"\n}');
    const io = await claude(home, 'install', '--helper', home.helper);
    expect(io.err).toContain(`${file}:3:3 has a comment or a trailing comma`);
  });

  test.each([
    [['--ttl', '0'], 64, 'under a second'],
    [['--ttl', 'soon'], 64, 'is not a duration'],
    [['--credential', 'a b'], 64, 'not a valid credential name'],
    [['--credential', '$(x)'], 64, 'not a valid credential name'],
    [['--for', 'ftp'], 64, 'no target "ftp"'],
    [['--for', 'aws', '--ttl', '5m'], 64, 'keeps no interval'],
    [['--scope', 'file'], 64, 'needs a file'],
    [['--helper', '/nowhere/broker-key'], 64, 'not an executable file'],
  ])('refuses %j', async (flags, code, words) => {
    using home = homeWithHelper();
    const io = await claude(home, 'install', '--helper', home.helper, ...flags);
    expect([io.exitCode, io.err]).toEqual([code, expect.stringContaining(words)]);
    expect(() => statSync(home.path('.claude'))).toThrow('ENOENT');
  });

  test('refuses a foreign helper with 77, and a broken file with 78, showing neither', async () => {
    using home = homeWithHelper();
    const file = home.write('.claude/settings.json', '{"apiKeyHelper":"echo sk-ant-api03-SECRET"}');
    const foreign = await claude(home, 'install', '--helper', home.helper);
    expect([foreign.exitCode, foreign.err]).toEqual([77, expect.stringContaining(`${file}:1`)]);
    const shown = await claude(home, 'show');
    const forced = await claude(home, 'install', '--helper', home.helper, '--force', '--json');
    expect(foreign.err + shown.out + forced.out).not.toContain('SECRET');
    expect(readFileSync(JSON.parse(forced.out).backup.copy, 'utf8')).toContain('SECRET');
    home.write('.claude/settings.json', '{\n"a" "SECRET"}');
    const broken = await claude(home, 'install', '--helper', home.helper);
    expect([broken.exitCode, broken.err]).toEqual([78, expect.stringContaining(`${file}:2:`)]);
    expect(broken.err).not.toContain('SECRET');
  });
});

test('broker claude show marks the file that counts', async () => {
  using home = homeWithHelper();
  await claude(home, 'install', '--helper', home.helper, '--credential', 'work');
  const { files } = JSON.parse((await claude(home, 'show', '--json')).out);
  const counting = files.filter(({ counts }: { counts: boolean }) => counts);
  expect(counting).toEqual([expect.objectContaining({ scope: 'user', ours: true, installed: ['apiKeyHelper'] })]);
});

test('a dry run shows what changes and hides what is not ours', async () => {
  using home = homeWithHelper();
  home.write('.claude/settings.json', '{"env":{"ANTHROPIC_API_KEY":"sk-ant-api03-SECRET"}}');
  const io = await claude(home, 'install', '--helper', home.helper, '--ttl', '1m', '--dry-run');
  expect(io.out).toContain(
    `+{"apiKeyHelper":"${home.helper}","env":{"CLAUDE_CODE_API_KEY_HELPER_TTL_MS":"60000","ANTHROPIC_API_KEY":"…"}}`,
  );
  expect(io.out).not.toContain('SECRET');
});
