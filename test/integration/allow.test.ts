import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { helperLines } from '../../src/claude/install/enrol.ts';
import { enrolmentFile, readEnrolment, writeEnrolment } from '../../src/platform/enrolment.ts';
import { helperPath } from '../../src/platform/native.ts';
import type { BrokerEvent } from '../../src/protocol/reports.ts';
import { BrokerHome, type Finished, PROGRAM, RunningDaemon } from '../fakes/daemon-process.ts';
import { PerlClient, perlText } from '../fakes/perl-client.ts';
import { shellWord } from '../fakes/processes.ts';
import { canWrap, hasProgram, WRAPPER_NAMES, wrapperScript } from '../fakes/wrappers.ts';
import { compile, compiles } from '../native/compile.ts';

const KEY = 'sk-ant-canary-allow-0123456789';
const isRoot = process.getuid?.() === 0;
/** To root nothing of the helper is hidden, to the user whose helper it is nearly everything. */
const ORDINARY = isRoot ? 54_323 : undefined;
const isReachable =
  ORDINARY === undefined ||
  spawnSync(process.execPath, [PROGRAM, '--version'], { uid: ORDINARY, gid: ORDINARY, cwd: '/' }).status === 0;
const canTest = process.platform === 'linux' && helperPath() !== undefined && existsSync('/usr/bin/perl');
if (canTest && !isReachable) console.warn('tested as root only: an ordinary user cannot reach this folder');

const config = (allow = '["claude-code"]') => `default = "key"
[providers.command]
type = "exec"
[credentials.key]
allow = ${allow}
provider = "command"
command = ["echo", "${KEY}"]
[credentials.free]
provider = "command"
command = ["echo", "${KEY}"]
`;

