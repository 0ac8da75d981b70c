import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe } from 'vitest';
import { prove } from '../../src/claude/doctor/prove.ts';
import { helperPath } from '../../src/platform/native.ts';
import { type ClientBench, FIRST } from '../fakes/client-bench.ts';
import { startForwardProxy } from '../fakes/forward-proxy.ts';
import type { Content, Conversation } from '../fakes/messages-api.ts';
import { realClock } from '../fakes/real-clock.ts';
import { BrokerTerminal, hasTmux } from '../fakes/tmux.ts';
import { canWrap, hasProgram, wrapped } from '../fakes/wrappers.ts';
import { openBench } from './open-bench.ts';
import { clientCommand, clientPlace, runOnce } from './real-client.ts';

const ALLOW = { allow: ['claude-code'] };
const WITH_TOOLS = ['--allowedTools', 'Bash', 'Agent', 'Task'];

type Input = Readonly<Record<string, unknown>>;

/** Tool calls that the model makes, one answer after another, then a last word. */
function calls(
  ...answers: (readonly [name: string, input: Input])[][]
): (conversation: Conversation) => readonly Content[] {
  let next = 0;
  return () => {
    const answer = answers[next];
    next += 1;
    if (answer === undefined) return [{ type: 'text', text: 'done' }];
    return answer.map(([name, input], index) => ({ type: 'tool_use', id: `toolu_${next}_${index}`, name, input }));
  };
}

const bash = (command: string, more: Input = {}) => ['Bash', { command, description: 'a command', ...more }] as const;

/** Of each caller: how it was judged, by the credential that it alone asks for. */
async function judged(bench: ClientBench): Promise<Record<string, string>> {
  const events = (await bench.events()).filter(({ kind }) => kind === 'caller-refused' || kind === 'served');
  return Object.fromEntries(
    events.map(({ kind, credential, detail }) => [credential, kind === 'served' ? kind : `${detail['clause']}`]),
  );
}

/** What the client's sandbox needs, and namespaces that may be made here. */
function canSandbox(): boolean {
  const tried = spawnSync('bwrap', ['--ro-bind', '/', '/', '--unshare-user', '--unshare-pid', '--unshare-net', 'true']);
  return tried.status === 0 && hasProgram('socat');
}

const sessionFor = (callers: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.keys(callers).map((name) => [name, 'session']));

