import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type ConfigCommandParts, configCommand } from '../../src/cli/commands/config.ts';
import { main } from '../../src/cli/main.ts';
import type { ProcessIo } from '../../src/platform/process-io.ts';
import type { ConfigValue } from '../../src/protocol/reports.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { providerTypes } from '../fakes/provider-schemas.ts';

const SOUND = `[providers.v]
type = "vault"
auth = { method = "token", token = "hunter2" }
[credentials.c]
provider = "v"
path = "secret/data/c"
`;

let home: string;
let file: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'broker-config-command-'));
  file = path.join(home, 'config.toml');
  await writeFile(file, SOUND, { mode: 0o600 });
});
afterEach(() => rm(home, { recursive: true, force: true }));

async function run(words: readonly string[], more: { env?: object; parts?: Partial<ConfigCommandParts> } = {}) {
  const out = { stdout: '', stderr: '', code: 0 };
  const io: ProcessIo = {
    stdout: (text) => {
      out.stdout += text;
    },
    stderr: (text) => {
      out.stderr += text;
    },
    env: { BROKER_CONFIG: file, VAULT_ADDR: 'https://v:8200', ...more.env },
    homeDir: home,
    uid: process.getuid?.() ?? 0,
    pid: 1,
    ppid: 1,
    platform: 'linux',
    stdoutIsTty: false,
    stderrIsTty: false,
    columns: undefined,
    clock: new FakeClock(),
    signal: new AbortController().signal,
    setExitCode: (code) => {
      out.code = code;
    },
  };
  const load = async () => configCommand(io, { types: providerTypes, ...more.parts });
  await main(['config', ...words], io, [{ name: 'config', summary: '', load }]);
  return out;
}

it('validate says what it found, and warns of a secret in the file', async () => {
  expect(await run(['validate'])).toEqual({
    stdout: `${file}: no faults; 1 provider, 1 credential\n`,
    stderr: `warning: ${file}:3: providers.v.auth.token: there is a secret in the configuration file\n  hint: name a 0600 file with token_file instead\n`,
    code: 0,
  });
});

it('validate lists every fault with its remedy, and exits 78', async () => {
  await writeFile(file, `${SOUND}feild = "x"\nttl = 5\n`);
  expect(await run(['validate'])).toEqual({
    stdout: '',
    stderr: [
      `${file}:7: credentials.c.feild: there is no key feild in [credentials.c]`,
      '  hint: write field',
      `${file}:8: credentials.c.ttl: this is a number, not text in quotes`,
      '  hint: write ttl = "15m"',
      `error: 2 faults in ${file}\n`,
    ].join('\n'),
    code: 78,
  });
});

it('validate --json is for scripts', async () => {
  const { stdout } = await run(['validate', '--json']);
  expect(JSON.parse(stdout)).toMatchObject({ file, ok: true, providers: 1, credentials: 1, faults: [] });
  await writeFile(file, `${SOUND}ttl = 5\n`);
  const broken = await run(['validate', '--json']);
  expect([broken.code, broken.stderr, JSON.parse(broken.stdout)]).toEqual([
    78,
    '',
    {
      file,
      ok: false,
      faults: [
        {
          file,
          line: 7,
          key: 'credentials.c.ttl',
          message: 'this is a number, not text in quotes',
          remedy: 'write ttl = "15m"',
        },
      ],
      warnings: [],
    },
  ]);
});

it('show prints every effective value with where it comes from, secrets masked', async () => {
  const { stdout, stderr, code } = await run(['show']);
  expect(stdout).not.toContain('hunter2');
  expect(stdout.replaceAll(/ {2,}#/g, '  #')).toBe(
    [
      `# ${file}`,
      'providers.v.type = "vault"  # line 2',
      'providers.v.auth.method = "token"  # line 3',
      'providers.v.auth.token = "********"  # line 3',
      'providers.v.address = "https://v:8200"  # from VAULT_ADDR',
      'providers.v.tls_skip_verify = false  # default',
      'credentials.c.provider = "v"  # line 5',
      'credentials.c.ttl = "15m"  # default',
      'credentials.c.max_stale = "24h"  # default',
      'credentials.c.path = "secret/data/c"  # line 6',
      'daemon.turn_margin = "2m"  # default',
      'daemon.idle_after = "1h"  # default',
      'daemon.idle_exit = "0s"  # default',
      'daemon.revoke_on_exit = false  # default',
      'daemon.log_level = "info"  # default',
      'daemon.cache = "disk"  # default',
      'daemon.key_home = "auto"  # default\n',
    ].join('\n'),
  );
  expect([stderr.includes('hunter2'), code]).toEqual([false, 0]);
});

it('show prints the values of the daemon that runs, and where this shell differs', async () => {
  const values = async (address: string): Promise<ConfigValue[]> => {
    const { stdout } = await run(['show', '--json'], { env: { VAULT_ADDR: address } });
    return JSON.parse(stdout).values;
  };
  const daemonValues = async () => values('https://daemon:8200');
  const { stdout } = await run(['show'], { parts: { daemonValues } });
  expect(stdout).toMatch(/^providers\.v\.address = "https:\/\/daemon:8200" +# from VAULT_ADDR$/m);
  expect(stdout).toContain('# providers.v.address = "https://v:8200"  (from VAULT_ADDR)\n');
  const same = await run(['show'], { parts: { daemonValues: async () => values('https://v:8200') } });
  expect(same.stdout).not.toContain('# The daemon');
});

it('path prints where the file lies, and with --json all that lies anywhere', async () => {
  expect((await run(['path'])).stdout).toBe(`${file}\n`);
  const { stdout } = await run(['path', '--json'], { env: { BROKER_STATE_DIR: '/s', BROKER_SOCKET: '/b.sock' } });
  expect(JSON.parse(stdout)).toEqual({ config: file, state: '/s', sockets: ['/b.sock'] });
});

it('--config names another file', async () => {
  const other = path.join(home, 'other.toml');
  expect((await run(['path', '--config', other])).stdout).toBe(`${other}\n`);
  const { stderr, code } = await run(['validate', '--config', other]);
  expect([stderr, code]).toEqual([
    `${other}: there is no configuration file\n  hint: run broker setup, or write one: broker help configuration shows how\nerror: 1 fault in ${other}\n`,
    78,
  ]);
});

it('a place that cannot be worked out is a fault of the configuration', async () => {
  const { stderr, code } = await run(['validate'], { env: { BROKER_CONFIG: 'x.toml' } });
  expect(stderr).toBe(
    'error: BROKER_CONFIG is not an absolute path: x.toml\nhint: set BROKER_CONFIG to a path that starts with / (~ is not expanded in it), or unset it\n',
  );
  expect(code).toBe(78);
});

it('schema prints the JSON Schema', async () => {
  const { stdout } = await run(['schema']);
  expect(JSON.parse(stdout)).toMatchObject({ $schema: expect.stringContaining('draft-07'), type: 'object' });
});
