import { execFile, execFileSync, spawnSync } from 'node:child_process';
import {
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { deb, tarball } from '../../build/package/archives.ts';
import { seal } from '../../build/package/tree.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { enrolLaptop, laptopConfig } from '../fakes/laptop.ts';
import { expectKey, type Outcome } from '../native/run-helper.ts';
import { CleanRoot, unavailable } from './clean-root.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string };
const OLDER = '0.0.'.padEnd(version.length, '9');
const MACHINE = 'linux-x64';
const EPOCH = 1_700_000_000;
const KEY = `sk-ant-api03-${'standalone'.repeat(6)}`;
const HELPER = '.local/state/broker/bin/broker-key';

const isHere = process.platform === 'linux' && process.arch === 'x64';
if (!isHere) console.warn(`skipped: what is packed here is for ${MACHINE}`);
else if (unavailable !== undefined) console.warn(`skipped: the packages in a clean root: ${unavailable}`);

describe.skipIf(!isHere)('stand-alone packages', () => {
  let folder: string;
  let [first, second]: [string, string] = ['', ''];
  let clean: Promise<CleanRoot> | undefined;

  const files = () => ({
    archive: `apikey-broker-${version}-${MACHINE}.tar.gz`,
    debian: readdirSync(first).find((name) => name.endsWith('.deb')) ?? '',
    sbom: `apikey-broker-${version}-${MACHINE}.cdx.json`,
  });

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'broker-standalone-'));
    [first, second] = [path.join(folder, 'first'), path.join(folder, 'second')];
    if (unavailable === undefined) clean = CleanRoot.make(path.join(folder, 'root'));
    await pack(first, {});
    await clean;
  });

  afterAll(async () => {
    await (await clean)?.end();
    rmSync(folder, { recursive: true, force: true });
  });

  const pack = async (out: string, more: NodeJS.ProcessEnv): Promise<string> => {
    const args = [path.join(ROOT, 'build', 'package.ts'), '--platform', MACHINE, '--out', out];
    const env = { ...process.env, SOURCE_DATE_EPOCH: String(EPOCH), PACKAGE_GZIP_LEVEL: '1', ...more };
    return (await promisify(execFile)(process.execPath, args, { cwd: ROOT, env })).stdout;
  };

  test('another build has the same bytes, and is signed if there is a key', async () => {
    const [secret, pub] = [path.join(folder, 'key'), path.join(folder, 'key.pub')];
    const signs = spawnSync('minisign', ['-G', '-W', '-s', secret, '-p', pub]).status === 0;
    if (!signs) console.warn('skipped: the signature: there is no minisign');
    const umask = process.umask(0o077);
    await pack(second, { TZ: 'Pacific/Auckland', LC_ALL: 'C.UTF-8', ...(signs ? { MINISIGN_KEY: secret } : {}) });
    process.umask(umask);
    const sums = readFileSync(path.join(first, 'SHA256SUMS'), 'utf8');
    expect(readFileSync(path.join(second, 'SHA256SUMS'), 'utf8')).toBe(sums);
    expect(sums.trim().split('\n')).toHaveLength(3);
    execFileSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: first });
    if (!signs) return;
    const verify = () => spawnSync('minisign', ['-V', '-p', pub, '-m', path.join(second, 'SHA256SUMS')]).status;
    expect(verify()).toBe(0);
    writeFileSync(
      path.join(second, 'SHA256SUMS'),
      sums.replace(/^./, (digit) => (digit === '0' ? '1' : '0')),
    );
    expect(verify()).toBe(1);
  });

  test('nothing that nothing runs, every file of root and at one time, and a bill of what is in it', () => {
    const names = execFileSync('tar', ['-tzf', path.join(first, files().archive)], { encoding: 'utf8' }).split('\n');
    const inside = names.map((name) => name.replace(/^[^/]*\//, '')).filter((name) => name !== '');
    for (const file of [
      'install.sh',
      'bin/broker',
      'bin/node',
      'dist/cli/main.js',
      `prebuilds/${MACHINE}/broker-key`,
      `prebuilds/${MACHINE}/broker-run`,
      // What the bundle leaves outside, and loads when a provider needs it.
      'node_modules/@aws-sdk/client-secrets-manager/package.json',
      'node_modules/@aws-sdk/client-ssm/package.json',
      'node_modules/@aws-sdk/credential-providers/package.json',
      'node_modules/@napi-rs/keyring-linux-x64-gnu/package.json',
      'node_modules/@smithy/core/package.json',
      'node_modules/axios/package.json',
      `node_modules/better-sqlite3/prebuilds/${MACHINE}.node`,
      'node_modules/node-vault/package.json',
    ]) {
      expect(inside).toContain(file);
    }
    expect(
      inside.filter((name) =>
        /\.(?:ts|map|c|cc|cpp|h|gyp)$|\/tests?\/|^src\/|(?:darwin|win32|arm64|musl)[^/]*\.node$/.test(name),
      ),
    ).toEqual([]);
    const details = execFileSync('tar', ['--utc', '-tvzf', path.join(first, files().archive)], { encoding: 'utf8' });
    const odd = details
      .trim()
      .split('\n')
      .filter((line) => !/^[d-]rw[x-]r-[x-]r-[x-] 0\/0 .* 2023-11-14 22:13 /.test(line));
    expect(odd).toEqual([]);

    const bom = JSON.parse(readFileSync(path.join(first, files().sbom), 'utf8'));
    expect(bom).toMatchObject({ bomFormat: 'CycloneDX' });
    const listed = new Set(
      bom.components.map(
        ({ group, name, version }: Record<string, string>) => `${group ? `${group}/` : ''}${name}@${version}`,
      ),
    );
    expect(listed).toContain('node@24.21.0');
    const tree = path.join(folder, 'unpacked');
    mkdirSync(tree);
    execFileSync('tar', ['-xzf', path.join(first, files().archive), '-C', tree, '--strip-components=1']);
    const manifests = inside.filter((name) => /^node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/.test(name));
    expect(manifests.length).toBeGreaterThan(10);
    for (const manifest of manifests) {
      const { name, version } = JSON.parse(readFileSync(path.join(tree, manifest), 'utf8'));
      expect(listed).toContain(`${name}@${version}`);
    }
  });

  describe.skipIf(unavailable !== undefined)('in a clean root', () => {
    let vault: DevVault;
    let root: CleanRoot;
    let older: { archive: string; debian: string };

    beforeAll(async () => {
      root = await (clean as Promise<CleanRoot>);
      vault = await DevVault.start({ nowMs: () => Date.now() });
      vault.policies.write('claude', ['secret/data/*']);
      vault.kv.writeV2('secret/claude', { api_key: KEY });
      mkdirSync(root.at('/tmp/packages'));
      for (const name of [files().archive, files().debian])
        copyFileSync(path.join(first, name), root.at(`/tmp/packages/${name}`));
      older = pretendOlder(
        path.join(folder, 'older'),
        path.join(first, files().archive),
        path.join(first, files().debian),
      );
      for (const file of Object.values(older)) copyFileSync(file, root.at(`/tmp/packages/${path.basename(file)}`));
    });

    afterAll(() => vault.stop());

    /** What a user has to have before the first key. */
    const configure = () => {
      const config = root.at(`${root.home}/.config/broker`);
      mkdirSync(config, { recursive: true, mode: 0o700 });
      enrolLaptop(vault, root.at(root.home));
      writeFileSync(path.join(config, 'config.toml'), laptopConfig(vault.address), { mode: 0o600 });
      for (const name of ['.config', '.config/broker', '.config/broker/config.toml', 'role-id', 'secret-id']) {
        chownSync(root.at(`${root.home}/${name}`), 1000, 1000);
      }
    };

    const ask = () => root.ada(`${root.home}/${HELPER}`);

    /** Of the package. */
    const runningPrograms = async () =>
      (await root.ada('sh', '-c', 'ls -l /proc/[0-9]*/exe 2> /dev/null | grep apikey-broker')).stdout;

    /** Helpers ask all the time while something happens. @returns what went wrong, and how often they asked. */
    const whileAsking = async (happens: () => Promise<void>): Promise<{ wrong: readonly Outcome[]; asked: number }> => {
      const wrong: Outcome[] = [];
      let asked = 0;
      let over = false;
      const helpers = [1, 2].map(async () => {
        while (!over) {
          const outcome = await ask();
          asked += 1;
          if (outcome.stdout !== `${KEY}\n`) wrong.push(outcome);
        }
      });
      try {
        await happens();
        const before = asked;
        await expect.poll(() => asked).toBeGreaterThan(before + 10);
      } finally {
        over = true;
        await Promise.all(helpers);
      }
      return { wrong, asked };
    };

    const unpack = async (file: string): Promise<string> => {
      const place = `${root.home}/unpacked-${path.basename(file, '.tar.gz')}`;
      expect(await root.ada('mkdir', '-p', place)).toMatchObject({ code: 0 });
      expect(
        await root.ada('tar', '-xzf', `/tmp/packages/${path.basename(file)}`, '-C', place, '--strip-components=1'),
      ).toMatchObject({ code: 0, stderr: '' });
      return place;
    };

    // Whatever a test that failed left, so that it can be tried again.
    afterEach(async () => {
      await root.ada('sh', '-c', 'kill -9 -1');
      await root.root('dpkg', '--purge', 'apikey-broker');
      for (const place of ['.claude', '.codex', '.config', '.local', 'role-id', 'secret-id', 'other', 'run/broker']) {
        rmSync(root.at(`${root.home}/${place}`), { recursive: true, force: true });
      }
    });

    test('the tarball: installed without root, to a key; again; upgraded under helpers that ask; removed', async () => {
      const [old, now] = [await unpack(older.archive), await unpack(files().archive)];
      const before = root.listHome();
      const installed = await root.ada('sh', `${old}/install.sh`);
      expect(installed, installed.stderr).toMatchObject({ code: 0, stderr: '' });
      expect(installed.stdout).toBe(`broker ${OLDER} is installed in ${root.home}/.local.\nnext: broker setup\n`);
      expect(await root.ada('broker', '--version')).toMatchObject({ stdout: `${OLDER}\n` });
      expect(await root.ada('broker-key', '--version')).toMatchObject({ stdout: `broker-key ${OLDER}\n` });
      configure();
      expect(await root.ada('broker', 'service', 'install')).toMatchObject({ code: 0 });
      expectKey(await ask(), KEY);

      const again = await root.ada('sh', `${old}/install.sh`);
      expect(again).toMatchObject({
        code: 0,
        stdout: `broker ${OLDER} is in ${root.home}/.local already; nothing changed.\n`,
        stderr: '',
      });

      const { wrong, asked } = await whileAsking(async () => {
        const upgraded = await root.ada('sh', `${now}/install.sh`);
        expect(upgraded, upgraded.stderr).toMatchObject({ code: 0, stderr: '' });
        expect(upgraded.stdout).toContain(
          `broker ${version} is installed in ${root.home}/.local, in place of ${OLDER}.\n`,
        );
        expect(upgraded.stdout).toMatch(/next: broker service install /);
        expect((await root.ada('broker', 'status')).stdout).toContain(`the daemon that runs is version ${OLDER}`);
        expect(await root.ada('broker', 'service', 'install')).toMatchObject({ code: 0, stderr: '' });
        expect((await root.ada('broker', 'status')).stdout).toContain(`broker ${version}, pid`);
      });
      expect(wrong).toEqual([]);
      expect(asked).toBeGreaterThan(10);
      expect(await root.ada(`${root.home}/${HELPER}`, '--version')).toMatchObject({
        stdout: `broker-key ${version}\n`,
      });
      // What was written down leads to the next version too.
      const launch = readFileSync(root.at(`${root.home}/.local/state/broker/launch`), 'latin1');
      expect(launch).toContain(`${root.home}/.local/lib/apikey-broker/current/bin/node`);
      expect(launch).not.toContain('/versions/');

      expect((await root.ada('sh', `${now}/install.sh`)).stdout).toContain('nothing changed');
      expectKey(await ask(), KEY);

      // A damaged one is put right by the same words.
      const current = readlinkSync(root.at(`${root.home}/.local/lib/apikey-broker/current`));
      rmSync(root.at(`${root.home}/.local/lib/apikey-broker/${current}/dist/cli/main.js`));
      expect(await root.ada('sh', `${now}/install.sh`)).toMatchObject({ code: 0, stderr: '' });
      expect(await root.ada('broker', '--version')).toMatchObject({ stdout: `${version}\n` });
      // One version before the newest is kept.
      expect(readdirSync(root.at(`${root.home}/.local/lib/apikey-broker/versions`))).toHaveLength(2);

      const removed = await root.ada(`${root.home}/.local/lib/apikey-broker/current/install.sh`, '--uninstall');
      expect(removed, removed.stderr).toMatchObject({ code: 0, stderr: '' });
      const named = [`${root.home}/.config/broker`, `${root.home}/.local/state/broker`];
      for (const place of named) expect(removed.stdout).toContain(`left: ${place}\n`);
      const parents = ['.config', '.local', '.local/state'].map((name) => `${root.home}/${name}`);
      const own = ['role-id', 'secret-id'].map((name) => `${root.home}/${name}`);
      const left = root
        .listHome()
        .filter((place) => !before.includes(place) && !named.some((name) => place.startsWith(name)));
      expect(left.filter((place) => !parents.includes(place) && !own.includes(place))).toEqual([]);
      expect(await root.ada('sh', `${now}/install.sh`, '--uninstall')).toMatchObject({
        code: 0,
        stdout: `There is no broker in ${root.home}/.local.\n`,
      });
      expect(await runningPrograms()).toBe('');
    });

    test('what is removed stops its daemon wherever the state is, and names the lines that call the helper', async () => {
      const place = await unpack(files().archive);
      const elsewhere = (...words: string[]) => root.ada('env', `XDG_STATE_HOME=${root.home}/other`, ...words);
      expect(await root.ada('sh', `${place}/install.sh`)).toMatchObject({ code: 0 });
      configure();
      for (const what of ['service', 'claude', 'codex']) {
        const installed = await elsewhere('broker', what, 'install');
        expect(installed, installed.stderr).toMatchObject({ code: 0 });
      }
      expectKey(await root.ada(`${root.home}/other/broker/bin/broker-key`), KEY);
      const removed = await elsewhere('sh', `${place}/install.sh`, '--uninstall');
      expect(removed, removed.stderr).toMatchObject({ code: 0, stderr: '' });
      for (const left of ['other/broker', '.claude/settings.json', '.codex/config.toml']) {
        expect(removed.stdout).toMatch(new RegExp(`^left: (?:broker-key in )?${root.home}/${left}(?:,|$)`, 'm'));
      }
      expect(await runningPrograms()).toBe('');
    });

    test('install.sh changes nothing where it must not, and says why', async () => {
      const place = await unpack(files().archive);
      expect(await root.ada('sh', '-c', `mkdir -p ~/other/bin && echo mine > ~/other/bin/broker`)).toMatchObject({
        code: 0,
      });
      const refused = await root.ada('sh', `${place}/install.sh`, '--prefix', `${root.home}/other`);
      expect(refused).toMatchObject({ code: 1, stdout: '' });
      expect(refused.stderr).toMatch(
        /other\/bin\/broker is there and not of this package; nothing was changed\nhint: /,
      );
      expect(readdirSync(root.at(`${root.home}/other`))).toEqual(['bin']);
      expect(await root.ada('sh', `${place}/install.sh`, '--prefix=/usr')).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('cannot write to /usr'),
      });
      expect(await root.ada('sh', `${place}/install.sh`, '--prefx')).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('unknown word: --prefx'),
      });
      writeFileSync(root.at(`${place}/dist/cli/main.js`), 'damaged');
      expect(await root.ada('sh', `${place}/install.sh`)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('is damaged\nhint: unpack the tarball again'),
      });
      writeFileSync(root.at(`${place}/platform`), 'linux-arm64 aarch64\n');
      expect(await root.ada('sh', `${place}/install.sh`)).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/this package is for linux-arm64, this machine is Linux x86_64/),
      });
    });

    test('the .deb: installed, to a key; upgraded under helpers that ask; purged', async () => {
      const before = root.list();
      const install = async (file: string) =>
        await root.root('dpkg', '--install', `/tmp/packages/${path.basename(file)}`);
      const installed = await install(older.debian);
      expect(installed, installed.stderr).toMatchObject({ code: 0 });
      expect(installed.stdout).toContain('apikey-broker: nothing was started. Each user runs: broker setup\n');
      expect(await root.ada('broker', '--version')).toMatchObject({ stdout: `${OLDER}\n` });
      for (const name of ['broker.service', 'broker.socket']) {
        expect(readFileSync(root.at(`/usr/lib/systemd/user/${name}`), 'utf8')).not.toMatch(/@[A-Z]+@|\/home\/|\/tmp\//);
      }
      configure();
      expect(await root.ada('broker', 'service', 'install')).toMatchObject({ code: 0 });
      expectKey(await ask(), KEY);

      const { wrong, asked } = await whileAsking(async () => {
        const upgraded = await install(files().debian);
        expect(upgraded, upgraded.stderr).toMatchObject({ code: 0 });
        expect(upgraded.stdout).toMatch(
          /daemons of the former version go on for: ada\. Each of them runs: broker service install/,
        );
        expect(await root.ada('broker', 'service', 'install')).toMatchObject({ code: 0, stderr: '' });
        expect((await root.ada('broker', 'status')).stdout).toContain(`broker ${version}, pid`);
      });
      expect(wrong).toEqual([]);
      expect(asked).toBeGreaterThan(10);
      expect(await root.ada('broker-key', '--version')).toMatchObject({ stdout: `broker-key ${version}\n` });

      expect(await root.ada('broker', 'service', 'stop')).toMatchObject({ code: 0 });
      expect(await root.ada('broker', 'service', 'uninstall')).toMatchObject({ code: 0 });
      const purged = await root.root('dpkg', '--purge', 'apikey-broker');
      expect(purged).toMatchObject({ code: 0, stderr: '' });
      expect(purged.stdout).toContain('~/.config/broker, ~/.local/state/broker');
      expect(root.list()).toEqual(before);
      expect(existsSync(root.at('/usr/lib/apikey-broker'))).toBe(false);
    });
  });
});

