import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { DESKTOP_LIBRARY } from '../../src/clients/desktop.ts';
import { TemporaryHome } from '../unit/claude/home.ts';
import { captureIo } from '../unit/claude/test-io.ts';

const ID = '0b7f8c1e-0000-4000-8000-000000000001';
const APPLIED = `{\n  "inferenceProvider": "gateway",\n  "inferenceGatewayBaseUrl": "https://gateway.example",\n  "inferenceGatewayApiKey": "sk-canary-1"\n}\n`;
const CREDENTIALS =
  'default = "work"\n[providers.p]\ntype = "exec"\n[credentials.work]\nprovider = "p"\ncommand = ["true"]\n';

function desktopHome(platform: NodeJS.Platform = 'darwin') {
  const home = new TemporaryHome();
  const helper = home.write('bin/broker-key', '#!/bin/sh\necho "$@"\n', 0o755);
  home.write('.config/broker/config.toml', CREDENTIALS);
  home.write(`${DESKTOP_LIBRARY}/_meta.json`, JSON.stringify({ appliedId: ID, entries: [{ id: ID, name: 'a' }] }));
  const file = home.write(`${DESKTOP_LIBRARY}/${ID}.json`, APPLIED);
  const run = async (...words: string[]) => {
    const io = captureIo(home, {}, platform);
    await main(['desktop', ...words], io);
    return io;
  };
  return Object.assign(home, { helper, file, run, script: home.path('state/bin/broker-key-desktop') });
}

const read = (file: string) => readFileSync(file, 'utf8');

describe('broker desktop', () => {
  test('adds its two lines to the applied configuration, and uninstalling gives the same bytes', async () => {
    using home = desktopHome();
    const io = await home.run('install', '--helper', home.helper);
    expect(io.exitCode).toBe(0);
    expect(io.err).toContain('not run');
    expect(JSON.parse(read(home.file))).toEqual({
      ...JSON.parse(APPLIED),
      inferenceCredentialHelper: home.helper,
      inferenceCredentialKind: 'helper-script',
    });
    expect((await home.run('show', '--json')).out).toContain('"ours": true');
    await home.run('uninstall');
    expect(read(home.file)).toBe(APPLIED);
  });

  test('a named credential gets a script, because the app gives its helper no arguments', async () => {
    using home = desktopHome();
    await home.run('install', '--helper', home.helper, '--credential', 'work');
    expect(JSON.parse(read(home.file)).inferenceCredentialHelper).toBe(home.script);
    expect(statSync(home.script).mode & 0o777).toBe(0o700);
    expect(execFileSync(home.script, { encoding: 'utf8' })).toBe('work\n');
    expect(JSON.parse((await home.run('show', '--json')).out)).toMatchObject({ credential: 'work', ours: true });
    await home.run('uninstall');
    expect([existsSync(home.script), read(home.file)]).toEqual([false, APPLIED]);
  });

  test('--dry-run shows the change, no secret, and writes nothing', async () => {
    using home = desktopHome();
    const { out } = await home.run('install', '--helper', home.helper, '--credential', 'work', '--dry-run');
    expect(out).toContain(`+  "inferenceCredentialHelper": "${home.script}"`);
    expect(out).not.toContain('sk-canary-1');
    await home.run('install', '--helper', home.helper, '--credential', 'work', '--dry-run', '--profile');
    expect([existsSync(home.script), read(home.file)]).toEqual([false, APPLIED]);
  });

  test('says what to enter where nothing documented can be edited', async () => {
    using home = desktopHome('linux');
    const io = await home.run('install', '--helper', home.helper);
    expect(io.exitCode).toBe(0);
    expect(io.out).toContain('Anthropic documents no configuration file of Claude Desktop on linux');
    expect(io.out).toContain(home.helper);
    expect(read(home.file)).toBe(APPLIED);
    expect((await home.run('uninstall')).out).toBe('there is nothing to take out\n');
  });

  test('--profile prints a profile with these keys alone', async () => {
    using home = desktopHome();
    const { out } = await home.run('install', '--helper', home.helper, '--profile', '--ttl', '10m');
    expect(out).toContain(`<key>inferenceCredentialHelper</key>\n      <string>${home.helper}</string>`);
    expect(out).toContain('<key>inferenceCredentialHelperTtlSec</key>\n      <string>600</string>');
    expect(out.match(/<key>inference/g)).toHaveLength(3);
    expect(read(home.file)).toBe(APPLIED);
  });

  test.each([
    ['another helper', APPLIED.replace('{', '{"inferenceCredentialHelper": "/opt/other",'), [], 77],
    ['JSON in another shape', '{"inference": {}}', ['--config', '{FILE}'], 78],
    ['no JSON', '{', ['--config', '{FILE}'], 78],
    ['no duration', APPLIED, ['--ttl', 'long'], 64],
  ])('refuses %s', async (_, text, flags, exitCode) => {
    using home = desktopHome();
    home.write(`${DESKTOP_LIBRARY}/${ID}.json`, text);
    const words = flags.map((flag) => flag.replace('{FILE}', home.file));
    const io = await home.run('install', '--helper', home.helper, '--credential', 'work', ...words);
    expect([io.exitCode, io.err]).toEqual([exitCode, expect.stringContaining('hint: ')]);
    expect([read(home.file), existsSync(home.script)]).toEqual([text, false]);
  });
});
