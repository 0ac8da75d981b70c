import { describe, expect, test } from 'vitest';
import { parseHints } from '../../src/protocol/request.ts';
import { readHelperRequest } from '../../src/server/fast-path.ts';
import { FakeDaemon, GOOD_REPLY, KEY, sends } from './fake-daemon.ts';
import { expectFailure, expectKey, helper, runHelper } from './run-helper.ts';

async function requestOf(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  await using daemon = await FakeDaemon.start(sends(GOOD_REPLY));
  expectKey(await runHelper(args, { BROKER_SOCKET: daemon.socket, ...env }), KEY);
  return daemon.requests[0] ?? '';
}

function header(request: string, name: string): string | undefined {
  return new RegExp(`^${name}: (.*)\r$`, 'm').exec(request)?.[1];
}

describe.skipIf(helper === undefined)('what broker-key asks', () => {
  test('one request of HTTP/1.1, byte for byte', async () => {
    const request = await requestOf([]);

    expect(request.replace(/p(p?)id=\d+/g, 'p$1id=1').replace(/\/\d+\.\d+\.\d+/, '/VERSION')).toBe(
      [
        'GET /v1/credentials/_default/key HTTP/1.1',
        'Host: broker',
        'Accept: text/plain',
        'Connection: close',
        'User-Agent: broker-key/VERSION',
        'Broker-Client-Hints: pid=1, ppid=1, stdin=socket, stdout=socket',
        '',
        '',
      ].join('\r\n'),
    );
  });

  test.each<[readonly string[], Record<string, string>]>([
    [[], {}],
    [['9.a_b-c', '--format', 'headers'], { CLAUDE_CODE_API_KEY_HELPER_TTL_MS: '0' }],
    [['a'.repeat(64)], { CLAUDE_CODE_ENTRYPOINT: 'sdk-cli', CLAUDECODE: '1', CLAUDE_CODE_SESSION_ID: 'ABCDEF01-2345' }],
    [['--rejected'], { CLAUDECODE: '1' }],
    [[], { CLAUDE_CODE_MCP_SERVER_NAME: 'x', CLAUDE_CODE_API_KEY_HELPER_TTL_MS: '999999999999999' }],
  ])('%j is understood by the daemon without its HTTP', async (args, env) => {
    expect(readHelperRequest(Buffer.from(await requestOf(args, env)))).toBeDefined();
  });

  test.each([
    [[], '/v1/credentials/_default/key'],
    [['anthropic'], '/v1/credentials/anthropic/key'],
    [['9.a_b-c'], '/v1/credentials/9.a_b-c/key'],
    [['a'.repeat(64)], `/v1/credentials/${'a'.repeat(64)}/key`],
    [['--', 'name'], '/v1/credentials/name/key'],
    [['--format', 'raw'], '/v1/credentials/_default/key'],
    [['--format', 'headers', 'name'], '/v1/credentials/name/key?format=headers'],
    [['name', '--format=json'], '/v1/credentials/name/key?format=json'],
    [['--format', 'proxy', 'name'], '/v1/credentials/name/key?format=proxy'],
    [['--format=json', '--format=aws'], '/v1/credentials/_default/key?format=aws'],
  ])('%j asks for %s', async (args, target) => {
    expect(await requestOf(args)).toMatch(new RegExp(`^GET ${target.replaceAll(/[.?]/g, '\\$&')} HTTP/1.1\r\n`));
  });

  test.each([
    ['0', '0'],
    ['60000', '60000'],
    ['999999999999999', '999999999999999'],
    ['', undefined],
    ['-1', '-1'],
    ['1e3', '1e3'],
    ['5000ms', '5000ms'],
    [' \t\n5000\n', '5000'],
    [' \n', undefined],
    ['300 000 é', '300 000 '],
    ['9'.repeat(100), '9'.repeat(64)],
    ['1\r\nEvil: yes', '1'],
  ])('an interval of %j is sent as %s', async (value, sent) => {
    const request = await requestOf([], { CLAUDE_CODE_API_KEY_HELPER_TTL_MS: value });
    expect(header(request, 'Broker-Client-Interval-Ms')).toBe(sent);
  });

  test('its hints are what the parser reads', async () => {
    const request = await requestOf([], { CLAUDE_CODE_ENTRYPOINT: 'sdk-cli', CLAUDECODE: '1' });

    expect(parseHints(header(request, 'Broker-Client-Hints'))).toEqual({
      pid: expect.any(Number),
      ppid: process.pid,
      stdin: 'socket',
      stdout: 'socket',
      entrypoint: 'sdk-cli',
      agent: true,
      rejected: false,
    });
  });

  test.each([
    [['--rejected'], {}],
    [['--rejected', 'name', '--format', 'aws'], {}],
    [[], { CLAUDE_HELPER_CONTEXT: 'mid-session-refresh' }],
  ])('%j with %j says that its key was refused', async (args, env) => {
    const hints = parseHints(header(await requestOf(args, env), 'Broker-Client-Hints'));
    expect(hints?.rejected).toBe(true);
  });

  test('any other context says nothing', async () => {
    expect(await requestOf([], { CLAUDE_HELPER_CONTEXT: 'startup' })).not.toContain('rejected');
  });

  test('it says which session it is in and that it is run for an MCP server', async () => {
    const id = '0a1b2c3d-0000-4000-8000-000000000000';
    const request = await requestOf([], {
      CLAUDE_CODE_SESSION_ID: id,
      CLAUDE_CODE_MCP_SERVER_NAME: 'any\r\nEvil: yes',
    });
    expect(parseHints(header(request, 'Broker-Client-Hints'))).toMatchObject({ session: '0a1b2c3d', purpose: 'mcp' });
    for (const value of ['', 'short', 'two words', 'a\r\nEvil: yes', 'UPPER000']) {
      expect(await requestOf([], { CLAUDE_CODE_SESSION_ID: value })).not.toMatch(/session|purpose|evil/i);
    }
  });

  test.each(['UPPER', 'two words', 'a\r\nEvil: yes', 'x'.repeat(33), 'a,b'])(
    'an entry point of %j is left out',
    async (value) => {
      const request = await requestOf([], { CLAUDE_CODE_ENTRYPOINT: value });
      expect(request).not.toMatch(/entrypoint|evil/i);
    },
  );

  test.each([
    [['a', 'b'], /one NAME at most/],
    [['_default'], /credential's name/],
    [[''], /credential's name/],
    [['-'], /credential's name/],
    [['.hidden'], /credential's name/],
    [['a/../b'], /credential's name/],
    [['a b'], /credential's name/],
    [['a\r\nEvil: yes'], /credential's name/],
    [['é'], /credential's name/],
    [['a'.repeat(65)], /credential's name/],
    [['--', '--help'], /credential's name/],
    [['--unknown'], /no option --unknown/],
    [['-x'], /no option -x/],
    [['--formatjson'], /no option/],
    [['--format'], /not nothing/],
    [['--format', 'JSON'], /not JSON/],
    [['--format='], /--format takes/],
    [[`--${'y'.repeat(100_000)}`], /no option/],
    [Array.from({ length: 255 }, (_, i) => `garbage\n\x1b[31m${i}`), /credential's name/],
    [Array.from({ length: 255 }, (_, i) => `name${i}`), /one NAME at most/],
  ])('arguments %#: 64 before anybody is asked', async (args, words) => {
    await using daemon = await FakeDaemon.start(sends(GOOD_REPLY));

    expectFailure(await runHelper(args, { BROKER_SOCKET: daemon.socket }), 64, words);
    expect(daemon.requests).toEqual([]);
  });

  test.each([
    ['--help', /^usage: broker-key \[--format raw\|headers\|json\|aws\|proxy\] \[--rejected\] \[NAME\]\n/],
    ['-h', /^usage: /],
    ['--version', /^broker-key \d+\.\d+\.\d+\n$/],
    ['-V', /^broker-key \d/],
  ])('%s needs no daemon', async (option, text) => {
    const outcome = await runHelper([option], {});
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toMatch(text);
  });
});
