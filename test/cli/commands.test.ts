import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeSelf } from '../../src/client/describe-self.ts';
import { BrokerError } from '../../src/errors.ts';
import type { CheckReport } from '../../src/protocol/reports.ts';
import { FakeIo } from '../fakes/fake-io.ts';
import { CREDENTIAL, KEY, START_MS, STATUS } from '../fakes/scripted-broker.ts';
import { TestServer } from '../fakes/test-server.ts';

let server: TestServer;
let io: FakeIo;
beforeEach(async () => {
  server = await TestServer.start();
  io = new FakeIo({
    BROKER_SOCKET: server.path,
    BROKER_CONFIG: '/home/u/.config/broker/config.toml',
    BROKER_STATE_DIR: join(server.folder, 'state'),
  });
});
afterEach(() => server.stop());

const at = (ms: number) => new Date(START_MS + ms).toISOString();

describe('check', () => {
  const say = (change: Partial<CheckReport>) => {
    server.broker.checkReport = { ...server.broker.checkReport, ...change };
  };

  it('says that the check is armed', async () => {
    const out = 'anthropic: the API accepts this key and refuses a made-up one\n';
    expect(await io.run('check')).toEqual({ code: 0, out, err: '' });
  });

  it('says it as JSON', async () => {
    expect(JSON.parse((await io.run('check', 'anthropic', '--json')).out)).toMatchObject({ word: 'good', armed: true });
  });

  it.each<[number, RegExp, Partial<CheckReport>]>([
    [
      77,
      /the API rejects the key of "anthropic" \(HTTP 401/,
      { word: 'rejected', seen: 'HTTP 401 authentication_error' },
    ],
    [69, /does not say whether the key of "anthropic" is good \(HTTP 503\)/, { word: 'none', seen: 'HTTP 503' }],
    [78, /accepts a made-up key as well/, { madeUp: { word: 'good', seen: 'HTTP 200' } }],
    [78, /does not say that a made-up one is rejected \(HTTP 403\)/, { madeUp: { word: 'none', seen: 'HTTP 403' } }],
  ])('exits with %i: %s', async (code, words, change) => {
    say({ madeUp: null, ...change, armed: false });
    const told = await io.run('check');
    expect(told).toMatchObject({ code, out: '' });
    expect(told.err).toMatch(words);
  });
});

describe('get', () => {
  it('prints the key and a newline, and asks as the helper does', async () => {
    io.env['CLAUDE_CODE_API_KEY_HELPER_TTL_MS'] = '60000';
    expect(await io.run('get')).toEqual({ code: 0, out: `${KEY}\n`, err: '' });
    expect(server.broker.asks[0]).toMatchObject({ credential: undefined, intervalMs: 60_000 });
    await io.run('get', 'gateway');
    expect(server.broker.asks[1]).toMatchObject({ credential: 'gateway' });
  });

  it('says with --rejected that the key was refused', async () => {
    expect(describeSelf({ pid: 1, ppid: 1, env: {} }, true)).toMatch(/, rejected=1$/);
    expect(describeSelf({ pid: 1, ppid: 1, env: {} })).not.toContain('rejected');
    expect(await io.run('get', '--rejected')).toMatchObject({ code: 0, out: `${KEY}\n` });
  });

  it('prints other formats as they are', async () => {
    const { out } = await io.run('get', '--format', 'json');
    expect(JSON.parse(out)).toMatchObject({ key: KEY });
    expect(out.endsWith('}\n')).toBe(true);
  });

  it('says with --verbose what was served', async () => {
    const { err } = await io.run('get', '--verbose');
    expect(err).toBe('fresh, version 7, confirmed 42 s ago, expires in 1 h\n');
  });

  it('never prints what the client would refuse', async () => {
    server.broker.script = async (ask) => server.broker.give(ask, { value: 'two\nlines' });
    expect(await io.run('get')).toMatchObject({ code: 65, out: '' });
  });

  it('fails on one line without a terminal, with the exit code of the error', async () => {
    server.broker.script = () => {
      throw new BrokerError('ERR_LOGIN_EXPIRED', 'the login to vault-prod expired', {
        remedy: 'run: broker login vault-prod',
      });
    };
    io.stderrIsTty = false;
    expect(await io.run('get')).toEqual({
      code: 77,
      out: '',
      err: 'broker: the login to vault-prod expired; run: broker login vault-prod\n',
    });
  });
});

describe('status', () => {
  it('shows at a glance how things stand', async () => {
    server.broker.report = {
      daemon: { ...STATUS.daemon, configProblem: 'line 3: unknown key' },
      credentials: [
        {
          ...CREDENTIAL,
          advice: [
            {
              about: 'interval',
              message: 'keys live too short',
              remedy: 'set CLAUDE_CODE_API_KEY_HELPER_TTL_MS=60000',
            },
          ],
        },
        {
          ...CREDENTIAL,
          name: 'gateway',
          isDefault: false,
          provider: 'aws-dev',
          providerType: 'aws-secrets-manager',
          state: 'failing',
          version: null,
          issuedAt: null,
          confirmedAt: null,
          expiresAt: null,
          expirySource: null,
          nextRefreshAt: null,
          lastAskedAt: null,
          timesServed: 0,
          lastError: {
            at: at(-120_000),
            code: 'ERR_DENIED',
            kind: 'denied',
            message: 'not allowed to read prod/litellm',
            remedy: 'ask for secretsmanager:GetSecretValue',
            failures: 3,
            nextAttemptAt: at(60_000),
          },
        },
      ],
    };
    const { out, code } = await io.run('status');
    expect(code).toBe(0);
    expect(out).toBe(`1 of 2 credentials cannot be served: gateway.
broker 0.1.0, pid 4711, up 2 h, listening on /run/user/1000/broker/broker.sock
configuration /home/u/.config/broker/config.toml
cache encrypted, its key in file

   CREDENTIAL           STATE    EXPIRES  NEXT REFRESH  SERVED  LAST ASKED  PROVIDER                       VERSION
●  anthropic (default)  fresh    in 1 h   in 40 min     1,234   5 s ago     vault-prod (vault)             7
✗  gateway              failing  -        -             0       -           aws-dev (aws-secrets-manager)  -

! configuration: line 3: unknown key
  hint: the last good one is in force; list the faults: broker config validate

i anthropic: keys live too short
  hint: set CLAUDE_CODE_API_KEY_HELPER_TTL_MS=60000

! gateway: not allowed to read prod/litellm (ERR_DENIED, 3 times, last 2 min ago, next attempt in 1 min)
  hint: ask for secretsmanager:GetSecretValue
`);
  });

  it('says that this shell has another configuration than the daemon', async () => {
    io.env['BROKER_CONFIG'] = '/elsewhere/config.toml';
    expect((await io.run('status')).out).toContain(
      'this shell has another configuration than the daemon: /elsewhere/config.toml\n  hint: unset BROKER_CONFIG',
    );
    delete io.env['BROKER_CONFIG'];
    // A container may have the socket alone.
    Object.assign(io.env, { XDG_CONFIG_HOME: server.folder });
    io.out = '';
    expect((await io.run('status')).out).not.toContain('another configuration');
  });

  it.each([
    ['fresh', 'All is well.'],
    ['stale', 'All can be served, 1 of 1 from before the provider failed.'],
    ['waiting', '1 of 1 credentials are being fetched.'],
    ['idle', 'Ready; nothing asked for yet.'],
  ] as const)('sums up a credential that is %s', async (state, headline) => {
    server.broker.report = { ...STATUS, credentials: [{ ...CREDENTIAL, state }] };
    expect((await io.run('status')).out.split('\n')[0]).toBe(headline);
  });

  it('does not say that all is well while nothing can be stored', async () => {
    const cache = {
      ...STATUS.daemon.cache,
      persistent: false,
      keyHome: null,
      problem: 'the disk is full',
      remedy: 'free some',
    };
    server.broker.report = { daemon: { ...STATUS.daemon, cache }, credentials: [{ ...CREDENTIAL, state: 'fresh' }] };
    const [headline] = (await io.run('status')).out.split('\n');
    expect(headline).toBe('All can be served, from memory only: a restart loses every key.');
  });

  it('does not say that all is well while a changed configuration is not in force', async () => {
    server.broker.report = { ...STATUS, daemon: { ...STATUS.daemon, configProblem: 'line 3: unknown key' } };
    const [headline] = (await io.run('status')).out.split('\n');
    expect(headline).toBe('All can be served, but the changed configuration is not in force.');
  });

  it.each([
    ['fresh', 0],
    ['stale', 0],
    ['idle', 0],
    ['waiting', 1],
    ['failing', 1],
  ] as const)('exits with --check for one that is %s with %i', async (state, code) => {
    server.broker.report = { ...STATUS, credentials: [CREDENTIAL, { ...CREDENTIAL, name: 'other', state }] };
    expect(await io.run('status', '--check')).toMatchObject({ code, err: '' });
    expect(await io.run('status', '--check', '--json')).toMatchObject({ code, err: '' });
    io.code = 0;
    expect(await io.run('status')).toMatchObject({ code: 0 });
  });

  it('says without a daemon what is known, as JSON too, with the exit code of the error', async () => {
    const file = join(server.folder, 'config.toml');
    writeFileSync(file, 'default = "a"\n[credentials.a]\n', { mode: 0o600 });
    io.env['BROKER_SOCKET'] = join(server.folder, 'none.sock');
    io.env['BROKER_CONFIG'] = file;
    io.env['BROKER_STATE_DIR'] = join(server.folder, 'state');
    expect(await io.run('status', '--json')).toMatchObject({ code: 69, err: '' });
    expect(JSON.parse(io.out)).toMatchObject({
      daemon: { running: false, pid: null, version: null, configFile: file, stateDir: join(server.folder, 'state') },
      configuration: { ok: false, faults: [{ line: 2, key: 'credentials.a.provider' }] },
      credentials: [],
      error: { code: 'ERR_DAEMON_UNREACHABLE', exitCode: 69, remedy: expect.any(String) },
    });
    io.out = '';
    const { code, out, err } = await io.run('status');
    expect([code, out.split('\n').slice(0, 2)]).toEqual([
      69,
      ['Nothing can be served.', expect.stringContaining(`configuration ${file}: line 2: `)],
    ]);
    expect(err).toContain('error: no daemon answers at ');
    expect(await io.run('status', '--check')).toMatchObject({ code: 69 });
  });

  it('says to whoever has no home what to set, and which variable makes no sense', async () => {
    io = new FakeIo({ BROKER_SOCKET: join(server.folder, 'none.sock') });
    io.homeDir = '';
    const { code, out, err } = await io.run('status');
    expect([code, out]).toEqual([69, 'Nothing can be served.\nconfiguration: there is no home to look for it in\n']);
    expect(err).toMatch(/^error: no daemon answers at .*: HOME is .*\nhint: set HOME to /);
    io.out = '';
    expect(await io.run('status', '--json')).toMatchObject({ code: 69 });
    expect(JSON.parse(io.out)).toMatchObject({
      daemon: { running: false, configFile: null, stateDir: null },
      configuration: { ok: false, faults: [], names: [] },
    });
    io.env['BROKER_SOCKET'] = server.path;
    io.code = 0;
    expect(await io.run('status')).toMatchObject({ code: 0 });
    io.env['BROKER_CONFIG'] = 'relative.toml';
    expect(await io.run('status')).toMatchObject({ code: 78, err: expect.stringContaining('BROKER_CONFIG is not') });
  });

  it('prints the report itself with --json', async () => {
    expect(JSON.parse((await io.run('status', '--json')).out)).toEqual(STATUS);
  });

  it('lets no provider’s words move the cursor', async () => {
    const lastError = {
      at: at(0),
      code: 'X',
      kind: null,
      message: '\x1b[2Jgone',
      remedy: null,
      failures: 1,
      nextAttemptAt: null,
    };
    server.broker.report = { ...STATUS, credentials: [{ ...CREDENTIAL, lastError }] };
    expect((await io.run('status')).out).not.toContain('\x1b');
  });

  it('watches until interrupted', async () => {
    const watching = io.run('status', '--watch', '--json');
    await io.until((out) => out.split('\n').length === 2);
    await io.clock.whenArmed();
    await io.clock.advance(2_000);
    await io.until((out) => out.split('\n').length === 3);
    io.stop.abort();
    expect(await watching).toMatchObject({ code: 0, err: '' });
  });
});

describe('refresh and invalidate', () => {
  it('ask for one, for the default, for all', async () => {
    expect((await io.run('refresh')).out).toBe('anthropic: confirmed by the provider, version 7, expires in 1 h\n');
    await io.run('refresh', 'anthropic');
    await io.run('refresh', '--all');
    expect(server.broker.refreshed).toEqual([undefined, 'anthropic', '*']);
    await io.run('invalidate', 'anthropic');
    expect(server.broker.invalidated).toEqual(['anthropic']);
    expect(io.out).toContain('anthropic: dropped');
  });

  it('refuse what makes no sense', async () => {
    expect(await io.run('refresh', 'anthropic', '--all')).toMatchObject({ code: 64 });
    expect(await io.run('invalidate')).toMatchObject({ code: 64 });
    expect(server.broker.refreshed).toEqual([]);
  });

  it('pass on what the daemon says', async () => {
    expect(await io.run('refresh', 'nobody')).toMatchObject({
      code: 78,
      err: 'error: there is no credential nobody\nhint: see: broker status\n',
    });
  });

  it('fail for all if one failed', async () => {
    const lastError = {
      at: at(0),
      code: 'X',
      kind: null,
      message: 'down',
      remedy: null,
      failures: 1,
      nextAttemptAt: null,
    };
    server.broker.report = { ...STATUS, credentials: [CREDENTIAL, { ...CREDENTIAL, name: 'gateway', lastError }] };
    const { code, out, err } = await io.run('refresh', '--all');
    expect([code, out.split('\n')[1]]).toEqual([69, 'gateway: down']);
    expect(err).toContain('not refreshed: gateway');
  });
});

describe('events', () => {
  it('prints them for people and for programs', async () => {
    server.broker.happen('served', 'anthropic', { client: 'claude', pid: 42 });
    expect((await io.run('events')).out).toBe(
      '2030-01-01 00:00:00Z  served            anthropic  client=claude  pid=42\n',
    );
    io.out = '';
    expect(JSON.parse((await io.run('events', '--json')).out)).toEqual(server.broker.stored[0]);
  });

  it('follows until interrupted', async () => {
    const following = io.run('events', '--follow', '--json');
    while (server.broker.followers === 0) await new Promise(setImmediate);
    server.broker.happen('refreshed');
    await io.until((out) => out.includes('refreshed'));
    io.stop.abort();
    expect(await following).toMatchObject({ code: 0, err: '' });
  });

  it('ends when the daemon stops', async () => {
    const following = io.run('events', '--follow');
    while (server.broker.followers === 0) await new Promise(setImmediate);
    const closed = server.server.close(0);
    await (server.clock as typeof io.clock).advance(0);
    await closed;
    expect(await following).toMatchObject({ code: 0 });
  });

  it('refuses a limit that is none', async () => {
    expect(await io.run('events', '-n', 'x')).toMatchObject({ code: 64 });
  });
});
