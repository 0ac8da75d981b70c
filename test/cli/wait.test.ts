import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../src/platform/clock.ts';
import type { CredentialStatus } from '../../src/protocol/reports.ts';
import type { FakeClock } from '../fakes/fake-clock.ts';
import { FakeIo } from '../fakes/fake-io.ts';
import { CREDENTIAL, STATUS } from '../fakes/scripted-broker.ts';
import { TestServer } from '../fakes/test-server.ts';

const CONFIG = `[providers.p]
type = "exec"
[credentials.anthropic]
provider = "p"
command = ["true"]
`;

let server: TestServer;
let io: FakeIo;
let folder: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'broker-wait-'));
  writeFileSync(join(folder, 'config.toml'), CONFIG, { mode: 0o600 });
  server = await TestServer.start();
  io = new FakeIo({
    BROKER_SOCKET: server.path,
    BROKER_CONFIG: join(folder, 'config.toml'),
    BROKER_STATE_DIR: join(folder, 'state'),
  });
  // Nothing here depends on how long anything takes.
  io.clock = new SystemClock() as unknown as FakeClock;
});
afterEach(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const failing = (code: string, kind: string | null, message: string): CredentialStatus => ({
  ...CREDENTIAL,
  state: 'failing',
  lastError: { at: '2030-01-01T00:00:00Z', code, kind, message, remedy: 'do this', failures: 1, nextAttemptAt: null },
});

/** Each in turn, then the last again and again. */
function states(...credentials: readonly (readonly CredentialStatus[])[]): void {
  let asked = 0;
  server.broker.status = () => {
    const now = credentials[Math.min(asked++, credentials.length - 1)] ?? [];
    return { ...STATUS, credentials: now };
  };
}

describe('broker wait', () => {
  it('returns at once for a key that can be served, and asks nobody', async () => {
    expect(await io.run('wait', 'anthropic')).toEqual({ code: 0, out: '', err: '' });
    expect(server.broker.refreshed).toEqual([]);
  });

  it('returns for one that is served from before an outage', async () => {
    states([{ ...CREDENTIAL, state: 'stale' }]);
    expect(JSON.parse((await io.run('wait', 'anthropic', '--json')).out)).toMatchObject({ state: 'stale' });
    expect(io.code).toBe(0);
  });

  it('has a key fetched that was never asked for, once', async () => {
    const idle: CredentialStatus = { ...CREDENTIAL, state: 'idle' };
    states([idle], [idle], [{ ...CREDENTIAL, state: 'waiting' }], [CREDENTIAL]);
    expect(await io.run('wait', 'anthropic', '--timeout', '5m')).toMatchObject({ code: 0 });
    expect(server.broker.refreshed).toEqual(['anthropic']);
  });

  it.each([
    [69, 'ERR_PROVIDER_UNAVAILABLE', 'transient', 1],
    [77, 'ERR_DENIED', 'denied', 0],
    [77, 'ERR_KEY_REJECTED', null, 0],
    [69, 'ERR_OF_ANOTHER_VERSION', 'denied', 0],
  ])('exits with %i at the time-out for %s, and repeats only what may pass', async (code, name, kind, asks) => {
    states([failing(name, kind, 'it is so')]);
    expect(await io.run('wait', 'anthropic', '--timeout', '1s')).toEqual({
      code,
      out: '',
      err: 'error: "anthropic" cannot be served after 1s: it is so\nhint: do this\n',
    });
    expect(server.broker.refreshed).toHaveLength(asks);
  });

  it('exits with 75 while the provider has not answered', async () => {
    states([{ ...CREDENTIAL, state: 'waiting' }]);
    expect(await io.run('wait', 'anthropic', '--timeout', '1s')).toMatchObject({ code: 75 });
  });

  it('waits for a daemon, and exits with 69 if none comes', async () => {
    io.env['BROKER_SOCKET'] = join(folder, 'none.sock');
    const { code, err } = await io.run('wait', 'anthropic', '--timeout', '1s');
    expect([code, err]).toEqual([69, expect.stringContaining('cannot be served after 1s: no daemon answers')]);
  });

  it('waits for one that the daemon has not taken up yet, and refuses one that nobody has', async () => {
    states([], [CREDENTIAL]);
    expect(await io.run('wait', 'anthropic', '--timeout', '5m')).toMatchObject({ code: 0 });
    states([CREDENTIAL]);
    expect(await io.run('wait', 'anthropics', '--timeout', '5m')).toEqual({
      code: 78,
      out: '',
      err: 'error: there is no credential "anthropics"\nhint: name one of: anthropic\n',
    });
  });

  it('does not wait for a daemon that would not have it either', async () => {
    io.env['BROKER_SOCKET'] = join(folder, 'none.sock');
    expect(await io.run('wait', 'anthropics', '--timeout', '5m')).toMatchObject({
      code: 78,
      err: 'error: there is no credential "anthropics"\nhint: name one of: anthropic\n',
    });
  });

  it('refuses a time-out that is none', async () => {
    expect(await io.run('wait', 'anthropic', '--timeout', '5 minutes')).toMatchObject({
      code: 64,
      err: 'error: --timeout 5 minutes: this is not a duration\nhint: write "5m"\n',
    });
  });

  it('does not claim success when it is interrupted', async () => {
    states([{ ...CREDENTIAL, state: 'waiting' }]);
    const waiting = io.run('wait', 'anthropic', '--timeout', '5m');
    io.stop.abort();
    expect(await waiting).toMatchObject({ code: 130, err: '' });
  });
});
