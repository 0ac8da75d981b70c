import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { ClientIdentity, NOBODY } from '../../src/platform/client-identity.ts';
import { CLAUDE_CODE } from '../../src/platform/known-clients.ts';
import { loadNative } from '../../src/platform/native.ts';
import { procReader } from '../../src/platform/process-tree.ts';

const HELPER_HINTS = 'pid=0, ppid=0, stdin=socket, stdout=socket, entrypoint=cli';

const started: { readonly client: ChildProcess; readonly helper: number }[] = [];
afterEach(async () => {
  for (const { client, helper } of started.splice(0)) {
    const gone = once(client, 'close');
    // The helper holds the other end of the pipe: the client alone would not close it.
    process.kill(helper, 'SIGKILL');
    client.kill('SIGKILL');
    await gone;
  }
});

/** A process named `claude` that runs `command` with sh and stays; resolves with the pid that the command prints. */
async function clientRunning(
  command: string,
  env: Record<string, string> = {},
): Promise<{ client: number; helper: number }> {
  const code = `require('node:child_process').spawn('/bin/sh', ['-c', process.argv[1]], {
    stdio: ['pipe', 'inherit', 'inherit'], detached: process.env.DETACH === '1' });`;
  const child = spawn(process.execPath, ['-e', code, command], {
    argv0: 'claude',
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [chunk] = await once(child.stdout, 'data');
  const helper = Number(String(chunk).trim());
  started.push({ client: child, helper });
  return { client: child.pid ?? 0, helper };
}

const STAY = 'echo $$; exec sleep 60';

const native = loadNative();
const readers = native === undefined ? { proc: procReader } : { addon: native, proc: procReader };

describe.each(Object.entries(readers))('client identity through the %s', (_name, reader) => {
  const identity = new ClientIdentity(reader);

  it('finds the client behind sh and judges its own call', async () => {
    const { client, helper } = await clientRunning(STAY);
    const found = identity.identify({ pid: helper }, HELPER_HINTS);
    expect(found).toMatchObject({ client: { pid: client, name: 'claude', known: CLAUDE_CODE }, mayBeOwn: true });
    expect(found.origin()).toBe('own');
    expect(identity.isAlive(found.client!)).toBe(true);
    expect(identity.isAlive({ pid: client, startTime: 'another' })).toBe(false);
  });

  it('judges nobody without hints, on a terminal or for an MCP server’s headers', async () => {
    const { client, helper } = await clientRunning(STAY);
    const onTerminal = HELPER_HINTS.replace('stdin=socket', 'stdin=tty');
    for (const hints of [undefined, onTerminal, `${HELPER_HINTS}, purpose=mcp`]) {
      expect(identity.identify({ pid: helper }, hints)).toMatchObject({ client: { pid: client }, mayBeOwn: false });
    }
  });

  it('judges a helper that a wrapper gave another stdin or, as timeout does, another process group', async () => {
    const { helper } = await clientRunning(STAY, { DETACH: '1' });
    for (const stdin of ['socket', 'null', 'pipe', 'file', 'closed']) {
      expect(identity.identify({ pid: helper }, HELPER_HINTS.replace('stdin=socket', `stdin=${stdin}`)).origin()).toBe(
        'own',
      );
    }
  });

  it('judges a helper whose environment was cleared, if it is run as the client runs it', async () => {
    const hints = HELPER_HINTS.replace(', entrypoint=cli', '');
    const { helper } = await clientRunning(STAY);
    expect(identity.identify({ pid: helper }, hints).origin()).toBe('own');
    const hook = await clientRunning(STAY, { DETACH: '1' });
    expect(identity.identify({ pid: hook.helper }, hints).origin()).toBe('other');
  });

  it('goes by the environment of the process just below the client, whatever a wrapper does to it', async () => {
    const hints = HELPER_HINTS.replace(', entrypoint=cli', '');
    const wrapped = `env -i sh -c '${STAY}'; true`;
    const own = await clientRunning(wrapped, { CLAUDE_CODE_ENTRYPOINT: 'cli', DETACH: '1' });
    expect(identity.identify({ pid: own.helper }, hints).origin()).toBe('own');
    const agents = await clientRunning(`export CLAUDECODE=1; sh -c "${wrapped.replaceAll('$', '\\$')}"; true`, {
      CLAUDE_CODE_ENTRYPOINT: 'cli',
    });
    expect(identity.identify({ pid: agents.helper }, hints).mayBeOwn).toBe(true);
  });

  it('does not judge the agent’s own shell commands', async () => {
    const { helper } = await clientRunning(STAY);
    expect(identity.identify({ pid: helper }, `${HELPER_HINTS}, agent=1`).origin()).toBe('other');
  });

  describe('in a client that was itself started by an agent', () => {
    const env = { CLAUDECODE: '1', CLAUDE_CODE_SESSION_ID: '0a1b2c3d-0000-4000-8000-000000000000' };
    const hints = `${HELPER_HINTS}, session=0a1b2c3d, agent=1`;

    it('judges the helper', async () => {
      const { helper } = await clientRunning(STAY, env);
      expect(identity.identify({ pid: helper }, hints).origin()).toBe('own');
    });

    it('judges the helper where nobody knows of sessions', async () => {
      const { helper } = await clientRunning(STAY, { CLAUDECODE: '1' });
      expect(identity.identify({ pid: helper }, `${HELPER_HINTS}, agent=1`).origin()).toBe('own');
    });

    it('does not judge an MCP server, which has the session of this client', async () => {
      const { helper } = await clientRunning(STAY, env);
      expect(identity.identify({ pid: helper }, hints.replace('0a1b2c3d', 'ffffffff')).origin()).toBe('other');
    });

    it('does not judge shell commands and hooks, which have process groups of their own', async () => {
      const { client, helper } = await clientRunning(STAY, { ...env, DETACH: '1' });
      expect(identity.identify({ pid: helper }, hints)).toMatchObject({ client: { pid: client }, mayBeOwn: false });
    });
  });

  it('takes nobody of ours for a client in another pid name space', () => {
    const hints = HELPER_HINTS.replace('ppid=0', `ppid=${process.pid}`);
    expect(identity.identify({ pid: 0 }, hints)).toBe(NOBODY);
  });

  it('knows nobody where nobody is', () => {
    expect(identity.identify(undefined, undefined)).toBe(NOBODY);
  });
});
