import { execFile } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { type InstallRequest, install, uninstall } from '../../../src/claude/install/installer.ts';
import { planInstall, planUninstall } from '../../../src/claude/install/plan.ts';
import type { InstallRecord } from '../../../src/claude/install/undo.ts';
import { deleteBackups, listBackups } from '../../../src/claude/settings/backups.ts';
import { parseSettings, valueAt } from '../../../src/claude/settings/document.ts';
import type { Addition } from '../../../src/claude/settings/edit.ts';
import { TemporaryHome } from './home.ts';
import { SAMPLES } from './settings-samples.ts';

const HELPER: Addition = { path: ['apiKeyHelper'], value: '/opt/broker/bin/broker-key anthropic' };
const TTL: Addition = { path: ['env', 'CLAUDE_CODE_API_KEY_HELPER_TTL_MS'], value: '300000' };
const DENY: Addition = { path: ['permissions', 'deny'], items: ['Bash(broker-key:*)', 'Bash(broker get:*)'] };
const COMBINATIONS: readonly Addition[][] = [[HELPER], [HELPER, TTL], [HELPER, TTL, DENY]];

function contextOf(home: TemporaryHome) {
  return { stateDir: home.path('state'), uid: home.uid, now: Date.UTC(2026, 10, 22) };
}

function request(file: string, additions: Addition[], more: Partial<InstallRequest> = {}): InstallRequest {
  return {
    file,
    target: 'api-key',
    additions,
    force: false,
    dryRun: false,
    folderMode: 0o700,
    fileMode: 0o600,
    ...more,
  };
}

const FILE = 'settings.json';

const out = { target: undefined, force: false, dryRun: false };

/** What `install` does with bytes, without the disk: nearly all of its time goes to fsync. */
function planned(text: string, additions: Addition[]) {
  const plan = planInstall(Buffer.from(text), undefined, { file: FILE, target: 'api-key', additions, force: false });
  // As it comes back from the state folder.
  const record = plan.record && (JSON.parse(JSON.stringify(plan.record)) as InstallRecord);
  const undo = (current: Uint8Array) =>
    planUninstall(Buffer.from(current), record, { file: FILE, target: undefined, force: false });
  return { content: plan.content ?? Buffer.alloc(0), undo };
}

