import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { recordManagedLines } from '../../src/claude/install/enrol.ts';
import { readSettingsFile } from '../../src/claude/settings/files.ts';
import { main } from '../../src/cli/main.ts';
import { enrolmentFile, readEnrolment } from '../../src/platform/enrolment.ts';
import { TemporaryHome } from '../unit/claude/home.ts';
import { captureIo } from '../unit/claude/test-io.ts';

const CONFIG = `default = "work"   # the usual one

[providers.p]
type = "exec"

[credentials.work] # of the company
provider = "p"
command = ["true"]
[credentials."other.one"]
provider = "p"
command = ["true"]
`;

interface GuardHome extends TemporaryHome {
  readonly helper: string;
  readonly config: string;
}

function guardHome(config = CONFIG): GuardHome {
  const home = new TemporaryHome();
  return Object.assign(home, {
    helper: home.write('bin/broker-key', '', 0o755),
    config: home.write('config.toml', config),
  });
}

async function run(home: GuardHome, words: string[], platform: NodeJS.Platform = 'linux') {
  const io = captureIo(home, { BROKER_CONFIG: home.config, PATH: home.path('bin') }, platform);
  await main(['claude', ...words], io);
  return io;
}

const install = (home: GuardHome, ...flags: string[]) => run(home, ['install', '--helper', home.helper, ...flags]);
const linesOf = (home: GuardHome) => readEnrolment(home.path('state'), home.uid).lines.map(({ line }) => line);

describe.runIf(process.platform === 'linux')('broker claude install --guard', () => {
  test('records the line, enrols a client in an unusual place, and changes one line of the configuration', async () => {
    using home = guardHome();
    copyFileSync('/bin/true', home.path('bin', 'claude'));
    const { out, err, exitCode } = await install(home, '--guard');
    expect({ err, exitCode }).toEqual({ err: '', exitCode: 0 });
    expect(out).toContain('[credentials.work] has got allow = ["claude-code"]; enrolled');
    const changed = CONFIG.replace('of the company\n', 'of the company\nallow = ["claude-code"]\n');
    expect(readFileSync(home.config, 'utf8')).toBe(changed);
    const { dev, ino } = statSync(home.path('bin', 'claude'));
    const settings = home.path('.claude', 'settings.json');
    expect(readEnrolment(home.path('state'), home.uid)).toEqual({
      lines: [{ line: home.helper, words: [home.helper], file: settings, target: 'api-key' }],
      clients: [{ id: `${dev}:${ino}`, path: home.path('bin', 'claude') }],
    });
    expect(statSync(enrolmentFile(home.path('state'))).mode & 0o777).toBe(0o600);
    expect((await install(home, '--guard')).out).toContain('had allow');
    expect(readFileSync(home.config, 'utf8')).toBe(changed);
  });

  test('a client after an update is enrolled again, and its former file no more', async () => {
    using home = guardHome();
    const place = home.path('bin', 'claude');
    copyFileSync('/bin/true', place);
    await install(home, '--guard');
    copyFileSync('/bin/true', home.path('next'));
    renameSync(home.path('next'), place);
    await install(home, '--guard');
    const { dev, ino } = statSync(place);
    expect(readEnrolment(home.path('state'), home.uid).clients).toEqual([{ id: `${dev}:${ino}`, path: place }]);
  });

  test('a client in a usual place needs no enrolment, and a script has none', async () => {
    using home = guardHome();
    const usual = home.path('.local', 'share', 'claude', 'versions', '2.1.332');
    mkdirSync(dirname(usual), { recursive: true });
    copyFileSync('/bin/true', usual);
    expect((await install(home, '--guard', '--client', usual)).err).toBe('');
    home.write('bin/claude', '#!/usr/bin/env node\n', 0o755);
    expect((await install(home, '--guard')).err).toContain('no claude was found on PATH');
    const named = await install(home, '--guard', '--client', home.path('bin', 'claude'));
    expect([named.exitCode, named.err]).toEqual([64, expect.stringContaining('is not a compiled program')]);
    // Opened, it would be waited for without end.
    execFileSync('mkfifo', ['-m', '700', home.path('pipe')]);
    expect(await install(home, '--guard', '--client', home.path('pipe'))).toMatchObject({ exitCode: 64 });
    expect(readEnrolment(home.path('state'), home.uid).clients).toEqual([]);
  });

  test('a client is enrolled without --guard too, and never a runtime of JavaScript', async () => {
    using home = guardHome();
    const place = home.path('bin', 'claude');
    copyFileSync('/bin/true', place);
    const { out } = await install(home, '--client', place);
    expect(out).toContain(`enrolled ${place}`);
    expect(readFileSync(home.config, 'utf8')).toBe(CONFIG);
    expect(readEnrolment(home.path('state'), home.uid).clients).toMatchObject([{ path: place }]);
    const node = home.path('bin', 'node');
    copyFileSync('/bin/true', node);
    const named = await install(home, '--client', node);
    expect([named.exitCode, named.err]).toEqual([64, expect.stringContaining('claude-code-node')]);
    expect(readEnrolment(home.path('state'), home.uid).clients).toHaveLength(1);
  });

  test('names the credential, also one that has to be quoted', async () => {
    using home = guardHome();
    expect((await install(home, '--guard', '--credential', 'other.one')).exitCode).toBe(0);
    expect(readFileSync(home.config, 'utf8')).toContain('[credentials."other.one"]\nallow = ["claude-code"]\n');
    expect(linesOf(home)).toEqual([`${home.helper} other.one`]);
  });

  test('writes it into an inline table as well', async () => {
    const table = 'credentials.work = { provider = "p", command = ["true"] }';
    using home = guardHome(`default = "work"\nproviders.p.type = "exec"\n${table}\n`);
    expect((await install(home, '--guard')).exitCode).toBe(0);
    const guarded = table.replace(' }', ', allow = ["claude-code"] }');
    expect(readFileSync(home.config, 'utf8')).toContain(guarded);
  });

  test.each([
    ['a credential that is not there', ['--credential', 'none'], CONFIG, /there is no credential none/],
    ['no default', [], CONFIG.replace(/^default.*$/m, ''), /there is no credential by default .* to guard/],
    [
      'other words',
      [],
      CONFIG.replace('provider = "p"', 'provider = "p"\nallow = ["claude-code-node"]'),
      /cannot be edited here/,
    ],
  ])('%s: nothing is written, and it says what to do', async (_, flags, config, words) => {
    using home = guardHome(config);
    const { exitCode, err } = await install(home, '--guard', ...flags);
    expect(exitCode).toBe(64);
    expect(err).toMatch(words);
    expect(readFileSync(home.config, 'utf8')).toBe(config);
    expect(linesOf(home)).toEqual([]);
  });

  test('--dry-run writes nothing', async () => {
    using home = guardHome();
    const { out } = await install(home, '--guard', '--dry-run');
    expect(out).toContain('[credentials.work] would get allow = ["claude-code"]');
    expect(readFileSync(home.config, 'utf8')).toBe(CONFIG);
    expect(linesOf(home)).toEqual([]);
  });

  test('does not work on macOS, and says so', async () => {
    using home = guardHome();
    const { exitCode, err } = await run(home, ['install', '--helper', home.helper, '--guard'], 'darwin');
    expect([exitCode, err]).toEqual([64, expect.stringContaining('--guard does not work on darwin')]);
  });
});

