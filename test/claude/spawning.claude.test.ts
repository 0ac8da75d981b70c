import { describe } from 'vitest';
import { type ClientBench, FIRST } from '../fakes/client-bench.ts';
import type { Content, Conversation } from '../fakes/messages-api.ts';
import { canWrap, WRAPPER_NAMES, wrapped } from '../fakes/wrappers.ts';
import { openBench } from './open-bench.ts';
import { runOnce } from './real-client.ts';
import { revokedWithSuccessor } from './scenarios.ts';

/** Shell commands that the model asks for, one after another, then a last word. */
function asksFor(...commands: string[]): (conversation: Conversation) => readonly Content[] {
  let next = 0;
  return () => {
    const command = commands[next];
    next += 1;
    if (command === undefined) return [{ type: 'text', text: 'done' }];
    return [{ type: 'tool_use', id: `toolu_${next}`, name: 'Bash', input: { command, description: 'a command' } }];
  };
}

const isJudged = async (bench: ClientBench) =>
  (await bench.events()).some(({ kind, detail }) => {
    return kind === 'strike' || kind === 'rejected' || detail['reason'] === 'rejection';
  });

describe.concurrent('what the real client runs', (it) => {
  for (const name of WRAPPER_NAMES) {
    it.skipIf(!canWrap(name))(`judges its calls through a wrapper: ${name}`, async ({ expect, onTestFinished }) => {
      const bench = await openBench(onTestFinished);
      const turn = await revokedWithSuccessor(bench, { helper: wrapped(bench, name) });
      expect(turn).toMatchObject({ ok: true, refused: 1 });
      expect(await bench.count('served', 'rejected')).toEqual({ served: 2, rejected: 1 });
    });
  }

  it('does not judge the agent’s shell commands', async ({ expect, onTestFinished }) => {
    const bench = await openBench(onTestFinished);
    bench.api.reply = asksFor(bench.helper, `${bench.helper}; ${bench.helper}`, `cat /dev/null | ${bench.helper}`);
    expect(await runOnce(bench, { args: ['--allowedTools', 'Bash'] })).toMatchObject({ ok: true, words: 'done\n' });
    expect(await bench.count('served')).toEqual({ served: 5 });
    expect(await isJudged(bench)).toBe(false);
  });

  it('does not judge hooks, MCP servers and their headers, however often they ask', async ({
    expect,
    onTestFinished,
  }) => {
    const bench = await openBench(onTestFinished);
    const hooks = [{ matcher: '', hooks: [{ type: 'command', command: bench.helper }] }];
    const headers = bench.script('headers', `#!/bin/sh\nprintf '{"Authorization":"Bearer %s"}' "$(${bench.helper})"\n`);
    const servers = {
      local: { command: '/bin/sh', args: ['-c', bench.helper] },
      one: { type: 'http', url: `${bench.api.url}/mcp`, headersHelper: headers },
      other: { type: 'http', url: `${bench.api.url}/mcp`, headersHelper: headers },
    };
    const mcp = bench.write('mcp.json', JSON.stringify({ mcpServers: servers }));
    const more = { hooks: { SessionStart: hooks, UserPromptSubmit: hooks, Stop: hooks } };
    expect(await runOnce(bench, { more, args: ['--mcp-config', mcp] })).toMatchObject({ ok: true });
    expect((await bench.count('served')).served).toBeGreaterThanOrEqual(7);
    expect(await isJudged(bench)).toBe(false);
  });

  it('judges a client that an agent started, but not that client’s own children', async ({
    expect,
    onTestFinished,
  }) => {
    const bench = await openBench(onTestFinished);
    const local = { command: '/bin/sh', args: ['-c', bench.helper] };
    const mcp = bench.write('mcp.json', JSON.stringify({ mcpServers: { one: local, two: local, three: local } }));
    bench.api.reply = asksFor(bench.helper, bench.helper);
    const inAgent = { env: { CLAUDECODE: '1', CLAUDE_CODE_SESSION_ID: '00000000-0000-4000-8000-000000000000' } };
    const args = ['--allowedTools', 'Bash', '--mcp-config', mcp];
    expect(await runOnce(bench, { ...inAgent, args })).toMatchObject({ ok: true });
    expect(bench.api.calls.every(({ apiKey }) => apiKey === FIRST)).toBe(true);
    expect((await bench.count('served')).served).toBeGreaterThanOrEqual(6);
    expect(await isJudged(bench)).toBe(false);
    expect(await revokedWithSuccessor(bench, inAgent)).toMatchObject({ ok: true, refused: 1 });
  });
});
