import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { writeLaunchRecord } from '../../src/service/unmanaged.ts';
import { BrokerHome, PROGRAM } from '../fakes/daemon-process.ts';
import { until } from '../fakes/processes.ts';
import { CONFIG, KEY as PLAIN_KEY, TemporaryHome } from '../fakes/temporary-home.ts';
import { BrokerTerminal, hasTmux } from '../fakes/tmux.ts';
import { type Outcome, run, runner } from '../native/run-helper.ts';

const BROKER = path.join(path.dirname(PROGRAM), 'broker');
const KEY = 'sk-ant-run-0123456789';
const CREDENTIALS = `default = "lasting"
[providers.command]
type = "exec"
command = ["echo", "{\\"key\\":\\"${KEY}\\",\\"end\\":\\"2999-01-01T00:00:00Z\\",\\"other\\":\\"second\\"}"]
[credentials.lasting]
provider = "command"
field = "key"
[credentials.ending]
provider = "command"
field = "key"
expires_field = "end"
[credentials.session]
provider = "command"
field = "key"
scope = "session"
[credentials.pair]
provider = "command"
fields = { a = "key", b = "other" }
`;
const GUARDED = `[credentials.guarded]
provider = "command"
field = "key"
allow = ["claude-code"]
`;
const isLinux = process.platform === 'linux';

/** What a program can see of how it was started, besides its parent, its pid and its variables. */
const PROBE = `
grep -E '^(Sig(Blk|Ign|Cgt)|ShdPnd|NoNewPrivs|Seccomp|CoreDumping|THP_enabled):' /proc/self/status
cat /proc/self/limits /proc/self/coredump_filter /proc/self/oom_score_adj
umask; pwd; nice; ls /proc/self/fd
for fd in 0 1 2 3 9; do echo $fd; grep -E '^flags:' /proc/self/fdinfo/$fd; done 2>/dev/null
read -r line <&3; echo "$line"
cut -d' ' -f2,6-8,18,19 /proc/self/stat
printf '%s|' "$0" "$@"
`;