describe.concurrent('allow = ["claude-code"] serves the real client', (it) => {
  it('with the line that `broker claude install` wrote', async ({ expect, onTestFinished }) => {
    const bench = await openBench(onTestFinished, ALLOW);
    const settings = bench.write('settings.json', '{}\n');
    const words = ['--helper', helperPath() ?? '', '--settings', settings];
    expect(await bench.home.broker('claude', 'install', ...words)).toMatchObject({ code: 0, stderr: '' });
    const { apiKeyHelper } = JSON.parse(readFileSync(settings, 'utf8'));
    expect(await runOnce(bench, { helper: apiKeyHelper })).toMatchObject({ ok: true });
    expect(await runOnce(bench, { helper: apiKeyHelper, settings: 'bare' })).toMatchObject({ ok: true });
    expect(bench.api.calls.map(({ apiKey }) => apiKey)).toEqual(expect.arrayContaining([FIRST]));
    expect(await bench.count('served', 'caller-refused')).toEqual({ served: 2, 'caller-refused': 0 });
  });

  for (const name of ['bash', 'node', 'timeout']) {
    it.skipIf(!canWrap(name))(`through a recorded wrapper: ${name}`, async ({ expect, onTestFinished }) => {
      const bench = await openBench(onTestFinished, ALLOW);
      const helper = wrapped(bench, name);
      bench.enrol(helper);
      expect(await runOnce(bench, { helper })).toMatchObject({ ok: true });
    });
  }

  it('with the headers of telemetry and of an MCP server, and not an MCP server itself', async ({
    expect,
    onTestFinished,
  }) => {
    const callers = ['otel', 'headers', 'unrecorded', 'server', 'child'];
    const bench = await openBench(onTestFinished, { ...ALLOW, callers });
    const line = (name: string) => `${bench.helper} --format headers ${name}`;
    bench.enrol(bench.helper, line('otel'), line('headers'));
    const servers = {
      one: { type: 'http', url: `${bench.api.url}/mcp`, headersHelper: line('headers') },
      other: { type: 'http', url: `${bench.api.url}/mcp`, headersHelper: line('unrecorded') },
      server: { command: helperPath(), args: ['server'] },
      child: { command: '/bin/sh', args: ['-c', `${bench.helper} child; exit $?`] },
    };
    const mcp = bench.write('mcp.json', JSON.stringify({ mcpServers: servers }));
    const env = {
      CLAUDE_CODE_ENABLE_TELEMETRY: '1',
      OTEL_METRICS_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_EXPORTER_OTLP_ENDPOINT: bench.api.url,
    };
    const more = { otelHeadersHelper: line('otel') };
    expect(await runOnce(bench, { more, env, args: ['--mcp-config', mcp] })).toMatchObject({ ok: true });
    expect(await judged(bench)).toEqual({
      anthropic: 'served',
      otel: 'served',
      headers: 'served',
      unrecorded: 'line',
      server: 'line',
      child: 'line',
    });
  });

  it('with what it says to a proxy', async ({ expect, onTestFinished }) => {
    const bench = await openBench(onTestFinished, { ...ALLOW, callers: ['proxy'] });
    const line = `${bench.helper} --format proxy proxy`;
    bench.enrol(bench.helper, line);
    const proxy = await startForwardProxy({ 'api.test': '127.0.0.1' }, onTestFinished);
    const env = {
      CLAUDE_CODE_ENABLE_PROXY_AUTH_HELPER: '1',
      HTTP_PROXY: proxy.address,
      HTTPS_PROXY: proxy.address,
      ANTHROPIC_BASE_URL: bench.api.url.replace('127.0.0.1', 'api.test'),
    };
    expect(await runOnce(bench, { more: { proxyAuthHelper: line }, env })).toMatchObject({ ok: true });
    expect(proxy.asked).not.toEqual([]);
    expect(await judged(bench)).toEqual({ anthropic: 'served', proxy: 'served' });
  });

  it('in the background, only with a word of its own', async ({ expect, onTestFinished }) => {
    for (const [allow, expected] of [
      [['claude-code'], 'background'],
      [['claude-code', 'claude-code-background'], 'served'],
    ] as const) {
      const bench = await openBench(onTestFinished, { allow });
      bench.enrol(bench.helper);
      const [client = '', ...words] = clientCommand(bench, {}, ['--bg', 'ping']);
      const { cwd, env } = clientPlace(bench);
      const projects = { [cwd]: { hasTrustDialogAccepted: true, hasCompletedProjectOnboarding: true } };
      bench.write('claude/.claude.json', JSON.stringify({ hasCompletedOnboarding: true, theme: 'dark', projects }));
      const run = promisify(execFile);
      await run(client, words, { cwd, env });
      try {
        await expect.poll(async () => (await judged(bench))['anthropic']).toBe(expected);
      } finally {
        await run(client, ['daemon', 'stop', '--any'], { cwd, env });
      }
    }
  });

  it('as `broker doctor --guard` shows', async ({ expect, onTestFinished }) => {
    const bench = await openBench(onTestFinished);
    const [client = ''] = clientCommand(bench, {}, []);
    const proof = await prove({
      client,
      helper: helperPath() ?? '',
      uid: process.getuid?.() ?? 0,
      clock: realClock,
      searched: process.env['PATH'],
      clients: [],
    });
    expect(proof).toMatchObject({ helper: { allowed: true }, hook: { allowed: false, clause: 'session' } });
  });
});

