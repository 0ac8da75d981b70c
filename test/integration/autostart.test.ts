import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { launchFile } from '../../src/config/paths.ts';
import { readLockHolder } from '../../src/platform/state-lock.ts';
import { type LaunchRecord, writeLaunchRecord } from '../../src/service/unmanaged.ts';
import { PROGRAM } from '../fakes/daemon-process.ts';
import { until } from '../fakes/processes.ts';
import { CONFIG, KEY, TemporaryHome } from '../fakes/temporary-home.ts';
import { expectFailure, expectKey, helper, run, runHelper } from '../native/run-helper.ts';

const RECORD: LaunchRecord = {
  run: [process.execPath, '--disable-sigusr1', PROGRAM, 'daemon'],
  env: { PATH: process.env['PATH'] ?? '', EXTRA: 'as recorded' },
  service: undefined,
  autostart: true,
};

function home(record: Partial<LaunchRecord> = {}, config?: string): TemporaryHome {
  const made = new TemporaryHome(config);
  writeLaunchRecord(made.state, { ...RECORD, ...record });
  return made;
}

function environmentOf(pid: number): Record<string, string> {
  const words = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter(Boolean);
  return Object.fromEntries(words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]));
}

describe.skipIf(helper === undefined)('broker-key where no daemon runs', () => {
  test('starts one, and prints its key', async () => {
    await using user = home();
    expectKey(await runHelper([], user.env), KEY);
    const pid = user.daemonPid;
    expect(pid).toBeDefined();
    expectKey(await runHelper([], user.env), KEY);
    expect(user.daemonPid).toBe(pid);
    // Nobody sees its standard error: its log is a file of its own, also for those who ask for it.
    const logs = await run(process.execPath, [PROGRAM, 'service', 'logs'], user.env);
    expect(logs).toMatchObject({ code: 0, stdout: expect.stringContaining('broker is ready') });
  });

  test('a hundred at once: one daemon, a hundred keys', async () => {
    await using user = home();
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => runHelper([], user.env)));
    for (const outcome of outcomes) expectKey(outcome, KEY);
    const daemons = daemonsOf(user);
    expect(daemons).toEqual([user.daemonPid]);
  });

  test('some of them killed while they start it: the others take over', async () => {
    await using user = home();
    const calls = Array.from({ length: 40 }, (_, index) => {
      const aborter = new AbortController();
      const call = runHelper([], user.env, { signal: aborter.signal, killSignal: 'SIGKILL' }).catch(() => 'killed');
      if (index % 4 === 0) setTimeout(() => aborter.abort(), index * 2);
      return { call, killed: index % 4 === 0 };
    });
    for (const { call, killed } of calls) {
      const outcome = await call;
      if (!killed) expect(outcome).toMatchObject({ code: 0, stdout: `${KEY}\n` });
    }
    expect(daemonsOf(user)).toHaveLength(1);
  });

  test.skipIf(process.platform !== 'linux')('hands down the lock and nothing else', async () => {
    await using user = home();
    const surroundings = {
      ...user.env,
      NODE_OPTIONS: '--no-such-option',
      VAULT_ADDR: 'http://project.example',
      ANTHROPIC_API_KEY: 'sk-secret',
      LANG: 'C.UTF-8',
    };
    // Held open in the helper, as a client might leave it: a daemon that kept it would keep the client waiting.
    const outcome = await runHelper([], surroundings, { stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe'] });
    expectKey(outcome, KEY);

    const pid = user.daemonPid ?? 0;
    // The daemon is not dumpable, which stops everybody but root from looking.
    if (process.getuid?.() === 0) {
      expect(environmentOf(pid)).toEqual({
        ...user.env,
        LANG: 'C.UTF-8',
        PATH: process.env['PATH'],
        EXTRA: 'as recorded',
        BROKER_STATE_DIR: user.state,
        BROKER_LOCK_FD: '3',
        BROKER_STARTED_BY: 'helper',
      });
      const stdio = [0, 1, 2].map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
      expect(stdio).toEqual(['/dev/null', '/dev/null', '/dev/null']);
      expect(readlinkSync(`/proc/${pid}/fd/3`)).toBe(path.join(user.state, 'lock'));
      expect(readlinkSync(`/proc/${pid}/cwd`)).toBe('/');
    }
    const [, , , , , session] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/\(.*\)/, 'name')
      .split(' ');
    expect(session).toBe(String(pid));
  });

  test('where the daemon was killed, starts another', async () => {
    await using user = home();
    for (let round = 0; round < 3; round++) {
      expectKey(await runHelper([], user.env), KEY);
      await user.stopDaemon();
    }
  });

  test('sixty at once, and a broken configuration: one start, and each has its words and exit code 78', async () => {
    await using user = home({}, 'nonsense = true\n');
    const starts = countStarts(user);
    const started = performance.now();
    const outcomes = await Promise.all(Array.from({ length: 60 }, () => runHelper([], user.env)));
    for (const outcome of outcomes) expectFailure(outcome, 78, /there is no key nonsense.*broker config validate/);
    expect(performance.now() - started).toBeLessThan(8_000);
    expect(starts()).toBe(1);

    // The CLI says the same.
    const cli = await run(process.execPath, [PROGRAM, 'status'], user.env);
    expect(cli).toMatchObject({ code: 78, stderr: expect.stringContaining('there is no key nonsense') });
    // Still so: nothing is started to find that out.
    expectFailure(await runHelper([], user.env), 78, /there is no key nonsense/);
    expect(starts()).toBe(1);
    writeFileSync(user.config, 'otherwise = true\n');
    expectFailure(await runHelper([], user.env), 78, /there is no key otherwise/);
    expect(starts()).toBe(2);
    writeFileSync(user.config, CONFIG);
    expectKey(await runHelper([], user.env), KEY);
    expect(starts()).toBe(3);
    expect(existsSync(path.join(user.state, 'refusal'))).toBe(false);
  });

  test.each(['a folder that others can write', 'no file', 'a link that leads nowhere'])(
    'a configuration that is %s: the helpers are told until that is fixed',
    async (what) => {
      await using user = home();
      const starts = countStarts(user);
      if (what === 'a folder that others can write') chmodSync(path.dirname(user.config), 0o777);
      else rmSync(user.config);
      if (what.startsWith('a link')) symlinkSync(path.join(user.path, 'dotfiles.toml'), user.config);
      for (let round = 0; round < 3; round++) expectFailure(await runHelper([], user.env), 78);
      expect(starts()).toBe(1);
      if (what === 'a folder that others can write') chmodSync(path.dirname(user.config), 0o700);
      else writeFileSync(user.config, CONFIG, { mode: 0o600 });
      expectKey(await runHelper([], user.env), KEY);
    },
  );

  test.each([
    ['exit 0', 69, 'exit 0'],
    ['exit 3', 69, 'exit 3'],
    ['exit 78', 78, 'exit 78'],
    ['kill -SEGV $$', 69, 'exit 139'],
  ])('a daemon that ends at once with `%s` is started once, for all of them', async (command, code, words) => {
    await using user = home();
    const file = path.join(user.path, 'starts');
    writeLaunchRecord(user.state, {
      ...RECORD,
      run: ['/bin/sh', '-c', `echo >> "$STARTS"; ${command}`],
      env: { STARTS: file },
    });
    const outcomes = await Promise.all(Array.from({ length: 30 }, () => runHelper([], user.env)));
    for (const outcome of outcomes)
      expectFailure(outcome, code, `ended at once (${words}); run \`broker daemon\` to see why`);
    expect(readFileSync(file, 'utf8')).toBe('\n');
  });

  test('a helper that is stopped while it starts a daemon keeps nobody from starting another', async () => {
    await using user = home();
    const starter = path.join(user.path, 'starter');
    const [node, ...args] = RECORD.run;
    const script = `if [ ! -e ${starter} ]; then echo $PPID > ${starter}; kill -STOP $PPID; kill -KILL $$; fi; exec "$@"`;
    writeLaunchRecord(user.state, { ...RECORD, run: ['/bin/sh', '-c', script, 'sh', node ?? '', ...args] });
    const stopped = runHelper([], user.env);
    await until(() => existsSync(starter) && readFileSync(starter, 'utf8').endsWith('\n'));
    expectKey(await runHelper([], user.env), KEY);
    process.kill(Number(readFileSync(starter, 'utf8')), 'SIGCONT');
    expectKey(await stopped, KEY);
  });

  test('a package that was removed is to be installed again', async () => {
    await using user = home({ run: [process.execPath, '/gone/bin/broker.mjs', 'daemon'] });
    const words = /not installed any more: \/gone\/bin\/broker.mjs is gone; install it again/;
    expectFailure(await runHelper([], user.env), 69, words);
  });

  test('a daemon that is killed whenever it starts is started ten times by one helper, not for 9.5 s', async () => {
    await using user = home();
    const file = path.join(user.path, 'starts');
    writeLaunchRecord(user.state, {
      ...RECORD,
      run: ['/bin/sh', '-c', 'echo >> "$STARTS"; kill -KILL $$'],
      env: { STARTS: file },
    });
    expectFailure(await runHelper([], user.env), 69, /killed ten times; run `broker daemon`/);
    expect(readFileSync(file, 'utf8')).toHaveLength(10);
  });

  test('a refusal that others could have written, or that makes no sense, is not believed', async () => {
    await using user = home();
    const file = path.join(user.state, 'refusal');
    const later = Math.floor(Date.now() / 1000) + 300;
    const text = `broker-refusal 1\nexit 78\nuntil ${later}\nline planted\n`;
    const ask = async () => {
      const outcome = await runHelper([], user.env);
      await user.stopDaemon();
      return outcome;
    };
    writeFileSync(file, text, { mode: 0o600 });
    expectFailure(await ask(), 78, /planted/);
    chmodSync(file, 0o644);
    expectKey(await ask(), KEY);
    for (const wrong of [
      text.replace(String(later), String(later - 600)),
      text.replace(String(later), String(later + 360_000)),
      text.replace('exit 78', 'exit 0'),
      text.replace('refusal 1', 'refusal 2'),
      text.replace('line planted\n', ''),
      `${text}saw 1:2:3:4 /\n`,
      `${text}saw\nsaw x\n`,
      '',
      'x'.repeat(20_000),
    ]) {
      rmSync(file, { force: true });
      writeFileSync(file, wrong, { mode: 0o600 });
      expectKey(await ask(), KEY);
    }
  });

  test.skipIf(process.getuid?.() !== 0)(
    'and /tmp/broker-UID is taken: the daemon goes on to the state folder',
    async () => {
      const uid = 54_323;
      await using user = home();
      const tmp = `/tmp/broker-${uid}`;
      const env = { HOME: user.path };
      const copy = path.join(user.path, 'broker-key');
      copyFileSync(helper ?? '', copy);
      execFileSync('chown', ['-R', `${uid}:${uid}`, user.path]);
      mkdirSync(tmp, { mode: 0o700 });
      try {
        const ask = (more = {}) => run(copy, [], { ...env, ...more }, { uid, gid: uid, cwd: '/' });
        expectKey(await ask({ XDG_RUNTIME_DIR: user.runtime }), KEY);
        expect(readLockHolder(path.join(user.state, 'lock'))?.socket).toBe(user.socket);
        await user.stopDaemon();
        chownSync(tmp, 54_324, 54_324);
        expectKey(await ask(), KEY);
        expectKey(await ask(), KEY);
        expect(readLockHolder(path.join(user.state, 'lock'))?.socket).toBe(path.join(user.state, 'broker.sock'));
      } finally {
        rmSync(tmp, { recursive: true });
      }
    },
  );

  test('a program that is gone is named', async () => {
    await using user = home({ run: ['/gone/node', PROGRAM, 'daemon'] });
    expectFailure(await runHelper([], user.env), 69, /cannot run \/gone\/node: No such file.*`broker service install`/);
  });

  test('a daemon that listens elsewhere is named, soon', async () => {
    await using user = home();
    expectKey(await runHelper([], user.env), KEY);
    const elsewhere = path.join(user.path, 'elsewhere.sock');
    expectFailure(await runHelper([], { ...user.env, BROKER_SOCKET: elsewhere }), 69, `listens at ${user.socket}`);
  });

  test('leaves after idle_exit, and the next helper starts another', async () => {
    await using user = new TemporaryHome();
    writeLaunchRecord(user.state, RECORD);
    writeFileSync(user.config, `${readFileSync(user.config, 'utf8')}[daemon]\nidle_exit = "1s"\n`);
    expectKey(await runHelper([], user.env), KEY);
    await until(() => user.daemonPid === undefined);
    expectKey(await runHelper([], user.env), KEY);
  });
});