describe.skipIf(runner === undefined)('broker run', () => {
  let home: BrokerHome;

  beforeAll(async () => {
    home = new BrokerHome(CREDENTIALS + (isLinux ? GUARDED : ''));
    await home.start();
  });
  afterAll(() => home.close());

  /** With the words after `run`. */
  const broker = (...words: string[]) => run(BROKER, ['run', ...words], home.env);
  const children: ChildProcess[] = [];
  const start = (command: readonly string[], stdio: 'pipe' | 'ignore' = 'pipe') => {
    const [program = '', ...args] = command;
    const child = spawn(program, args, { env: home.env, stdio: [stdio, 'pipe', 'inherit'] });
    children.push(child);
    return child;
  };
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  test('the key is in the environment of the program, and in nothing else of it', async () => {
    expect(await broker('sh', '-c', 'echo "$ANTHROPIC_API_KEY $#" "$@"; exit 7', 'sh', '--version', '-h')).toEqual({
      code: 7,
      signal: null,
      stdout: `${KEY} 2 --version -h\n`,
      stderr: '',
    });
    const named = await broker('--env', 'A=lasting', '--env=B', '--', 'sh', '-c', 'echo $A $B $ANTHROPIC_API_KEY');
    expect(named.stdout).toBe(`${KEY} ${KEY}\n`);
    expect(named.stderr).toBe('');
  });

  test('one line says when the key will die, if that is known', async () => {
    const outcome = await broker('--env', 'A=ending', 'true');
    expect(outcome).toMatchObject({ code: 0, stdout: '' });
    expect(outcome.stderr).toMatch(
      /^broker run: A: its key lives for \d+ d; a program that runs longer has to be started again\n$/,
    );
    expect((await broker('--quiet', '--env', 'A=ending', 'true')).stderr).toBe('');
  });

  const refused: readonly (readonly [credential: string, code: number, words: RegExp])[] = [
    ['session', 77, /\(scope = "session"\).*make another credential, without scope = "session"/],
    ...(isLinux ? [['guarded', 77, /\(allow\).*make another credential, without allow/] as const] : []),
    ['pair', 64, /several fields \(a, b\); a variable holds one value/],
    ['nosuch', 78, /there is no credential "nosuch"/],
    ['sk-ant-api03-0123456789abcdefghij', 78, /there is no credential "\[redacted\]"/],
  ];
  test.each(refused)('a key of "%s" is refused with %i, and the program is not started', async (name, code, words) => {
    const outcome = await broker('--env', `A=${name}`, 'echo', 'started');
    expect(outcome).toMatchObject({ code, stdout: '' });
    expect(outcome.stderr).toMatch(/^broker-key: [ -~]+\n$/);
    expect(outcome.stderr).toMatch(words);
  });

  test.skipIf(!isLinux)('the program finds everything as it would without, whatever that is', async () => {
    const file = path.join(home.folder, 'opened');
    writeFileSync(file, 'a line of a descriptor that was inherited\n');
    // Ignored signals, as of nohup and of jobs in the background; limits; a descriptor; a process in a group of its own.
    const around = `trap '' HUP INT QUIT CHLD; umask 027; ulimit -Sn 333; ulimit -Sc 0; cd / || exit; exec 3<"$1" 9</dev/null; shift; exec "$@"`;
    const started = (command: readonly string[]) => run('sh', ['-c', around, 'sh', file, ...command], home.env);
    const probe = ['sh', '-c', PROBE, 'name', 'one word', '*', ''];
    const without = await started(probe);
    const withIt = await started([BROKER, 'run', ...probe]);
    expect(without.stdout).toMatch(/a line of a descriptor/);
    expect(without.stdout).toMatch(/^SigIgn:\s+\w*7$/m);
    expect(withIt).toEqual(without);
  });

  test('it is the very process that was started: killed by a signal, it is reported as that', async () => {
    for (const signal of ['SIGTERM', 'SIGKILL', 'SIGHUP', 'SIGPIPE', 'SIGSEGV'] as const) {
      const child = start([BROKER, 'run', 'sh', '-c', 'echo $$; exec sleep 1000']);
      const [pid] = (await once(child.stdout ?? child, 'data')) as [Buffer];
      expect(Number(pid.toString())).toBe(child.pid);
      child.kill(signal);
      expect(await once(child, 'close')).toEqual([null, signal]);
    }
  });

  test('stopped and continued, it is', async () => {
    const child = start([BROKER, 'run', 'sh', '-c', 'echo started; exec cat']);
    await once(child.stdout ?? child, 'data');
    const state = () => readFileSync(`/proc/${child.pid}/stat`, 'utf8').replace(/^.*\) /s, '')[0];
    child.kill('SIGSTOP');
    if (isLinux) await until(() => state() === 'T');
    child.kill('SIGCONT');
    child.stdin?.end('and goes on\n');
    expect(String((await once(child.stdout ?? child, 'data'))[0])).toBe('and goes on\n');
    expect(await once(child, 'close')).toEqual([0, null]);
  });

  test('what is written to it, and what it writes, goes straight through', async () => {
    const child = start([BROKER, 'run', 'cat']);
    const block = Buffer.alloc(1 << 20, 'x');
    let received = 0;
    child.stdout?.on('data', (bytes: Buffer) => {
      received += bytes.length;
    });
    for (let sent = 0; sent < 100; sent += 1) {
      if (child.stdin?.write(block) === false) await once(child.stdin, 'drain');
    }
    child.stdin?.end();
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(received).toBe(100 << 20);
  });

  test('a gigabyte of output arrives whole', async () => {
    const outcome = await run('sh', ['-c', '"$0" run head -c 1073741824 /dev/zero | wc -c', BROKER], home.env);
    expect(outcome).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\s*1073741824\n$/), stderr: '' });
  });

  test('a reader that goes away ends it as without', async () => {
    const outcome = await run('sh', ['-c', `"$0" run yes | head -n 1; "$0" run true`, BROKER], home.env);
    expect(outcome).toEqual({ code: 0, signal: null, stdout: 'y\n', stderr: '' });
    const status = await run('bash', ['-c', '"$0" run yes | head -n 1; echo ${PIPESTATUS[0]}', BROKER], home.env);
    expect(status.stdout).toBe('y\n141\n');
  });

  test('closed streams stay closed', async () => {
    const file = path.join(home.folder, 'seen');
    const closed = `"$0" run sh -c 'readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2 >"$1"; echo $? >>"$1"' sh "$1" <&- >&- 2>&-`;
    await run('sh', ['-c', closed, BROKER, file], home.env);
    if (isLinux) expect(readFileSync(file, 'utf8')).toBe(`${file}\n1\n`);
  });

  test('past bin/broker, through Node, it does the same where Node can', async () => {
    const outcome: Outcome = await run(
      process.execPath,
      [PROGRAM, 'run', 'sh', '-c', 'echo $ANTHROPIC_API_KEY; kill -9 $$'],
      home.env,
    );
    expect(outcome).toEqual({ code: null, signal: 'SIGKILL', stdout: `${KEY}\n`, stderr: '' });
  });

  test('its help says what an environment is', async () => {
    for (const word of ['--help', '-h']) {
      const { code, stdout } = await broker(word);
      expect(code).toBe(0);
      expect(stdout).toContain('Usage: broker run [--env NAME[=CREDENTIAL]]... [--quiet] [--] CMD [ARGS...]');
      expect(stdout).toMatch(/not a secret place.*\/proc\/PID\/environ/s);
    }
  });
});