describe('what broker claude records for `allow`', () => {
  test('every line that it has written, each until it is written again or taken out', async () => {
    using home = guardHome();
    await install(home);
    await install(home, '--credential', 'work');
    await install(home, '--for', 'otel');
    await install(home, '--settings', home.path('bare.json'));
    const [own, otel, bare] = [`${home.helper} work`, `${home.helper} --format headers`, home.helper];
    expect(linesOf(home)).toEqual([own, otel, bare]);
    const { out } = await run(home, ['uninstall', '--for', 'otel']);
    expect(out).toContain(`${enrolmentFile(home.path('state'))}: the line is no longer recorded`);
    expect(linesOf(home)).toEqual([own, bare]);
    await run(home, ['uninstall']);
    await run(home, ['uninstall', '--settings', home.path('bare.json')]);
    expect(linesOf(home)).toEqual([]);
    expect(() => statSync(enrolmentFile(home.path('state')))).toThrow('ENOENT');
  });

  test('a script, so that the shell stays in which it is recognised', async () => {
    using home = guardHome();
    const script = home.write('bin/broker-key', '#!/bin/sh\nexec true\n', 0o755);
    await run(home, ['install', '--helper', script, '--credential', 'work']);
    expect(linesOf(home)).toEqual([`${script} work || exit`]);
    expect((await run(home, ['install', '--helper', script, '--credential', 'work'])).out).toContain(
      'nothing to change',
    );
    expect((await run(home, ['uninstall'])).exitCode).toBe(0);
  });

  test('a line that was there already, word for word', async () => {
    using home = guardHome();
    home.write('.claude/settings.json', JSON.stringify({ apiKeyHelper: home.helper }));
    expect((await install(home)).out).toContain('nothing to change');
    expect(linesOf(home)).toEqual([home.helper]);
  });

  test.runIf(process.platform === 'linux')(
    'the last line gone, uninstall says what nothing can have any more',
    async () => {
      using home = guardHome();
      await install(home, '--guard');
      const { err } = await run(home, ['uninstall']);
      expect(err).toBe(`warning: [credentials.work] in ${home.config} has \`allow\`: nothing can have it now\n`);
    },
  );

  test('an administrator’s lines of ours, as long as only root can write them', () => {
    using home = guardHome();
    const context = { stateDir: home.path('state'), uid: home.uid, homeDir: home.path() };
    const file = home.write('managed/managed-settings.json', JSON.stringify({ apiKeyHelper: home.helper }), 0o644);
    const found = readSettingsFile({ scope: 'managed', file }, { plistAsJson: () => undefined });
    const owned = (more: Partial<typeof found>) => [{ ...found, uid: 0, ...more }];
    for (const [more, lines] of [
      [{}, [home.helper]],
      [{ mode: 0o664 }, []],
      [{}, [home.helper]],
      [{ uid: 12_345 }, []],
      [{}, [home.helper]],
      [{ state: 'missing', helper: undefined }, []],
      [{ helper: { value: 'curl x', line: 1 } }, []],
    ] as const) {
      recordManagedLines(context, owned(more));
      expect(linesOf(home)).toEqual(lines);
    }
    recordManagedLines(context, [{ ...found, scope: 'project', uid: 0 }]);
    expect(linesOf(home)).toEqual([]);
    recordManagedLines(context, owned({ helper: { value: '~/bin/broker-key', line: 1 } }));
    expect(readEnrolment(home.path('state'), home.uid).lines).toMatchObject([
      { line: '~/bin/broker-key', words: [home.path('bin', 'broker-key')] },
    ]);
  });
});