describe('install, then uninstall', () => {
  test('there are enough samples to mean something', () => {
    expect([...SAMPLES.values()].flat().length).toBeGreaterThan(100);
  });

  describe.each([...SAMPLES])('%s', (_, samples) => {
    test('gives the same bytes', () => {
      for (const { name, text } of samples) {
        for (const additions of COMBINATIONS) {
          const { content, undo } = planned(text, additions);
          const { root } = parseSettings(content, FILE);
          expect(valueAt(root, ['apiKeyHelper']), name).toBe((HELPER as { value: string }).value);
          if (additions.includes(TTL)) expect(valueAt(root, TTL.path), name).toBe('300000');
          if (additions.includes(DENY)) expect(valueAt(root, DENY.path), name).toContain('Bash(broker-key:*)');
          const undone = undo(content);
          expect(undone.content?.toString(), name).toBe(text);
          expect(undone.exact, name).toBe(true);
        }
      }
    });

    test('keeps what was written in between', () => {
      for (const { name, text } of samples) {
        const { content, undo } = planned(text, [HELPER, TTL, DENY]);
        const undone = undo(Buffer.concat([content, Buffer.from('\n// mine\n')]));
        expect(undone.exact, name).toBe(false);
        expect(undone.content?.toString(), name).toBe(`${text}\n// mine\n`);
      }
    });

    test('does so on the disk', () => {
      using home = new TemporaryHome();
      const text = samples[0]?.text ?? '';
      const file = home.write('.claude/settings.json', text);
      const { content } = planned(text, [HELPER, TTL, DENY]);
      install(contextOf(home), request(file, [HELPER, TTL, DENY]));
      expect(readFileSync(file)).toEqual(content);
      expect(uninstall(contextOf(home), { file, ...out }).exact).toBe(true);
      expect(readFileSync(file, 'utf8')).toBe(text);
    });
  });

  test('installing twice is installing once, with the way back to the first bytes', () => {
    using home = new TemporaryHome();
    const text = '{ "model": "opus" }\n';
    const file = home.write('settings.json', text);
    install(contextOf(home), request(file, [HELPER]));
    install(contextOf(home), request(file, [{ path: ['apiKeyHelper'], value: '/new/broker-key other' }, TTL]));
    install(contextOf(home), request(file, [DENY], { target: 'deny-rules' }));
    expect(readFileSync(file, 'utf8').match(/apiKeyHelper/g)).toHaveLength(1);
    uninstall(contextOf(home), { ...out, file, target: 'deny-rules' });
    expect(readFileSync(file, 'utf8')).not.toContain('permissions');
    uninstall(contextOf(home), { file, ...out });
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  test('a file and a folder that were not there are gone again, and were private', () => {
    using home = new TemporaryHome();
    const file = home.path('.claude', 'settings.json');
    install(contextOf(home), request(file, [HELPER]));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(home.path('.claude')).mode & 0o777).toBe(0o700);
    expect(readFileSync(file, 'utf8')).toBe('{\n  "apiKeyHelper": "/opt/broker/bin/broker-key anthropic"\n}\n');
    uninstall(contextOf(home), { file, ...out });
    expect(readdirSync(home.root)).toEqual(['state']);
  });

  test('a property added behind ours stays when ours goes', () => {
    using home = new TemporaryHome();
    const file = home.write('settings.json', '{}');
    install(contextOf(home), request(file, [HELPER, TTL]));
    const grown = readFileSync(file, 'utf8').replace('"300000"\n  }', '"300000"\n  },\n  "model": "opus"');
    writeFileSync(file, grown);
    uninstall(contextOf(home), { file, ...out });
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ model: 'opus' });
  });
});

describe('what is not ours', () => {
  const foreign = '{\n  "model": "opus",\n  "apiKeyHelper": "/usr/local/bin/other.sh"\n}\n';

  test('is not replaced, and the line is named', () => {
    using home = new TemporaryHome();
    const file = home.write('settings.json', foreign);
    expect(() => install(contextOf(home), request(file, [HELPER]))).toThrow(/"apiKeyHelper" is already set at .*:3/);
    expect(() => uninstall(contextOf(home), { file, ...out })).toThrow(/was not written by this program/);
    expect(readFileSync(file, 'utf8')).toBe(foreign);
    expect(listBackups(home.path('state'))).toEqual([]);
  });

  test('is replaced by force, with a backup, and comes back', () => {
    using home = new TemporaryHome();
    const file = home.write('settings.json', foreign, 0o640);
    const { backup } = install(contextOf(home), request(file, [HELPER], { force: true }));
    expect(readFileSync(backup!.copy, 'utf8')).toBe(foreign);
    expect(statSync(backup!.copy).mode & 0o777).toBe(0o600);
    expect(statSync(file).mode & 0o777).toBe(0o640);
    install(contextOf(home), request(file, [HELPER, TTL]));
    expect(listBackups(home.path('state'))).toHaveLength(1);
    uninstall(contextOf(home), { file, ...out });
    expect(readFileSync(file, 'utf8')).toBe(foreign);
    deleteBackups(home.path('state'), backup!.id);
    expect(listBackups(home.path('state'))).toEqual([]);
  });

  test('comes back although the file was edited since', () => {
    using home = new TemporaryHome();
    const file = home.write('settings.json', foreign);
    install(contextOf(home), request(file, [HELPER], { force: true }));
    writeFileSync(file, readFileSync(file, 'utf8').replace('opus', 'sonnet'));
    uninstall(contextOf(home), { file, ...out });
    expect(readFileSync(file, 'utf8')).toBe(foreign.replace('opus', 'sonnet'));
  });

  test.each([
    ['{\n  "a": 1,\n  "b" 2\n}', 3, 7],
    ['[]', 1, 1],
    ['{\n  "env": "x"', 2, 13],
    ['\x00\x01\xff', 1, 1],
    // Written before the way back was found to be too deep for the stack.
    [`${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}`, 1, 501],
    ['['.repeat(100_000), 1, 101],
  ])('a broken file is left alone, with line and column: %j', (text, line, column) => {
    using home = new TemporaryHome();
    const file = home.write('settings.json', Buffer.from(text, 'latin1'));
    expect(() => install(contextOf(home), request(file, [HELPER]))).toThrow(`${file}:${line}:${column}`);
    expect(readFileSync(file, 'latin1')).toBe(text);
  });

  test('an env that is no object is left alone', () => {
    using home = new TemporaryHome();
    const file = home.write('settings.json', '{"env": 5}');
    expect(() => install(contextOf(home), request(file, [HELPER, TTL]))).toThrow('"env" is not a JSON object');
  });
});

