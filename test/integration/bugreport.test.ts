import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PROGRAM } from '../fakes/daemon-process.ts';
import { until } from '../fakes/processes.ts';
import { TemporaryHome } from '../fakes/temporary-home.ts';
import { run } from '../native/run-helper.ts';

/** Of every kind, and one for each place; words alone, as people choose passwords, and random text. */
const CANARIES = {
  key: 'sk-ant-api03-CANARYq7Zp2vXw9LmB4tRy',
  token: 'hvs.CANARYabcdefghijklmnop0123456789',
  configPassword: 'canary horse battery staple',
  configSecretId: 'canary-secret-id-plain',
  execEnv: 'canaryexecenvironment',
  argv: 'canaryargvvalue',
  urlPassword: 'canaryurlpassword',
  environment: 'canaryenvironmentvariable',
  proxy: 'canaryproxypassword',
  settings: 'canarysettingsvalue',
  profile: 'canaryprofilevalue',
  log: 'CANARY9f8e7d6c5b4a39281706',
  jwt: 'eyJhbGciOiJub25lIn0.eyJjYW5hcnkiOiJjYW5hcnkifQ.canary',
  event: 'ghp_CANARY0123456789abcdefghijklmnopqrst',
  unit: 'canaryunitvariable',
  file: 'canary in a file',
} as const;

const CONFIG = `default = "key"
[providers.vault]
type = "vault"
address = "http://127.0.0.1:9"
[providers.vault.auth]
method = "userpass"
username = "ada"
password = "${CANARIES.configPassword}"
[providers.vault3]
type = "vault"
address = "http://127.0.0.1:9"
[providers.vault3.auth]
method = "ldap"
username = "ada"
password_file = "~/password"
[providers.command]
type = "exec"
env = { ORDINARY = "${CANARIES.execEnv}" }
[credentials.key]
provider = "command"
command = ["/bin/echo", "${CANARIES.key}"]
[credentials.argv]
provider = "command"
command = ["/bin/sh", "-c", "echo --password ${CANARIES.argv} ${CANARIES.event} >&2; exit 3", "--token", "${CANARIES.argv}"]
[credentials.secret]
provider = "vault"
path = "secret/data/x"
`;

/** What nobody can parse, or what is not allowed there. */
const TORN = `[providers.vault2]
type = "vault"
address = "http://ada:${CANARIES.urlPassword}@127.0.0.1:9"
auth = { method = "approle", secret_id = "${CANARIES.configSecretId}" }
headers = ["X-Api-Key: canaryheader
[credentials.torn`;

let user: TemporaryHome;
let folder: string;