describe.skipIf(helper === undefined)('a daemon that was to end after hours without a request', () => {
  test('ends at once when it is told to', async () => {
    await using user = new TemporaryHome();
    writeLaunchRecord(user.state, RECORD);
    writeFileSync(user.config, `${readFileSync(user.config, 'utf8')}[daemon]\nidle_exit = "8h"\n`);
    expectKey(await runHelper([], user.env), KEY);
    process.kill(user.daemonPid ?? 0, 'SIGTERM');
    await until(() => user.daemonPid === undefined);
  });
});

describe.skipIf(helper === undefined)('broker-key does not start a daemon', () => {
  async function refused(user: TemporaryHome, env: Record<string, string>, words: RegExp | string): Promise<void> {
    expectFailure(await runHelper([], { ...user.env, ...env }), 69, words);
    expect(existsSync(path.join(user.state, 'lock'))).toBe(false);
  }

  test('that nothing was recorded for: it says what to run', async () => {
    await using user = new TemporaryHome();
    await refused(user, {}, /nothing answers at .*`broker daemon`.*`broker service install`/);
  });

  test('with BROKER_NO_AUTOSTART', async () => {
    await using user = home();
    await refused(user, { BROKER_NO_AUTOSTART: '1' }, /nothing answers/);
    expectKey(await runHelper([], { ...user.env, BROKER_NO_AUTOSTART: '0' }), KEY);
  });

  test('where it was installed so', async () => {
    await using user = home({ autostart: false });
    await refused(user, {}, /nothing answers/);
  });

  test('of a package that is gone, and says so, whoever was to start it', async () => {
    const gone = ['/usr/bin/node', '/gone/bin/broker.mjs', 'daemon'];
    const service = { manager: 'launchd', command: ['/bin/true'] } as const;
    for (const record of [{ autostart: false }, { autostart: true, service }]) {
      await using user = home({ ...record, run: gone });
      await refused(
        user,
        {},
        /not installed any more: \/gone\/bin\/broker.mjs is gone; install it again \(npm install -g apikey-broker\), then run: broker service install/,
      );
    }
  });

  test('that was stopped on purpose', async () => {
    await using user = home();
    writeFileSync(path.join(user.state, 'stopped'), '');
    await refused(user, {}, /stopped with `broker service stop`; start it with `broker service start`/);
  });

  test.skipIf(process.getuid?.() !== 0)("in another user's home", async () => {
    await using user = home();
    chownSync(user.path, 65534, 65534);
    await refused(user, {}, /HOME, .* is another user's/);
  });

  test('from a launch file that others can reach, a link, nonsense', async () => {
    await using user = home();
    const file = launchFile(user.state);
    chmodSync(file, 0o644);
    await refused(user, {}, /others can reach .*launch; run `chmod go=/);
    chmodSync(file, 0o600);
    for (const text of [
      '',
      'broker-launch 2\n',
      'broker-launch 1\nrun node\n',
      'broker-launch 1\nrun /bin/true',
      'x'.repeat(9000),
    ]) {
      writeFileSync(file, text);
      await refused(user, {}, /launch cannot be understood/);
    }
    writeFileSync(file, `broker-launch 1\n${'run /bin/true\n'.repeat(25)}`);
    await refused(user, {}, /launch cannot be understood/);
    rmSync(file);
    symlinkSync('/dev/null', file);
    await refused(user, {}, /launch: /);
  });

  test('from a state folder that others can reach', async () => {
    await using user = home();
    chmodSync(user.state, 0o755);
    await refused(user, {}, /others can reach/);
  });

  test('for another user of a container', async () => {
    await using user = home();
    const socket = path.join(user.path, 'container', 'broker.sock');
    await refused(user, { BROKER_SERVER_UID: '12345', BROKER_SOCKET: socket }, /nothing answers/);
  });
});

/** Lets the daemon be started through a script that counts. */
function countStarts(user: TemporaryHome): () => number {
  const script = path.join(user.path, 'counting-node');
  const file = path.join(user.path, 'starts');
  writeFileSync(script, `#!/bin/sh\necho >> ${file}\nexec ${process.execPath} "$@"\n`, { mode: 0o700 });
  writeLaunchRecord(user.state, { ...RECORD, run: [script, ...RECORD.run.slice(1)] });
  return () => readFileSync(file, 'utf8').length;
}

/** Every process whose command line is this home's daemon. */
function daemonsOf(user: TemporaryHome): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        const isDaemon = words.includes(PROGRAM) && words.includes('daemon');
        return isDaemon && environmentOf(pid)['HOME'] === user.path;
      } catch {
        return false;
      }
    });
}
