import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { saferStart } from '../../src/platform/guard.ts';
import { helperPath } from '../../src/platform/native.ts';
import { BrokerHome, PROGRAM } from '../fakes/daemon-process.ts';

const COLD = `
default = "warm"
[providers.tool]
type = "exec"
[credentials.warm]
provider = "tool"
command = ["echo", "sk-warm"]
[credentials.cold]
provider = "tool"
command = ["sleep", "30"]
`;

let home: BrokerHome;
afterEach(() => home?.close());

/** The lines of a log that are worse than information. */
const complaints = (log: string) => log.split('\n').filter((line) => /"level":"(?:warn|error|fatal)"/.test(line));

/** TCP ports that a process listens on (Linux). */
function portsOf(pid: number): number {
  const sockets = new Set(
    readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`);
      } catch {
        return '';
      }
    }),
  );
  const lines = ['tcp', 'tcp6'].flatMap((name) => readFileSync(`/proc/net/${name}`, 'utf8').split('\n').slice(1));
  const listening = lines.map((line) => line.trim().split(/\s+/)).filter(([, , , state]) => state === '0A');
  return listening.filter((fields) => sockets.has(`socket:[${fields[9]}]`)).length;
}

const isLinux = process.platform === 'linux';
/** The real-time ones have numbers only. */
const STRAY = [
  'USR1',
  'USR2',
  'PIPE',
  'WINCH',
  'ALRM',
  'VTALRM',
  'PROF',
  'IO',
  'PWR',
  'STKFLT',
  'XCPU',
  'XFSZ',
  '34',
  '64',
];

describe('a stray signal', () => {
  it.skipIf(!isLinux)('does nothing to the daemon, whichever it is', async () => {
    home = new BrokerHome(COLD);
    const daemon = await home.start();
    for (const signal of STRAY) {
      await home.shell(`kill -${signal} ${daemon.pid}`);
      expect(await home.key(), signal).toMatchObject({ code: 0, stdout: 'sk-warm\n' });
    }
    expect(daemon.hasEnded).toBe(false);
    expect(complaints(daemon.log)).toEqual([]);
  });

  it.skipIf(!isLinux).each([25, 50, 75, 100, 150])(
    'SIGUSR1 %d ms after the start leaves no inspector',
    async (delayMs) => {
      home = new BrokerHome(COLD);
      const starting = home.start();
      await pause(delayMs);
      process.kill(home.lastPid, 'SIGUSR1');
      const daemon = await starting;
      expect(portsOf(daemon.pid)).toBe(0);
      expect(await home.key()).toMatchObject({ code: 0 });
    },
  );

  it('SIGQUIT stops it in order', async () => {
    home = new BrokerHome(COLD);
    const daemon = await home.start();
    expect(await daemon.end('SIGQUIT')).toBe(0);
    expect(existsSync(home.socket)).toBe(false);
  });
});

describe('a daemon that is started for debugging', () => {
  it.each([
    { NODE_OPTIONS: '--inspect=0' },
    { NODE_OPTIONS: '--max-old-space-size=400 --heapsnapshot-signal=SIGUSR2' },
    { NODE_DEBUG: 'http,net,fs,child_process' },
    { NODE_DEBUG_NATIVE: 'inspector_server' },
    { DEBUG: '*' },
  ])('by %j opens and prints nothing', async (variables) => {
    home = new BrokerHome(COLD);
    const daemon = await home.start(variables);
    expect(await home.key()).toMatchObject({ code: 0, stdout: 'sk-warm\n' });
    await home.broker('status');
    if (isLinux) expect(portsOf(daemon.pid)).toBe(0);
    expect(daemon.log).not.toMatch(/^(?:HTTP|NET|FS|CHILD_PROCESS) \d+:/im);
    expect(daemon.log).not.toContain('sk-warm');
    await home.shell(`kill -USR2 ${daemon.pid}`);
    expect(await home.key()).toMatchObject({ code: 0 });
    expect(readdirSync('.').filter((name) => name.endsWith('.heapsnapshot'))).toEqual([]);
  });

  it('keeps the options that do no harm, and its process', () => {
    expect(
      saferStart(['--disable-sigusr1'], { NODE_OPTIONS: '--use-system-ca --max-old-space-size=300' }, {}),
    ).toBeUndefined();
    expect(saferStart([], {}, {})).toBeUndefined();
    const env = { HOME: '/h', NODE_DEBUG: 'http', NODE_OPTIONS: '--use-system-ca' };
    expect(saferStart(['--max-old-space-size=300'], env, {})).toEqual({
      execArgv: ['--max-old-space-size=300'],
      env: { HOME: '/h', NODE_OPTIONS: '--use-system-ca' },
    });
    expect(saferStart(['--inspect-port', '9230', '--inspect'], { A: '1' }, {})).toEqual({
      execArgv: [],
      env: { A: '1' },
    });
    expect(saferStart([], { NODE_OPTIONS: '--use-system-ca --require "./a b.js"' }, {})).toEqual({
      execArgv: [],
      env: {},
    });
  });

  it('is replaced by one whose freed memory is overwritten, once', () => {
    const wanted = { GLIBC_TUNABLES: 'glibc.malloc.perturb=85' };
    const safer = saferStart([], { A: '1' }, wanted);
    expect(safer).toEqual({ execArgv: [], env: { A: '1', ...wanted } });
    expect(saferStart([], safer?.env ?? {}, wanted)).toBeUndefined();
  });
});

describe.skipIf(!isLinux)('a daemon that may open few files', () => {
  /** Node raises the soft limit to the hard one, which is what matters. */
  const limited = (files: number) => home.shell(`ulimit -n ${files}; exec "${process.execPath}" "${PROGRAM}" daemon`);

  it('too few to work says so and ends, however it is asked for', async () => {
    home = new BrokerHome(COLD);
    const { code, stderr } = await limited(24);
    expect(code).toBe(78);
    expect(stderr).toMatch(/may have 24 files open and needs 64 to work\nhint: raise the limit: ulimit -n 1024/);
  });

  it('serves beside 300 clients that connect, say nothing and come again, and says how few it can take', async () => {
    home = new BrokerHome(COLD);
    const daemon = await home.start({}, { openFiles: 80 });
    const crowd = new Crowd(home.socket, 300);
    try {
      await crowd.hasBeenClosed(1_000);
      for (let round = 0; round < 5; round++) {
        const started = performance.now();
        expect(await home.key()).toEqual({ code: 0, stdout: 'sk-warm\n', stderr: '' });
        expect(performance.now() - started).toBeLessThan(5_000);
      }
    } finally {
      crowd.leave();
    }
    expect(complaints(daemon.log).length).toBeLessThan(40);
    const { stdout } = await home.broker('status');
    expect(stdout).toMatch(/limit of 80 open files leaves room for 24 connections[\s\S]*ulimit -n 1024/);
  });
});

/** Clients that connect, say nothing, and connect again when they are closed. */
class Crowd {
  readonly #sockets = new Set<Socket>();
  #left = false;
  #closed = 0;
  #enough: { readonly count: number; readonly resolve: () => void } | undefined;

  constructor(path: string, clients: number) {
    for (let n = 0; n < clients; n++) this.#connect(path);
  }

  hasBeenClosed(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#enough = { count, resolve };
    });
  }

  leave(): void {
    this.#left = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  #connect(path: string): void {
    const socket = connect(path);
    this.#sockets.add(socket);
    socket.on('error', () => undefined).resume();
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#closed++;
      if (this.#enough !== undefined && this.#closed >= this.#enough.count) this.#enough.resolve();
      if (!this.#left) setImmediate(() => this.#connect(path));
    });
  }
}

it('a daemon that cannot listen says so and ends at once, and the lock is free', async () => {
  home = new BrokerHome(COLD);
  await home.shell('touch "$BROKER_SOCKET"');
  const started = performance.now();
  expect(await home.broker('daemon')).toMatchObject({ code: 77, stderr: expect.stringContaining('is in the way') });
  expect(performance.now() - started).toBeLessThan(10_000);
  await home.shell('rm "$BROKER_SOCKET"');
  await home.start();
});

describe('a stdout that is closed or full', () => {
  it.each(['>&-', '<&- >&-', '>&- 2>&-', '>/dev/full'])('is told by exit code 74 with %s', async (redirection) => {
    home = new BrokerHome(COLD);
    const script = `"$0" completion bash ${redirection}; echo $? >"$1"; sh "$0" completion bash >/dev/null; echo $? >>"$1"`;
    const said = join(home.folder, 'said');
    const child = spawn('sh', ['-c', script, join(dirname(PROGRAM), 'broker'), said], {
      env: home.env,
      stdio: 'ignore',
    });
    await once(child, 'close');
    expect(readFileSync(said, 'utf8')).toBe('74\n0\n');
  });
});

describe('a client that gives up', () => {
  it.each(['SIGINT', 'SIGKILL'] as const)('by %s is no error of the daemon', async (signal) => {
    home = new BrokerHome(`${COLD}[daemon]\nlog_level = "debug"\n`);
    const daemon = await home.start();
    const helper = spawn(helperPath() ?? '', ['cold'], { env: home.env });
    await expect.poll(async () => (await home.get('/v1/status')).body).toContain('"waiting"');
    helper.kill(signal);
    await once(helper, 'close');
    await daemon.whenLogged('a client gave up before there was an answer');
    expect(complaints(daemon.log)).toEqual([]);
    expect(await home.key('warm')).toMatchObject({ code: 0 });
  });
});