describe.concurrent('allow = ["claude-code"] refuses what the real client runs for its agent', (it) => {
  it('Bash in every form, and its children', async ({ expect, onTestFinished }) => {
    const socketAsStdin = `use Socket; socketpair(A, B, AF_UNIX, SOCK_STREAM, 0); open STDIN, "<&A"; exec @ARGV`;
    const forms: Record<string, (key: string) => string> = {
      plain: (key) => key,
      background: (key) => `${key} & wait`,
      nohup: (key) => `nohup ${key}`,
      unset: (key) => `env -u CLAUDECODE -u CLAUDE_CODE_CHILD_SESSION ${key}`,
      setsid: (key) => `setsid -w ${key}`,
      execed: (key) => `exec ${key}`,
      line: (key) => `/bin/sh -c ${JSON.stringify(key)}`,
      substituted: (key) => `echo "$(${key})" | cat`,
      socket: (key) => `perl -e '${socketAsStdin}' ${key}`,
      group: (key) => `perl -e 'setpgrp(0, getpgrp(getppid())); exec @ARGV' ${key}`,
      ...(hasProgram('script') ? { script: (key: string) => `script -qec ${JSON.stringify(key)} /dev/null` } : {}),
    };
    const callers = [...Object.keys(forms), 'orphan', 'first', 'second', 'shell'];
    const bench = await openBench(onTestFinished, { ...ALLOW, callers });
    const key = (name: string) => `${bench.helper} ${name}`;
    bench.enrol(bench.helper, ...callers.map(key));
    bench.api.reply = calls(
      ...Object.entries(forms).map(([name, form]) => [bash(form(key(name)))]),
      [bash(`(setsid ${key('orphan')} > orphan 2>&1 &); until test -s orphan; do sleep 0.05; done`)],
      [bash(key('first')), bash(key('second'))],
      [bash(`${key('shell')} > shell 2>&1`, { run_in_background: true })],
      [bash('until test -s shell; do sleep 0.05; done')],
    );
    expect(await runOnce(bench, { args: WITH_TOOLS })).toMatchObject({ ok: true, words: 'done\n' });
    const { anthropic, orphan, ...rest } = await judged(bench);
    expect(anthropic).toBe('served');
    expect(['client', 'session']).toContain(orphan);
    expect(rest).toEqual(sessionFor({ ...forms, first: 0, second: 0, shell: 0 }));
    // What the agent was shown holds no key.
    expect(JSON.stringify(bench.api.calls.map(({ last }) => last))).not.toContain(FIRST);
  });

  it('a subagent’s Bash', async ({ expect, onTestFinished }) => {
    const bench = await openBench(onTestFinished, { ...ALLOW, callers: ['inner'] });
    bench.enrol(bench.helper, `${bench.helper} inner`);
    bench.api.reply = calls(
      [['Agent', { description: 'a task', prompt: 'run it', subagent_type: 'general-purpose' }]],
      [bash(`${bench.helper} inner`)],
    );
    expect(await runOnce(bench, { args: WITH_TOOLS })).toMatchObject({ ok: true });
    expect(await judged(bench)).toEqual({ anthropic: 'served', inner: 'session' });
  });

  it('hooks, also with the very line', async ({ expect, onTestFinished }) => {
    const events = ['SessionStart', 'UserPromptSubmit', 'PreToolUse', 'PostToolUse', 'Stop', 'SessionEnd'];
    const bench = await openBench(onTestFinished, { ...ALLOW, callers: events });
    bench.enrol(bench.helper, ...events.map((name) => `${bench.helper} ${name}`));
    bench.api.reply = calls([bash('true')]);
    const hook = (name: string) => [
      { matcher: '', hooks: [{ type: 'command', command: `${bench.helper} ${name} 2>/dev/null; exit 0` }] },
      { matcher: '', hooks: [{ type: 'command', command: `${bench.helper} ${name}` }] },
    ];
    const hooks = Object.fromEntries(events.map((name) => [name, hook(name)]));
    await runOnce(bench, { more: { hooks: { ...hooks, PreToolUse: [hook('PreToolUse')[0]] } }, args: WITH_TOOLS });
    const { anthropic, ...rest } = await judged(bench);
    expect(anthropic).toBe('served');
    expect(rest).toEqual(sessionFor(Object.fromEntries(events.map((name) => [name, 0]))));
  });

  it('a client that the agent has started', async ({ expect, onTestFinished }) => {
    const bench = await openBench(onTestFinished, ALLOW);
    bench.enrol(bench.helper);
    const [client = ''] = clientCommand(bench, {}, []);
    bench.api.reply = calls(
      [bash(`${client} -p inner < /dev/null`)],
      [bash(`env -u CLAUDECODE setsid -w ${client} -p inner < /dev/null`)],
    );
    expect(await runOnce(bench, { args: WITH_TOOLS })).toMatchObject({ ok: true });
    const refusals = (await bench.events('caller-refused')).map(({ detail }) => detail['clause']);
    expect(new Set(refusals)).toEqual(new Set(['nested']));
    expect(await bench.count('served')).toEqual({ served: 1 });
  });

  it('a line that was edited by hand', async ({ expect, onTestFinished }) => {
    const bench = await openBench(onTestFinished, ALLOW);
    bench.enrol(bench.helper);
    const turn = await runOnce(bench, { helper: `${bench.helper} anthropic` });
    expect(turn.ok).toBe(false);
    expect(turn.words).toContain('write the line again: broker claude install');
  });

  it.skipIf(!canSandbox())(
    'Bash in its own sandbox, also where that lets every socket be reached',
    async ({ expect, onTestFinished }) => {
      const bench = await openBench(onTestFinished, { ...ALLOW, callers: ['sandboxed', 'open'] });
      for (const [name, network] of [
        ['sandboxed', {}],
        ['open', { allowAllUnixSockets: true }],
      ] as const) {
        bench.enrol(bench.helper, `${bench.helper} ${name}`);
        bench.api.reply = calls([bash(`${bench.helper} ${name}`)]);
        const sandbox = { enabled: true, failIfUnavailable: true, allowUnsandboxedCommands: false, network };
        const more = { sandbox: { ...sandbox, enableWeakerNestedSandbox: true } };
        expect(await runOnce(bench, { more, args: WITH_TOOLS })).toMatchObject({ ok: true });
      }
      // Without that setting it cannot even connect.
      expect(await judged(bench)).toEqual({ anthropic: 'served', open: 'session' });
      const [refused] = await bench.events('caller-refused');
      expect(refused?.detail['taken']).toBe("a sandboxed command of the agent's");
    },
  );

  it.skipIf(!hasTmux())('in a terminal: the status line, `!` and a shell', async ({ expect, onTestFinished }) => {
    const bench = await openBench(onTestFinished, { ...ALLOW, callers: ['status', 'bang', 'shell'] });
    bench.enrol(...['', ' status', ' bang', ' shell'].map((name) => `${bench.helper}${name}`));
    const more = { statusLine: { type: 'command', command: `${bench.helper} status` }, theme: 'dark' };
    const command = clientCommand(bench, { more }, []);
    const { cwd, configDir, env } = clientPlace(bench);
    const projects = { [cwd]: { hasTrustDialogAccepted: true, hasCompletedProjectOnboarding: true } };
    bench.write('claude/.claude.json', JSON.stringify({ hasCompletedOnboarding: true, theme: 'dark', projects }));
    expect(existsSync(join(configDir, '.claude.json'))).toBe(true);
    const terminal = new BrokerTerminal();
    onTestFinished(() => terminal.close());
    await terminal.runProgram(command, env, cwd);
    await terminal.until(/❯|>/);
    await expect.poll(async () => (await judged(bench))['anthropic']).toBe('served');
    await terminal.type('!');
    await terminal.until('for shell mode');
    await terminal.type(`${bench.helper} bang`);
    await terminal.until(/broker-key' bang/);
    await terminal.press('Enter');
    await expect.poll(async () => (await judged(bench))['bang']).toBe('session');
    await expect.poll(async () => (await judged(bench))['status']).toBe('session');
    await bench.home.shell(`${bench.helper} shell`);
    expect(await judged(bench)).toMatchObject({ shell: 'client' });
  });
});

/** docs/allow.md, "Known open". */
describe('known open: serves wrongly', (it) => {
  it('a client that the agent starts by a double fork, with its variables unset', async ({
    expect,
    onTestFinished,
  }) => {
    const bench = await openBench(onTestFinished, ALLOW);
    bench.enrol(bench.helper);
    const [client = ''] = clientCommand(bench, {}, []);
    const start = `env -u CLAUDECODE -u CLAUDE_CODE_CHILD_SESSION ${client} -p inner < /dev/null > inner 2>&1`;
    bench.api.reply = calls([
      bash(`(setsid sh -c 'sleep 0.3; ${start}' > /dev/null 2>&1 &); until test -s inner; do sleep 0.05; done`),
    ]);
    expect(await runOnce(bench, { args: WITH_TOOLS })).toMatchObject({ ok: true });
    expect(await bench.count('served')).toEqual({ served: 2 });
  });
});