beforeEach(() => {
  user = new TemporaryHome(CONFIG);
  folder = mkdtempSync(path.join(tmpdir(), 'broker-report-'));
  const write = (name: string, text: string) => {
    mkdirSync(path.dirname(path.join(user.path, name)), { recursive: true });
    writeFileSync(path.join(user.path, name), text, { mode: 0o600 });
  };
  write('.claude/settings.json', JSON.stringify({ env: { ANTHROPIC_AUTH_TOKEN: CANARIES.settings } }));
  write('password', `${CANARIES.file}\n`);
  write('.bashrc', `export ANTHROPIC_API_KEY=${CANARIES.profile}\n`);
  Object.assign(user.env, {
    PATH: '/usr/bin:/bin',
    PWD: user.path,
    ANTHROPIC_API_KEY: CANARIES.environment,
    HTTPS_PROXY: `http://ada:${CANARIES.proxy}@proxy.example:3128`,
    VAULT_TOKEN: CANARIES.token,
  });
});
afterEach(async () => {
  await user[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const broker = (...args: string[]) => run(process.execPath, [PROGRAM, ...args], user.env, { cwd: folder });

interface Report {
  readonly said: { file: string; bytes: number; files: { name: string; bytes: number }[]; missing: { name: string }[] };
  readonly files: Readonly<Record<string, string>>;
}

/** Unpacked by the system's tar. */
async function report(): Promise<Report> {
  const file = path.join(folder, `report-${Math.random()}.tar.gz`);
  const { code, stdout, stderr } = await broker('bugreport', '--json', '--output', file);
  expect([code, stderr]).toEqual([0, '']);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const names = execFileSync('tar', ['-tzf', file], { encoding: 'utf8' }).trim().split('\n');
  const files = names.map((name) => [
    path.basename(name),
    execFileSync('tar', ['-xzOf', file, name], { encoding: 'utf8', maxBuffer: 1e8 }),
  ]);
  return { said: JSON.parse(stdout), files: Object.fromEntries(files) };
}

/** As it is, and within base64 and hex of a longer text, wherever it begins. */
function shapesOf(canary: string): readonly string[] {
  const shifted = [0, 1, 2].map((shift) => Buffer.concat([Buffer.alloc(shift), Buffer.from(canary)]));
  const cores = shifted.map((bytes) => bytes.toString('base64').slice(4, -4));
  return [canary, ...cores, Buffer.from(canary).toString('hex'), encodeURIComponent(canary)];
}

function expectNoCanary({ files, said }: Report): void {
  const all = `${Object.values(files).join('\n')}\n${JSON.stringify(said)}`;
  expect(all).toContain('[redacted]');
  const found = Object.entries(CANARIES).filter(([, canary]) => shapesOf(canary).some((shape) => all.includes(shape)));
  expect(found).toEqual([]);
  // A piece of one, whichever.
  expect(all.match(/.*canary.*/gi)).toBeNull();
}

function fillLog(): void {
  const encoded = (text: string) => Buffer.from(text).toString('base64');
  appendFileSync(
    path.join(user.state, 'broker.log'),
    `${JSON.stringify({ level: 50, msg: `login failed: ${CANARIES.configPassword} ${CANARIES.file}`, token: 'canaryshort', at: CANARIES.log })}
not JSON: password=canaryplain Authorization: Bearer ${CANARIES.jwt} https://u:canaryinlog@host/x
${JSON.stringify({ msg: `basic ${encoded(`ada:${CANARIES.proxy}`)} ${encoded(CANARIES.configPassword)}`, key: CANARIES.key })}
${JSON.stringify({ msg: `${encoded(`x${CANARIES.environment}`)} ${encodeURIComponent(CANARIES.configPassword)}`, event: CANARIES.settings })}
`,
  );
}

describe('broker bugreport', () => {
  test('of a machine full of canaries has none of them in any form, and still says what is needed', async () => {
    expect(await broker('service', 'install')).toMatchObject({ code: 0 });
    appendFileSync(path.join(user.state, 'launch'), `env FOO=${CANARIES.unit}\n`);
    await broker('get', 'key');
    for (const name of ['argv', 'secret']) await broker('refresh', name);
    fillLog();
    const made = await report();
    expectNoCanary(made);
    const { files, said } = made;
    expect(said.missing).toEqual([]);
    expect(Object.keys(files)).toEqual(said.files.map(({ name }) => name));
    expect(said.files.every(({ name, bytes }) => Buffer.byteLength(files[name] ?? '') === bytes)).toBe(true);
    expect(JSON.parse(files['status.json'] ?? '').credentials.map(({ name }: { name: string }) => name)).toEqual([
      'key',
      'argv',
      'secret',
    ]);
    expect(files['configuration.txt']).toContain('credentials.key.provider = "command"');
    expect(files['configuration.txt']).toContain('providers.vault.auth.method = "userpass"');
    expect(files['doctor.txt']).toMatch(/Authorization: ANTHROPIC_AUTH_TOKEN .*ANTHROPIC_API_KEY is left out/);
    expect(files['events.jsonl']).toContain('"kind":"served"');
    expect(files['log.jsonl']).toContain('broker is ready');
    expect(JSON.parse(files['database.json'] ?? '')).toMatchObject({ quickCheck: ['ok'], keyHomes: ['file'] });
    expect(files['service.txt']).toContain('broker-launch 1');
    expect(files['limits.txt']).toMatch(/Max open files/);
    expect(JSON.parse(files['versions.json'] ?? '')).toMatchObject({ node: process.version, addon: 'loaded' });
    // The home folder's name may be a person's.
    expect(JSON.stringify(made.files)).not.toContain(user.path);
    expect(files['state-folder.txt']).toMatch(/^~\/\.local\/state\/broker\n/);
  });

  test('with the daemon dead, the configuration torn and the database damaged says why of what it has not', async () => {
    expect(await broker('service', 'install')).toMatchObject({ code: 0 });
    await broker('get', 'key');
    await user.stopDaemon();
    const damaged = path.join(user.state, 'cache.db');
    const bytes = readFileSync(damaged);
    rmSync(`${damaged}-wal`, { force: true });
    writeFileSync(damaged, bytes.fill(0x55, 100, 4096), { mode: 0o600 });
    writeFileSync(user.config, CONFIG + TORN, { mode: 0o600 });
    chmodSync(user.config, 0o600);
    fillLog();
    const made = await report();
    expectNoCanary(made);
    const { files } = made;
    expect(JSON.parse(files['status.json'] ?? '')).toMatchObject({
      daemon: { running: false },
      configuration: { ok: false },
      error: { code: 'ERR_DAEMON_UNREACHABLE' },
    });
    expect(JSON.parse(files['database.json'] ?? '').quickCheck).not.toEqual(['ok']);
    expect(files['configuration.txt']).toContain('[providers.vault.auth]\nmethod = …\nusername = …\npassword = …\n');
  });

  test('before anything is set up says what there is not, and writes over nothing', async () => {
    rmSync(path.dirname(user.config), { recursive: true });
    rmSync(user.state, { recursive: true });
    const made = await report();
    expectNoCanary({ ...made, files: { ...made.files, more: '[redacted]' } });
    expect(made.said.missing.map(({ name }) => name)).toEqual([
      'events.jsonl',
      'log.jsonl',
      'database.json',
      'state-folder.txt',
    ]);
    expect(made.files['README.txt']).toContain('database.json: there is no database');
    const again = await broker('bugreport', '--output', made.said.file);
    expect(again).toMatchObject({ code: 74, stderr: expect.stringContaining('is there already') });
  });

  test('says what is in it and that nothing was sent', async () => {
    const { code, stdout } = await broker('bugreport');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^\S+\/broker-bugreport-\d{8}T\d{6}Z\.tar\.gz \([\d,]+ bytes, readable by you alone\) has in it:\n/,
    );
    expect(stdout).toMatch(/\n {2}versions\.json +\d+ bytes\n/);
    expect(stdout).toMatch(/\nNothing was sent\./);
  });

  test.skipIf(process.platform !== 'linux')('does not wait again and again for a daemon that hangs', async () => {
    expect(await broker('service', 'install')).toMatchObject({ code: 0 });
    await until(() => user.daemonPid !== undefined);
    const pid = user.daemonPid as number;
    process.kill(pid, 'SIGSTOP');
    try {
      const { files, said } = await report();
      expect(JSON.parse(files['status.json'] ?? '')).toMatchObject({
        daemon: { running: true, pid },
        error: { code: 'ERR_REFRESH_PENDING', remedy: 'restart it: broker service restart' },
      });
      expect(said.missing).toEqual([]);
      expect(files['limits.txt']).toMatch(/State:\s+T/);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });
});
