import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolmentFile, readEnrolment } from '../../src/platform/enrolment.ts';
import { helperPath } from '../../src/platform/native.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';
import { perlText } from '../fakes/perl-client.ts';

const KEY = 'sk-ant-canary-second-user-0123456789';
const OTHER = 54_324;
const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn('skipped: another user can be played only by root');

const CONFIG = `default = "key"
[providers.command]
type = "exec"
[credentials.key]
provider = "command"
command = ["echo", "${KEY}"]
[credentials.guarded]
provider = "command"
command = ["echo", "${KEY}"]
allow = ["claude-code"]
`;

/** The daemon is root's here, and so the strangest owner that there is: what holds for its files holds for any user's. */
describe.skipIf(!isRoot || helperPath() === undefined)('another user', () => {
  let home: BrokerHome;
  let theirs: string;

  beforeAll(async () => {
    home = new BrokerHome(process.platform === 'linux' ? CONFIG : CONFIG.replace(/^allow.*\n/m, ''));
    theirs = mkdtempSync(join(tmpdir(), 'broker-other-'));
    spawnSync('chown', [String(OTHER), theirs]);
    copyFileSync(helperPath() ?? '', join(theirs, 'broker-key'));
    chmodSync(join(theirs, 'broker-key'), 0o755);
    await home.start();
    const words = ['--helper', helperPath() ?? '', '--settings', join(home.folder, 'settings.json')];
    expect(await home.broker('claude', 'install', ...words)).toMatchObject({ code: 0 });
    expect(await home.key()).toMatchObject({ code: 0, stdout: `${KEY}\n` });
  });
  afterAll(async () => {
    await home.close();
    rmSync(theirs, { recursive: true, force: true });
  });

  /** Everything that this user's own files can be opened to by mistake. */
  function open(...places: readonly [path: string, mode: number][]): Disposable {
    const before = places.map(([path]) => [path, statSync(path).mode & 0o7777] as const);
    for (const [path, mode] of places) chmodSync(path, mode);
    return {
      [Symbol.dispose]: () => {
        for (const [path, mode] of before) chmodSync(path, mode);
      },
    };
  }

  function as(command: readonly string[], env: Record<string, string> = {}) {
    const [program = '', ...args] = command;
    const { PATH = '' } = process.env;
    return spawnSync(program, args, {
      uid: OTHER,
      gid: OTHER,
      cwd: theirs,
      encoding: 'utf8',
      env: { PATH, HOME: theirs, ...env },
    });
  }

  const asks = (request: string) => [
    'perl',
    '-e',
    `use IO::Socket::UNIX; $SIG{PIPE} = 'IGNORE'; my $s = IO::Socket::UNIX->new(Peer => ${perlText(home.socket)}) or die "no: $!"; syswrite($s, "${request}"); local $/; print <$s>;`,
  ];
  const REQUESTS = [
    'GET /v1/credentials/key/key HTTP/1.1\\r\\nHost: broker\\r\\nAccept: text/plain\\r\\nConnection: close\\r\\nUser-Agent: broker-key/1\\r\\n\\r\\n',
    ...['/v1/credentials/guarded/key?format=json', '/v1/status', '/v1/events', '/v1/config'].map(
      (path) => `GET ${path} HTTP/1.1\\r\\nHost: b\\r\\nConnection: close\\r\\n\\r\\n`,
    ),
    'POST /v1/rotate-key?discard=1 HTTP/1.1\\r\\nHost: b\\r\\nConnection: close\\r\\n\\r\\n',
  ];

  it('cannot connect', () => {
    for (const request of REQUESTS) expect(as(asks(request)).stderr).toMatch(/no: Permission denied/);
  });

  it('is refused although folder and socket were opened by mistake', () => {
    using _ = open([home.folder, 0o755], [dirname(home.socket), 0o755], [home.socket, 0o666]);
    for (const request of REQUESTS) {
      const { stdout } = as(asks(request));
      expect(stdout).toMatch(/^HTTP\/1\.1 403 [\s\S]*"code":"ERR_PEER_REFUSED"/);
      expect(stdout).not.toContain(KEY);
      expect(stdout).not.toContain('guarded');
    }
    const helper = as([join(theirs, 'broker-key')], { BROKER_SOCKET: home.socket });
    expect(helper).toMatchObject({ status: 77, stdout: '' });
  });

  it('reads nothing of it, although the folders above were opened by mistake', () => {
    using _ = open([home.folder, 0o755], [home.stateDir, 0o755], [join(home.stateDir, 'claude'), 0o755]);
    const found = as(['find', home.folder, '-type', 'f', '-readable']);
    expect(found.stdout.split('\n').filter((file) => !/^$|\/bin\/broker-key$/.test(file))).toEqual([]);
    expect(as(['find', home.stateDir, '-writable']).stdout).toBe('');
    for (const file of [home.configFile, enrolmentFile(home.stateDir), join(home.stateDir, 'kek')]) {
      expect(existsSync(file)).toBe(true);
      expect(as(['cat', file]).stderr).toMatch(/Permission denied/);
    }
  });

  it('cannot look into the daemon or the helper', () => {
    const pid = String(home.lastPid);
    for (const file of ['mem', 'environ', 'maps']) {
      expect(as(['head', '-c', '1', `/proc/${pid}/${file}`])).toMatchObject({ stdout: '' });
    }
    expect(as(['kill', pid]).status).not.toBe(0);
  });

  it('cannot replace, move or remove what is its own', () => {
    using _ = open([home.folder, 0o755], [dirname(home.socket), 0o755], [home.stateDir, 0o755]);
    const files = ['lock', 'kek', 'cache.db'].map((name) => join(home.stateDir, name));
    for (const file of [home.socket, home.configFile, enrolmentFile(home.stateDir), ...files]) {
      expect(as(['rm', '-f', file]).status, file).not.toBe(0);
      expect(as(['mv', file, join(theirs, 'moved')]).status, file).not.toBe(0);
      expect(as(['ln', '-sfn', join(theirs, 'x'), file]).status, file).not.toBe(0);
    }
    // fs.protected_hardlinks, or else the modes: no second name through which the content could be reached.
    as(['ln', join(home.stateDir, 'kek'), join(theirs, 'kek')]);
    expect(as(['cat', join(theirs, 'kek')]).stdout).toBe('');
  });

  it.runIf(process.platform === 'linux')('cannot enrol a line for it, in a folder that was opened to all', async () => {
    const file = enrolmentFile(home.stateDir);
    const { lines } = readEnrolment(home.stateDir, 0);
    expect(lines).toHaveLength(1);
    const forged = { line: 'x', words: ['x'], file: 'f', target: 't' };
    const record = JSON.stringify({ version: 1, lines: [forged], clients: [] });
    {
      using _ = open([home.folder, 0o755], [home.stateDir, 0o755], [dirname(file), 0o777]);
      expect(as(['sh', '-c', `rm -f '${file}' && umask 077 && echo '${record}' > '${file}'`]).status).toBe(0);
      expect(readEnrolment(home.stateDir, 0)).toMatchObject({
        lines: [],
        flaw: { reason: expect.stringMatching(/others can reach it/) },
      });
    }
    expect(readEnrolment(home.stateDir, 0)).toMatchObject({
      lines: [],
      flaw: { reason: expect.stringMatching(/belongs to uid 54324/) },
    });
    const words = ['--helper', helperPath() ?? '', '--settings', join(home.folder, 'settings.json')];
    expect(await home.broker('claude', 'install', ...words)).toMatchObject({ code: 0 });
    expect(readEnrolment(home.stateDir, 0)).toEqual({ lines, clients: [] });
  });

  it('cannot have the daemon use a state folder, a socket folder or a configuration that it has laid out', async () => {
    const squat = join(theirs, 'squat');
    mkdirSync(squat, { mode: 0o777 });
    as(['sh', '-c', 'mkdir -m 700 state run; printf "" > config.toml; ln -s /root linked; mkdir -m 777 open']);
    const starts = async (env: Record<string, string>) => {
      const program = [process.execPath, join(import.meta.dirname, '..', '..', 'bin', 'broker.mjs'), 'daemon'];
      return spawnSync(program[0] ?? '', program.slice(1), {
        encoding: 'utf8',
        env: { ...home.env, ...env },
        timeout: 20_000,
      });
    };
    const own = mkdtempSync(join(tmpdir(), 'broker-own-'));
    const fresh = { BROKER_STATE_DIR: join(own, 'state'), BROKER_SOCKET: join(own, 'broker.sock') };
    try {
      for (const [env, words] of [
        [{ BROKER_STATE_DIR: join(theirs, 'state') }, /belongs to uid 54324/],
        [{ BROKER_STATE_DIR: join(theirs, 'linked') }, /is a symbolic link/],
        [{ BROKER_STATE_DIR: join(theirs, 'open') }, /belongs to uid 54324|others can reach it/],
        [{ ...fresh, BROKER_SOCKET: join(theirs, 'run', 'broker.sock') }, /belongs to uid 54324/],
        [{ ...fresh, BROKER_CONFIG: join(theirs, 'config.toml') }, /belongs to uid 54324/],
      ] as const) {
        const { status, stderr } = await starts(env);
        expect([77, 78]).toContain(status);
        expect(stderr).toMatch(words);
      }
    } finally {
      rmSync(own, { recursive: true, force: true });
    }
  });
});