/** The same packages under an older number, which stands in package.json and, in as many characters, in the helper. */
function pretendOlder(folder: string, archive: string, debian: string): { archive: string; debian: string } {
  const [tree, control] = [path.join(folder, `apikey-broker-${OLDER}-${MACHINE}`), path.join(folder, 'deb')];
  mkdirSync(tree, { recursive: true });
  execFileSync('tar', ['-xzf', archive, '-C', tree, '--strip-components=1']);
  makeOlder(tree);
  seal(tree);
  tarball(tree, `${tree}.tar.gz`, EPOCH, 1);
  execFileSync('dpkg-deb', ['--raw-extract', debian, control]);
  makeOlder(path.join(control, 'usr', 'lib', 'apikey-broker'));
  const file = path.join(control, 'DEBIAN', 'control');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^Version: .*$/m, `Version: ${OLDER}-1`));
  deb(control, path.join(folder, 'older.deb'), EPOCH, 1);
  return { archive: `${tree}.tar.gz`, debian: path.join(folder, 'older.deb') };
}

function makeOlder(tree: string): void {
  const manifest = path.join(tree, 'package.json');
  writeFileSync(manifest, readFileSync(manifest, 'utf8').replace(`"version": "${version}"`, `"version": "${OLDER}"`));
  const helper = path.join(tree, 'prebuilds', MACHINE, 'broker-key');
  const text = readFileSync(helper, 'latin1').replaceAll(`broker-key ${version}`, `broker-key ${OLDER}`);
  writeFileSync(helper, text, 'latin1');
}