describe.skipIf(runner === undefined)('broker run where no daemon runs', () => {
  test('starts one, which is no child of the program', async () => {
    await using home = new TemporaryHome(CONFIG);
    const command = [process.execPath, '--disable-sigusr1', PROGRAM, 'daemon'];
    writeLaunchRecord(home.state, {
      run: command,
      env: { PATH: process.env['PATH'] ?? '' },
      service: undefined,
      autostart: true,
    });
    const env = { ...home.env, PATH: process.env['PATH'] ?? '' };
    const children = 'read -r children </proc/$$/task/$$/children; echo "$A $children."';
    const outcome = await run(BROKER, ['run', '--env', 'A', 'sh', '-c', isLinux ? children : 'echo "$A ."'], env);
    expect(outcome).toMatchObject({ signal: null, stdout: `${PLAIN_KEY} .\n`, stderr: '' });
    expect(home.daemonPid).toBeDefined();
  });
});

const JOB = `
$| = 1;
sub size { system "stty size" }
$SIG{WINCH} = \\&size;
$SIG{INT} = sub { print "cut\\n" };
size();
while (1) {
  my $length = sysread(STDIN, my $line, 4096);
  next unless defined $length;
  last unless $length;
  chomp $line;
  print "<$line>\\n";
}
`;

describe.skipIf(runner === undefined || !hasTmux())('in a terminal', () => {
  let home: BrokerHome;
  let terminal: BrokerTerminal;

  beforeAll(async () => {
    home = new BrokerHome(CREDENTIALS);
    await home.start();
  });
  afterAll(() => home.close());
  beforeEach(() => {
    terminal = new BrokerTerminal();
  });
  afterEach(() => terminal.close());

  const shell = async () => {
    const env = { ...home.env, PS1: '$ ' };
    await terminal.runProgram(['bash', '--noprofile', '--norc', '-i'], env, home.folder);
    await terminal.until(/^\$ /m);
  };
  const enter = async (line: string) => {
    await terminal.type(line);
    await terminal.press('Enter');
  };

  test('a job is stopped by Ctrl-Z, listed, brought back, resized and interrupted as without', async () => {
    await shell();
    const program = path.join(home.folder, 'job.pl');
    writeFileSync(program, JOB);
    await enter(`${BROKER} run perl ${program}`);
    await terminal.until(/^60 120$/m);
    await terminal.resize(100, 40);
    await terminal.until(/^40 100$/m);
    await enter('one');
    await terminal.until('<one>');
    await terminal.press('C-z');
    await terminal.until(/Stopped/);
    await enter('jobs -l');
    await terminal.until(/\[1\]\+ +\d+ Stopped/);
    await enter('fg');
    await enter('two');
    await terminal.until('<two>');
    await terminal.press('C-c');
    await terminal.until('cut');
    await enter('three');
    await terminal.until('<three>');
    await terminal.press('C-d');
    await enter('echo "code $?"');
    await terminal.until(/^code 0$/m);
  });

  test('what is interrupted ends by the signal', async () => {
    await shell();
    await enter(`${BROKER} run sh -c 'echo begun; exec sleep 1000'`);
    await terminal.until(/^begun$/m);
    await terminal.press('C-c');
    await enter('echo "code $?"');
    await terminal.until(/^code 130$/m);
  });
});
