import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { ProviderError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/platform/log.ts';
import { requireTrustedLogin } from '../../../src/providers/aws/login-inputs.ts';
import { ExecProvider } from '../../../src/providers/exec/provider.ts';
import { readPem } from '../../../src/providers/network.ts';
import type { ProviderHost } from '../../../src/providers/provider.ts';
import { providerDefinitions } from '../../../src/providers/registry.ts';
import { readSecretFile } from '../../../src/providers/secret-file.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const isRoot = process.getuid?.() === 0;
let folder: string;
let host: ProviderHost;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'broker-unsafe-'));
  host = { name: 'p', clock: new FakeClock(), log: silentLog, env: {}, homeDir: folder } as unknown as ProviderHost;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function put(name: string, content: string, mode = 0o600): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  chmodSync(file, mode);
  return file;
}

function refusal(action: () => unknown): ProviderError {
  try {
    action();
  } catch (error) {
    if (error instanceof ProviderError) return error;
    throw error;
  }
  return expect.fail('it was not refused');
}

describe('a file with a login', () => {
  const read = (file: string) => readSecretFile(file, 'Vault token', host);

  it('is taken where only its owner can write it', () => {
    expect(read(put('token', 'hvs.1', 0o644))).toBe('hvs.1');
  });

  it('that others can write is refused with the command that fixes it', () => {
    const file = put('token', 'hvs.1', 0o666);
    const { code, kind, remedy, message } = refusal(() => read(file));
    expect({ code, kind, remedy }).toEqual({
      code: 'ERR_UNSAFE_FILE',
      kind: 'login-expired',
      remedy: `run: chmod go-w ${file}`,
    });
    expect(message).not.toContain('hvs.1');
  });

  it('is refused behind a link if others can write at either end', () => {
    const [links, targets] = [join(folder, 'links'), join(folder, 'targets')];
    for (const each of [links, targets]) mkdirSync(each, { mode: 0o700 });
    put('targets/token', 'hvs.1');
    symlinkSync(join(targets, 'token'), join(links, 'token'));
    expect(read(join(links, 'token'))).toBe('hvs.1');
    for (const open of [links, targets]) {
      chmodSync(open, 0o777);
      expect(refusal(() => read(join(links, 'token'))).remedy).toBe(`run: chmod go-w ${open}`);
      chmodSync(open, 0o700);
    }
  });

  it.runIf(isRoot)('of another user is refused', () => {
    const file = put('token', 'hvs.1');
    chownSync(file, 65_534, 65_534);
    expect(refusal(() => read(file)).message).toContain('belongs to uid 65534');
  });
});

it('certificates that others can write are not trusted', () => {
  const file = put('ca.pem', 'x', 0o666);
  expect(refusal(() => readPem(file))).toMatchObject({ code: 'ERR_UNSAFE_FILE', kind: 'misconfigured' });
  chmodSync(file, 0o644);
  expect(readPem(file)).toEqual(Buffer.from('x'));
});

it("a profile of the AWS SDK's that others can write is not logged in with", () => {
  mkdirSync(join(folder, '.aws'));
  expect(() => requireTrustedLogin(host)).not.toThrow();
  const file = put('.aws/config', '[default]\n', 0o646);
  expect(refusal(() => requireTrustedLogin(host))).toMatchObject({
    code: 'ERR_UNSAFE_FILE',
    kind: 'login-expired',
    remedy: `run: chmod go-w ${file}`,
  });
});

it('a program that others can write is not run', async () => {
  const file = put('tool', '#!/bin/sh\necho sk-1\n', 0o777);
  const options = {
    timeout: 5_000,
    pass_env: [],
    env: {},
    env_files: {},
    denied_status: [],
    login_files: [],
    cwd: folder,
  };
  const provider = new ExecProvider({ ...options, command: [file] }, host);
  const source = { args: [], output: 'auto' };
  const call = { signal: new AbortController().signal };
  const refused = provider.issue({ source, wantedLifeMs: 0 }, call);
  await expect(refused).rejects.toMatchObject({ code: 'ERR_UNSAFE_FILE', remedy: `run: chmod go-w ${file}` });
  chmodSync(file, 0o755);
  const issued = await provider.issue({ source, wantedLifeMs: 0 }, call);
  expect(issued.content.kind).toBe('text');
});

describe('what works and should not stay so is a warning', () => {
  async function warnings(config: string, env = {}) {
    const file = put('config.toml', config);
    const uid = process.getuid?.() ?? 0;
    const result = await loadConfig({ file, types: providerDefinitions, env, homeDir: folder, uid });
    if (result.faults !== undefined) return expect.fail(JSON.stringify(result.faults));
    return result.warnings.map(({ key, message, remedy }) => `${key}: ${message} | ${remedy}`);
  }

  const vault = (lines: string) =>
    `[providers.v]\ntype = "vault"\n${lines}\n[credentials.c]\nprovider = "v"\npath = "secret/data/c"\n`;
  const exec = (program: string) =>
    `[providers.t]\ntype = "exec"\ncommand = ["${program}"]\n[credentials.c]\nprovider = "t"\n`;

  it('any certificate accepted', async () => {
    const found = await warnings(vault('address = "https://v:8200"\nskip_verify = true'));
    expect(found).toEqual([expect.stringMatching(/^providers\.v\.skip_verify: any certificate is accepted/)]);
    const fromShell = await warnings(vault('address = "https://v:8200"'), { VAULT_SKIP_VERIFY: 'true' });
    expect(fromShell).toEqual([expect.stringContaining('VAULT_SKIP_VERIFY')]);
  });

  it('plain http to another machine, and only to another', async () => {
    const clear = 'go over the network in the clear';
    expect(await warnings(vault('address = "http://vault:8200"'))).toEqual([expect.stringContaining(clear)]);
    for (const here of [
      'http://127.0.0.1:8200',
      'http://localhost:1',
      'http://[::1]:1',
      'unix:///run/v',
      'https://v',
    ]) {
      expect(await warnings(vault(`address = "${here}"`))).toEqual([]);
    }
    const aws = '[providers.a]\ntype = "aws-ssm"\nregion = "eu-west-1"\nendpoint = "http://ssm.example"\n';
    const found = await warnings(`${aws}[credentials.c]\nprovider = "a"\nparameter = "/c"\n`);
    expect(found).toEqual([expect.stringMatching(/^providers\.a\.endpoint: .*in the clear/)]);
  });

  it('a program below a folder that others can write, however far above and behind links', async () => {
    mkdirSync(join(folder, 'open', 'bin'), { recursive: true });
    put('open/bin/tool', '#!/bin/sh\n', 0o755);
    symlinkSync(join(folder, 'open', 'bin', 'tool'), join(folder, 'link'));
    expect(await warnings(exec(join(folder, 'link')))).toEqual([]);
    chmodSync(join(folder, 'open'), 0o777);
    const flaw = `others can write ${join(folder, 'open')} (mode 0777) | run: chmod go-w ${join(folder, 'open')}`;
    expect(await warnings(exec(join(folder, 'link')))).toEqual([`providers.t.command: ${flaw}`]);
    expect(await warnings(exec('tool'), { PATH: join(folder, 'open', 'bin') })).toEqual([
      `providers.t.command: ${flaw}`,
    ]);
  });

  it('a login file that will be refused', async () => {
    const file = put('token', 'hvs.1', 0o666);
    const found = await warnings(vault(`address = "https://v"\nauth = { method = "token", token_file = "${file}" }`));
    expect(found).toEqual([
      `providers.v.auth.token_file: others can write ${file} (mode 0666) | run: chmod go-w ${file}`,
    ]);
  });
});