describe('the file itself', () => {
  test('a symbolic link stays one, also where it led to nothing yet', () => {
    using home = new TemporaryHome();
    mkdirSync(home.path('dotfiles'));
    const link = home.path('settings.json');
    symlinkSync('dotfiles/claude.json', link);
    install(contextOf(home), request(link, [HELPER]));
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(home.path('dotfiles/claude.json'), 'utf8')).toContain('broker-key');
    uninstall(contextOf(home), { ...out, file: link });
    expect(readdirSync(home.path('dotfiles'))).toEqual([]);
  });

  test('loops of links, folders and open state folders are refused', () => {
    using home = new TemporaryHome();
    symlinkSync('b', home.path('a'));
    symlinkSync('a', home.path('b'));
    expect(() => install(contextOf(home), request(home.path('a'), [HELPER]))).toThrow('symbolic link loop');
    mkdirSync(home.path('folder'));
    expect(() => install(contextOf(home), request(home.path('folder'), [HELPER]))).toThrow(
      expect.objectContaining({
        message: expect.stringContaining('is a folder'),
        remedy: expect.stringMatching(/^move/),
      }),
    );
    chmodSync(home.path('state'), 0o755);
    expect(() => install(contextOf(home), request(home.path('c'), [HELPER]))).toThrow('others can reach it');
  });

  test('what the system refuses comes with what to do about it', () => {
    using home = new TemporaryHome();
    home.write('.claude', 'a file');
    expect(() => install(contextOf(home), request(home.path('.claude', 'settings.json'), [HELPER]))).toThrow(
      expect.objectContaining({ remedy: 'one of the folders in that path is a file: move that away' }),
    );
  });

  test('a dry run says what would be and touches nothing', () => {
    using home = new TemporaryHome();
    const outcome = install(contextOf(home), request(home.path('.claude/settings.json'), [HELPER], { dryRun: true }));
    expect(outcome.after).toContain('broker-key');
    expect(readdirSync(home.root)).toEqual([]);
  });

  test('an installer that died between record and file leaves nothing that cannot be undone', () => {
    using home = new TemporaryHome();
    const text = '{ "model": "opus" }';
    const file = home.write('settings.json', text);
    install(contextOf(home), request(file, [HELPER]));
    writeFileSync(file, text);
    uninstall(contextOf(home), { file, ...out });
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  test('two installers at once lose nothing', async () => {
    using home = new TemporaryHome();
    const file = home.write('settings.json', '{}');
    const script = join(import.meta.dirname, 'install-once.ts');
    const run = promisify(execFile);
    const names = Array.from({ length: 6 }, (_, index) => `target${index}`);
    await Promise.all(names.map((name) => run(process.execPath, [script, home.path('state'), file, name])));
    expect(Object.keys(JSON.parse(readFileSync(file, 'utf8'))).sort()).toEqual(names);
    for (const name of names) uninstall(contextOf(home), { ...out, file, target: name });
    expect(readFileSync(file, 'utf8')).toBe('{}');
  });
});
