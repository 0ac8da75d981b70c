import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BrokerHome } from '../fakes/daemon-process.ts';

const KEY = 'sk-thief-4ZpQw8Ns1TcXv7Rk';
const TOOL = { PATH: '/usr/bin:/bin', KEY };

/** It reads the key from the environment of the daemon, which a thief of its files does not have. */
const CONFIG = `default = "tool"
[providers.tool]
type = "exec"
command = ["/bin/sh", "-c", "test -n \\"$KEY\\" && echo \\"$KEY\\""]
pass_env = ["KEY"]
[credentials.tool]
provider = "tool"
`;

let home: BrokerHome;
beforeEach(() => {
  home = new BrokerHome(CONFIG);
});
afterEach(() => home.close());

describe('somebody who has copied the state folder', () => {
  let copy: string;
  beforeEach(async () => {
    const daemon = await home.start(TOOL);
    expect(await home.key()).toMatchObject({ code: 0, stdout: `${KEY}\n` });
    await daemon.end('SIGTERM');
    copy = join(mkdtempSync(join(tmpdir(), 'broker-thief-')), 'state');
    cpSync(home.stateDir, copy, { recursive: true });
    chmodSync(copy, 0o700);
  });
  afterEach(() => rmSync(join(copy, '..'), { recursive: true, force: true }));

  it('but not the key-encryption key has nothing, with the broker itself neither', async () => {
    rmSync(join(copy, 'kek'));
    const shapes = [KEY, Buffer.from(KEY).toString('base64').slice(0, -4), Buffer.from(KEY).toString('hex')];
    for (const name of readdirSync(copy)) {
      const bytes = readFileSync(join(copy, name));
      expect([name, shapes.filter((shape) => bytes.includes(shape))]).toEqual([name, []]);
    }
    await home.start({ BROKER_STATE_DIR: copy });
    const { code, stdout, stderr } = await home.key();
    expect({ code, stdout }).toEqual({ code: 69, stdout: '' });
    expect(stderr).not.toContain(KEY);
    expect((await home.broker('status')).stdout).toMatch(/cache: the key file .* is gone/);
    expect(readdirSync(copy)).not.toContain('kek');
  });

  it('and the key file beside it has everything: the KEK in a file protects the database alone', async () => {
    await home.start({ BROKER_STATE_DIR: copy });
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
  });
});

/** util-linux; only root can become another user. */
const canBeOther =
  process.getuid?.() === 0 &&
  spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', '/bin/true']).status === 0;

describe.runIf(canBeOther)('another user of the machine', () => {
  const asOther = (script: string) =>
    spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', '/bin/sh', '-c', script], {
      encoding: 'utf8',
      env: { ...home.env },
    });

  beforeEach(async () => {
    // Everybody may come as far as the folders of the broker.
    chmodSync(home.folder, 0o755);
    await home.start(TOOL);
    expect((await home.key()).code).toBe(0);
  });

  it.each([
    ['connects', () => `${process.execPath} -e 'require("net").connect(process.env.BROKER_SOCKET).resume()'`],
    ['reads the database', () => `cat "${home.stateDir}/cache.db"`],
    ['reads the key file', () => `cat "${home.stateDir}/kek"`],
    ['reads the configuration', () => `cat "${home.configFile}"`],
    ['lists the state folder', () => `ls "${home.stateDir}"`],
    ['replaces the socket', () => `rm -f "${home.socket}" && touch "${home.socket}"`],
    ['replaces the state folder', () => `mv "${home.stateDir}" "${home.stateDir}.old"`],
    ['links into the state folder', () => `ln -s /tmp "${home.stateDir}/link"`],
    ['reads the memory of the daemon', () => `head -c 1 /proc/${home.lastPid}/mem`],
    ['reads its environment', () => `cat /proc/${home.lastPid}/environ`],
  ])('%s: refused', async (_, script) => {
    const { status, stdout, stderr } = asOther(script());
    expect({ failed: status !== 0, stdout }).toEqual({ failed: true, stdout: '' });
    expect(stderr).toMatch(/EACCES|denied|not permitted/);
    expect(await home.key()).toMatchObject({ code: 0, stdout: `${KEY}\n` });
  });

  it('who squats the state folder, or links it elsewhere, is noticed: nothing is put there', async () => {
    const taken = join(home.folder, 'taken');
    mkdirSync(taken);
    chmodSync(taken, 0o777);
    const { status } = asOther(`mkdir "${taken}/state" && ln -s "${taken}/state" "${taken}/link"`);
    expect(status).toBe(0);
    for (const name of ['state', 'link']) {
      const folder = join(taken, name);
      const started = home.start({ ...TOOL, BROKER_STATE_DIR: folder, BROKER_SOCKET: join(home.folder, 's.sock') });
      await expect(started).rejects.toThrow(/belongs to uid 65534|is a symbolic link/);
      expect(readdirSync(join(taken, 'state'))).toEqual([]);
    }
  });
});