describe.skipIf(!canTest)('allow = ["claude-code"]', () => {
  let home: BrokerHome;
  let client: PerlClient;
  let helper: string;

  beforeAll(async () => {
    const uid = isReachable ? ORDINARY : undefined;
    home = new BrokerHome(config(), uid);
    client = new PerlClient(home.folder, home.env, uid);
    helper = join(home.folder, 'broker-key');
    copyFileSync(helperPath() ?? '', helper);
    chmodSync(helper, 0o755);
    await home.start();
    await install(helper);
  });
  afterAll(() => home.close());

  const install = async (program: string, ...args: string[]) =>
    expect(await home.broker('claude', 'install', '--helper', program, ...args)).toMatchObject({ code: 0, stderr: '' });

  /** As `install` does, without starting a program for it. */
  function enrol(line: string): void {
    const uid = isReachable ? (ORDINARY ?? process.getuid?.() ?? 0) : (process.getuid?.() ?? 0);
    const before = readEnrolment(home.stateDir, uid);
    const lines = helperLines([{ path: ['apiKeyHelper'], value: line }], line, 'api-key');
    writeEnrolment(home.stateDir, uid, { ...before, lines: [...before.lines, ...lines] });
    if (isRoot) chownSync(enrolmentFile(home.stateDir), uid, uid);
  }

  function script(name: string, text: string): string {
    const file = join(home.folder, name);
    writeFileSync(file, text);
    chmodSync(file, 0o755);
    return file;
  }

  async function lastEvent(): Promise<BrokerEvent> {
    const { stdout } = await home.shell(`perl -e ${shellWord(byHttp('/v1/events?limit=1'))}`);
    return JSON.parse(/\{.*\}/.exec(stdout)?.[0] ?? '{}') as BrokerEvent;
  }

  async function expectRefused(asked: Promise<Finished>, clause: string, words = /./): Promise<void> {
    const { code, stdout, stderr } = await asked;
    expect({ code, stdout }).toEqual({ code: 77, stdout: '' });
    expect(stderr).toMatch(/^broker-key: "key" is for Claude Code's own helper calls, .* taken for [^\n]+\n$/);
    expect(stderr.length).toBeLessThanOrEqual(400);
    expect(stderr).toMatch(words);
    expect(await lastEvent()).toMatchObject({ kind: 'caller-refused', credential: 'key', detail: { clause } });
  }

  /** As any program of the user can, in perl. */
  const byHttp = (path: string) =>
    `use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => ${perlText(home.socket)}) or die;
    print $s "GET ${path} HTTP/1.1\\r\\nHost: b\\r\\nConnection: close\\r\\n\\r\\n"; local $/; print <$s>;`;

  const SERVED = { code: 0, stdout: `${KEY}\n`, stderr: '' };

  describe('serves', () => {
    it('the line that `broker claude install` wrote', async () => {
      expect(await client.helper(helper)).toEqual(SERVED);
    });

    it('the line of another helper setting, in its own format', async () => {
      await install(helper, '--for', 'otel');
      const { code, stdout } = await client.helper(`${helper} --format headers`);
      expect({ code, ...JSON.parse(stdout) }).toEqual({ code: 0, 'x-api-key': KEY });
      expect(await client.helper(helper)).toEqual(SERVED);
    });

    it.each(WRAPPER_NAMES.filter(canWrap))('a script around the helper that was installed: %s', async (name) => {
      const file = script(`wrapped-${name.replace(' ', '-')}`, wrapperScript(name, helper));
      enrol(file);
      expect(await client.helper(file)).toEqual(SERVED);
    });

    it.each(WRAPPER_NAMES.filter(canWrap))('a script around the helper where /bin/sh is bash: %s', async (name) => {
      const file = script(`in-bash-${name.replace(' ', '-')}`, wrapperScript(name, helper));
      await install(file);
      expect(await client.helperInBash(`${file} || exit`)).toEqual(SERVED);
      expect((await client.helperInBash('/bin/false || exit')).code).toBe(1);
      await install(helper);
      expect(await client.helperInBash(helper)).toEqual(SERVED);
    });

    it('a client whose file an update has replaced', async () => {
      const updated = new PerlClient(join(home.folder, 'updated'), home.env, isReachable ? ORDINARY : undefined);
      expect(await updated.run(`unlink ${perlText(updated.program)} or die; helper(${perlText(helper)});`)).toEqual(
        SERVED,
      );
    });

    it('everybody with a credential that has no `allow`', async () => {
      expect(await home.shell(`${helper} free`)).toEqual(SERVED);
      expect(await client.tool(`${helper} free`)).toEqual(SERVED);
    });
  });

  describe('refuses with 77, one line and the clause in the events', () => {
    it.each<[string, string]>([
      ['directly', 'KEY'],
      ['in the background', 'KEY & wait $!'],
      ['with nohup', 'nohup KEY'],
      ['with its variables unset', 'env -u CLAUDECODE KEY'],
      ['in an empty environment', 'env -i BROKER_SOCKET="$BROKER_SOCKET" KEY'],
      ['in a session of its own', 'setsid -w KEY'],
      ['by the very line', '/bin/sh -c KEY; exit $?'],
      ['exec-ed, so that the client is its parent', 'exec KEY'],
      ['exec into a perfect chain', 'exec /bin/sh -c KEY'],
      [
        'with a socket as stdin',
        `perl -MSocket -e 'socketpair(A,B,AF_UNIX,SOCK_STREAM,0); open STDIN,"<&A"; exec "KEY"'`,
      ],
      ['in its client’s process group', `perl -e 'setpgrp(0, getpgrp(getppid())); exec "KEY"'`],
      ['under another name', `perl -e '$0 = "claude"; system("KEY"); exit $? >> 8'`],
    ])('the agent’s shell, %s', async (_, command) => {
      await expectRefused(client.tool(command.replaceAll('KEY', helper), { CLAUDECODE: '1' }), 'session');
    });

    it.skipIf(!hasProgram('script'))('the agent’s shell, with a terminal of its own', async () => {
      const { stdout } = await client.tool(`script -qec ${helper} /dev/null`);
      expect(stdout).toContain('is for Claude Code');
      expect(stdout).not.toContain(KEY);
      expect((await lastEvent()).detail['clause']).toBe('session');
    });

    it('the agent’s shell, as a child of the client by CLONE_PARENT', async () => {
      const clone = `if (syscall(56, 0x8000 | 17, 0, 0, 0, 0) == 0) { exec ${perlText(helper)} } POSIX::_exit(0);`;
      const asks = `if (fork() == 0) { POSIX::setsid(); ${clone} } my $code = 0; while (wait() > 0) { $code ||= $? >> 8 } exit $code;`;
      if (process.arch === 'x64') await expectRefused(client.run(asks), 'session');
    });

    it('a hook and the status line, whatever their line', async () => {
      for (const line of [helper, `${helper}; exit $?`]) {
        const hook = `exit child(sub { POSIX::setsid() }, '/bin/sh', '-c', ${perlText(line)});`;
        await expectRefused(client.run(hook), 'session', /a hook|hook or the status line/);
      }
    });

    it('a stdio MCP server and its children', async () => {
      const server = `exit child(\\&socket_in, 'perl', '-e', ${perlText(`system('${helper}'); exit $? >> 8`)});`;
      await expectRefused(client.run(server), 'line', /an MCP server/);
    });

    it('a line that somebody has changed, and says what to do', async () => {
      await expectRefused(client.helper(`${helper} key`), 'line', /write the line again: broker claude install$/m);
      await expectRefused(client.helper(` ${helper}; exit $?`), 'line');
    });

    it('a line with setsid in it', async () => {
      const file = script('with-setsid', `#!/bin/sh\nexec setsid -w ${helper}\n`);
      enrol(file);
      await expectRefused(client.helper(file), 'session');
    });

    it.skipIf(!hasProgram('setpriv'))('a restricted process in the client’s session', async () => {
      const file = script('restricted', `#!/bin/sh\nexec setpriv --no-new-privs ${helper}\n`);
      enrol(file);
      await expectRefused(client.helper(file), 'privileges');
    });

    it('a process in other namespaces in the client’s session', async () => {
      const file = script('elsewhere', `#!/bin/sh\nexec unshare --user --net ${helper}\n`);
      enrol(file);
      const asked = await client.helper(file);
      if (asked.stderr.startsWith('unshare')) return;
      // Seen from another user namespace, the socket's owner is nobody: then it is the helper that refuses.
      expect(asked).toMatchObject({ code: 77, stdout: '' });
    });

    it('a person in a shell, broker get, cron', async () => {
      await expectRefused(home.shell(`${helper}; exit $?`), 'client', /another program's call|in a terminal/);
      expect(await home.broker('get')).toMatchObject({ code: 77, stdout: '' });
      expect((await lastEvent()).detail['clause']).toBe('client');
    });

    it('a client that an agent has started', async () => {
      const nested = `helper(${perlText(helper)});`;
      const starts = (before: string) =>
        client.tool(`${before} ${client.program} -e "$NESTED"; exit $?`, { NESTED: `${client.prelude}${nested}` });
      await expectRefused(starts(''), 'nested');
      await expectRefused(starts('env -u CLAUDECODE setsid -w'), 'nested');
      await expectRefused(client.helper(helper, { CLAUDECODE: '1' }), 'nested');
    });

    it('a program of another name, however it calls itself', async () => {
      const command = `perl -e '$0 = "claude"; exec { "/bin/sh" } "/bin/sh", "-c", "${helper}; exit \\$?"'`;
      await expectRefused(home.shell(command), 'client');
    });

    it('whoever holds the connection of a process that has ended', async () => {
      const request =
        'GET /v1/credentials/key/key HTTP/1.1\\r\\nHost: broker\\r\\nAccept: text/plain\\r\\nConnection: close\\r\\nUser-Agent: broker-key/1\\r\\n\\r\\n';
      const asks = `socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die; pipe(my $r, my $w);
        if (fork() == 0) { connect($s, pack_sockaddr_un(${perlText(home.socket)})) or die; POSIX::_exit(0) }
        wait(); syswrite($s, "${request}"); local $/; print <$s>;`;
      const { stdout } = await client.run(asks);
      expect(stdout).toContain('broker-exit-code: 77');
      expect(stdout).not.toContain(KEY);
      expect((await lastEvent()).detail['clause']).toBe('peer');
    });

    it.each(['raw', 'json', 'headers', 'aws', 'proxy'])(
      'the format %s by HTTP, whoever asks by hand',
      async (format) => {
        const curl = byHttp(`/v1/credentials/key/key?format=${format}`);
        for (const asked of [client.run(curl), home.shell(`perl -e ${shellWord(curl)}`)]) {
          const { stdout } = await asked;
          expect(stdout).toMatch(/^HTTP\/1\.1 403 /);
          expect(stdout).toContain('"code":"ERR_CALLER_REFUSED"');
          expect(stdout).not.toContain(KEY);
        }
      },
    );
  });

  it('shows it in the status, and no answer but that for the key has the key', async () => {
    await client.helper(helper);
    const { stdout } = await home.broker('status', '--json');
    const { credentials } = JSON.parse(stdout);
    expect(credentials.map(({ name, allow }: { name: string; allow: unknown }) => [name, allow])).toEqual([
      ['key', ['claude-code']],
      ['free', []],
    ]);
    const said = await Promise.all(
      [
        ['status'],
        ['status', '--json'],
        ['refresh', 'key'],
        ['refresh', '--all', '--json'],
        ['config', 'show'],
        ['events', '--json'],
        ['invalidate', 'key'],
      ].map((words) => home.broker(...words)),
    );
    // The command that prints it is in the configuration of this test.
    for (const { stdout: text } of said) expect(text.replaceAll(`"${KEY}"`, '')).not.toContain(KEY);
  });

  it('takes effect, and ends, with the configuration', async () => {
    home.configure(config('["claude-code-background"]'));
    await expect.poll(async () => (await client.helper(helper)).stderr).toContain('in the foreground');
    home.configure(config());
    await expect.poll(() => client.helper(helper)).toEqual(SERVED);
  });

  it('serves nobody while others could write what is recorded', async () => {
    const file = enrolmentFile(home.stateDir);
    chmodSync(file, 0o666);
    await expectRefused(client.helper(helper), 'line', /others can reach it; .*chmod 600/);
    chmodSync(file, 0o600);
    const text = readFileSync(file);
    writeFileSync(file, '{"version":1,"lines":[');
    await expectRefused(client.helper(helper), 'line', /damaged/);
    writeFileSync(file, text);
    expect(await client.helper(helper)).toEqual(SERVED);
    if (!isRoot) return;
    chownSync(file, 12_345, 12_345);
    await expectRefused(client.helper(helper), 'line', /belongs to uid 12345|cannot be read/);
    chownSync(file, ORDINARY ?? 0, ORDINARY ?? 0);
  });

  /** docs/allow.md, "Known open": to the kernel these are the client's own call. */
  describe('known open: serves wrongly', () => {
    it('a new client, started by a double fork with its variables unset', async () => {
      const out = join(home.folder, 'stolen');
      const steal = script('steal', `#!/bin/sh\n${helper} > '${out}'\n`);
      enrol(steal);
      const start = `exec { ${perlText(client.program)} } 'claude', '-e', $ENV{THEFT};`;
      const orphan = `my $middle = $$; if (fork() == 0) { select(undef, undef, undef, 0.01) while getppid() == $middle; ${start} } POSIX::_exit(0);`;
      const tool = `if (fork() == 0) { POSIX::setsid(); delete $ENV{CLAUDECODE}; ${orphan} } wait();`;
      await client.run(tool, { CLAUDECODE: '1', THEFT: `${client.prelude}helper(${perlText(steal)});` });
      await expect.poll(() => existsSync(out) && readFileSync(out, 'utf8')).toBe(`${KEY}\n`);
    });

    it.skipIf(!compiles('cc', ['-shared', '-fPIC']))('foreign code in the client’s own, true executable', async () => {
      const source = join(home.folder, 'preload.c');
      writeFileSync(source, PRELOAD);
      using library = compile('cc', [source], ['-shared', '-fPIC']);
      chmodSync(library.file, 0o755);
      chmodSync(dirname(library.file), 0o755);
      const place = join(home.folder, 'true', '@anthropic-ai', 'claude-code', 'claude');
      mkdirSync(dirname(place), { recursive: true });
      copyFileSync('/bin/true', place);
      const start = `exec setsid -w env LD_PRELOAD=${library.file} LINE='${helper}' ${place}`;
      expect(await home.shell(start)).toEqual(SERVED);
    });

    it.skipIf(!compiles('cc', ['-shared', '-fPIC']))(
      'a library that the settings’ `env` loads into the helper’s shell',
      async () => {
        const source = join(home.folder, 'preload.c');
        writeFileSync(source, PRELOAD);
        using library = compile('cc', [source], ['-shared', '-fPIC']);
        chmodSync(library.file, 0o755);
        chmodSync(dirname(library.file), 0o755);
        const out = join(home.folder, 'loaded');
        const steal = `$ENV{LD_PRELOAD} = ${perlText(library.file)}; $ENV{LINE} = ${perlText(`${helper} > '${out}'`)}; helper(${perlText(helper)});`;
        expect(await client.run(steal)).toMatchObject({ stdout: SERVED.stdout });
        expect(readFileSync(out, 'utf8')).toBe(SERVED.stdout);
      },
    );

    it.skipIf(!canTrace())('a debugger’s hand in an MCP server', async ({ skip }) => {
      const out = join(home.folder, 'traced');
      // Its environment is empty.
      const steal = script('trace', `#!/bin/sh\nBROKER_SOCKET='${home.socket}' ${helper} > '${out}'\n`);
      enrol(steal);
      const server = `my $server = fork(); if ($server == 0) { exec 'sleep', '1000' }`;
      // The attacker is what the agent runs: in a session of its own.
      const asleep = `sub asleep { open(my $f, '<', "/proc/$server/syscall") or return; (<$f> // '') =~ /^(35|230) / }`;
      const attack = `${asleep} select(undef, undef, undef, 0.01) until asleep(); if (fork() == 0) { POSIX::setsid(); ${TRACE} } wait(); waitpid($server, 0);`;
      const { stderr } = await client.run(`${server} ${attack}`, { LINE: steal });
      if (stderr.includes('cannot attach')) skip('no process may be traced here');
      expect(stderr).toBe('');
      expect(readFileSync(out, 'utf8')).toBe(`${KEY}\n`);
    });

    it('an MCP server whose command is the recorded line', async () => {
      expect(await client.run(`exit child(\\&socket_in, ${perlText(helper)});`)).toEqual(SERVED);
    });

    it('the recorded line with exec and a redirection', async () => {
      const out = join(home.folder, 'redirected');
      expect(await client.helper(`exec ${helper} > '${out}'`)).toMatchObject({ code: 0 });
      expect(readFileSync(out, 'utf8')).toBe(SERVED.stdout);
    });

    it('a recorded script whose text the agent has changed', async () => {
      const file = script('changed', `#!/bin/sh\nexec ${helper}\n`);
      enrol(file);
      script('changed', `#!/bin/sh\n${helper} | tee '${join(home.folder, 'copy')}'\n`);
      expect(await client.helper(file)).toEqual(SERVED);
    });
  });
});

/** Only root can mount a /proc, and only an ordinary user is hidden anything. */
describe.skipIf(!canTest || !isRoot || !isReachable || !canMountProc())('a daemon that cannot see who asks', () => {
  it.each([
    [
      'because /proc hides it',
      '--mount',
      'mount -t proc -o hidepid=invisible proc /proc && exec',
      /the kernel hides it/,
    ],
    [
      'because it is in another pid namespace',
      '--mount-proc --pid --fork --kill-child',
      // The first process of the namespace takes the others with it.
      'true &&',
      /another pid namespace/,
    ],
  ])('refuses, %s', async (_, spaces, before, words) => {
    await using home = new BrokerHome(config(), ORDINARY);
    const client = new PerlClient(home.folder, home.env, ORDINARY);
    const helper = join(home.folder, 'broker-key');
    copyFileSync(helperPath() ?? '', helper);
    chmodSync(helper, 0o755);
    const become = `setpriv --reuid=${ORDINARY} --regid=${ORDINARY} --clear-groups`;
    const inside = ['sh', '-c', `${before} ${become} "$@"`, 'sh', process.execPath, PROGRAM, 'daemon'];
    const child = spawn('unshare', [...spaces.split(' '), ...inside], {
      env: home.env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const daemon = new RunningDaemon(child);
    try {
      await daemon.whenLogged('broker is ready');
      expect(await home.broker('claude', 'install', '--helper', helper)).toMatchObject({ code: 0 });
      const { code, stdout, stderr } = await client.helper(helper);
      expect({ code, stdout }).toEqual({ code: 77, stdout: '' });
      expect(stderr).toMatch(words);
    } finally {
      await daemon.end('SIGKILL');
    }
  });
});

const PRELOAD = `
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((constructor)) static void run(void)
{
    int status = 0;
    if (getenv("LINE") == NULL || fork() != 0) {
        wait(&status);
        return;
    }
    unsetenv("LD_PRELOAD");
    execl("/bin/sh", "/bin/sh", "-c", getenv("LINE"), (char *)NULL);
}
`;

function canMountProc(): boolean {
  const mount = ['sh', '-c', 'mount -t proc -o hidepid=invisible proc /proc && setpriv --version'];
  return spawnSync('unshare', ['--mount', '--pid', '--fork', ...mount]).status === 0;
}

function canTrace(): boolean {
  const yama = '/proc/sys/kernel/yama/ptrace_scope';
  return process.arch === 'x64' && !(existsSync(yama) && readFileSync(yama, 'utf8').trim() !== '0');
}

/** Has $server run the line: ptrace(2) of x86-64, at the system call in which it waits. */
const TRACE = `
sub trace { return syscall(101, @_) }
trace(16, $server, 0, 0) == 0 or do { print STDERR 'cannot attach'; kill 'KILL', $server; POSIX::_exit(1) };
waitpid($server, 0);
my $regs = "\\0" x 216;
trace(12, $server, 0, $regs);
my @r = unpack('Q27', $regs);
my $at = ($r[19] - 4096) & ~15;
my @words = ('/bin/sh', '-c', $ENV{LINE});
my ($strings, @argv) = ('');
for (@words) { push @argv, $at + 64 + length $strings; $strings .= "$_\\0" }
my $data = pack('Q4', @argv, 0) . "\\0" x 32 . $strings;
$data .= "\\0" x (8 - length($data) % 8);
trace(5, $server, $at + 8 * $_, unpack('Q', substr($data, 8 * $_, 8))) for 0 .. length($data) / 8 - 1;
@r[10, 15, 16, 14, 13, 12] = (59, 2 ** 64 - 1, $r[16] - 2, $argv[0], $at, $at + 24);
trace(13, $server, 0, my $set = pack('Q27', @r));
trace(17, $server, 0, 0);
POSIX::_exit(0);
`;
