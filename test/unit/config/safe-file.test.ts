import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { LARGEST_CONFIG_BYTES } from '../../../src/config/safe-file.ts';
import { providerTypes } from '../../fakes/provider-schemas.ts';

const SOUND = '[providers.x]\ntype = "exec"\n[credentials.c]\nprovider = "x"\ncommand = ["a"]\n';
const uid = process.getuid?.() ?? 0;

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'broker-safe-file-'));
  file = path.join(folder, 'config.toml');
  await writeFile(file, SOUND, { mode: 0o600 });
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function faultOf(target = file, asUid = uid) {
  const options = { file: target, types: providerTypes, env: {}, homeDir: '/home/u', uid: asUid };
  const { faults = [] } = await loadConfig(options);
  return faults[0] === undefined ? undefined : `${faults[0].message} | ${faults[0].remedy}`;
}

it('is read where only its owner can write it', async () => {
  expect(await faultOf()).toBeUndefined();
  await chmod(file, 0o644);
  expect(await faultOf()).toBeUndefined();
});

describe('is refused with the command that fixes it', () => {
  it.each([0o620, 0o602, 0o666])('with mode %o', async (mode) => {
    await chmod(file, mode);
    expect(await faultOf()).toBe(`others can write ${file} (mode 0${mode.toString(8)}) | run: chmod go-w ${file}`);
    execFileSync('/bin/sh', ['-c', `chmod go-w ${file}`]);
    expect(await faultOf()).toBeUndefined();
  });

  it('in a folder where others can put another in its place', async () => {
    await chmod(folder, 0o777);
    expect(await faultOf()).toBe(`others can write ${folder} (mode 0777) | run: chmod go-w ${folder}`);
    await chmod(folder, 0o1777);
    expect(await faultOf(), 'sticky: others cannot replace it').toBeUndefined();
  });

  it('behind a link whose folder others can write', async () => {
    const links = path.join(folder, 'my links');
    await mkdir(links);
    const link = path.join(links, 'config.toml');
    await symlink(file, link);
    expect(await faultOf(link)).toBeUndefined();
    await chmod(links, 0o775);
    expect(await faultOf(link)).toContain(`run: chmod go-w '${links}'`);
  });

  it.runIf(uid === 0)('if another user owns it', async () => {
    await chown(file, 12345, 12345);
    expect(await faultOf()).toBe(
      `${file} belongs to uid 12345, not to you (uid 0) | look at who made it so, then run: sudo chown 0 ${file}`,
    );
    // Root may own anybody's file.
    await chown(file, 0, 0);
    expect(await faultOf(file, 54321)).toBeUndefined();
  });
});

it('that is not there is told with how to make one', async () => {
  expect(await faultOf(path.join(folder, 'none.toml'))).toContain('there is no configuration file | run broker setup');
  expect(await faultOf(path.join(file, 'below'))).toContain('there is no configuration file');
});

it('may be no folder, FIFO, device, dangling or circular link', async () => {
  expect(await faultOf(folder)).toBe(`this is a folder | name a file, such as ${folder}/config.toml`);
  const fifo = path.join(folder, 'fifo');
  execFileSync('mkfifo', ['-m', '600', fifo]);
  expect(await faultOf(fifo)).toContain('this is not a regular file');
  expect(await faultOf('/dev/null')).toContain('this is not a regular file');
  const dangling = path.join(folder, 'dangling');
  await symlink(path.join(folder, 'none'), dangling);
  expect(await faultOf(dangling)).toContain('the symbolic link leads nowhere');
  const circle = path.join(folder, 'circle');
  await symlink(circle, circle);
  expect(await faultOf(circle)).toBe(`symbolic link loop | remove the links: rm ${circle}`);
});

it('may have a mebibyte and no more', async () => {
  await writeFile(file, SOUND + '#'.repeat(LARGEST_CONFIG_BYTES - SOUND.length));
  expect(await faultOf()).toBeUndefined();
  await writeFile(file, SOUND + '#'.repeat(LARGEST_CONFIG_BYTES - SOUND.length + 1));
  expect(await faultOf()).toBe(`the file is over 1 MiB | check that ${file} is the right file`);
});

it.runIf(uid !== 0)('that may not be read is told so', async () => {
  await chmod(file, 0o000);
  expect(await faultOf()).toBe(`the file may not be read by this user | run: chmod u+r ${file}`);
});
