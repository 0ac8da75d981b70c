import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BEGUN_BY_SETUP } from '../../src/setup/new-tables.ts';
import { Desk, missingPrograms } from '../keyring/desk.ts';
import {
  broker,
  CONFIG,
  dropIn,
  emptyHome,
  enabledUnits,
  env,
  HOME,
  property,
  SOCKET,
  STATE,
  UNITS,
} from './session.ts';

const hasJournal = existsSync('/run/systemd/journal/stdout');
const TEXT =
  'default = "key"\n[providers.command]\ntype = "exec"\n[credentials.key]\nprovider = "command"\ncommand = ["echo", "sk-test"]\n';

beforeAll(() => {
  mkdirSync(path.dirname(CONFIG), { recursive: true, mode: 0o700 });
  writeFileSync(CONFIG, `${BEGUN_BY_SETUP}\n${TEXT}`, { mode: 0o600 });
});
afterAll(emptyHome);

test.skipIf(missingPrograms())(
  'a report of the service has its units and its journal; uninstall takes units, socket and the key in the keyring with it',
  async () => {
    await using desk = new Desk({ home: HOME, runtime: env.XDG_RUNTIME_DIR });
    await desk.start();
    expect(await broker('claude', 'install')).toMatchObject({ code: 0 });
    expect(await broker('service', 'install')).toMatchObject({ code: 0 });
    expect(await broker('get')).toMatchObject({ code: 0 });
    expect(await desk.accounts()).toHaveLength(1);
    dropIn('Environment=SOMETHING=canaryofdropin');

    const report = path.join(HOME, 'report.tar.gz');
    expect(await broker('bugreport', '--output', report)).toMatchObject({ code: 0, stderr: '' });
    const files = execFileSync('tar', ['-xzOf', report], { encoding: 'utf8' });
    expect(files).toContain('"manager": "systemd"');
    expect(files).toMatch(/user\/broker\.socket\n[\s\S]*\[Socket\]/);
    expect(files).toContain('Environment=SOMETHING=…');
    expect(files).not.toContain('canaryofdropin');
    if (hasJournal) expect(files).toContain('broker is ready');

    const { code, stdout } = await broker('uninstall', '--yes', '--json');
    expect(code, stdout).toBe(0);
    const { written, stays, left } = JSON.parse(stdout);
    expect(written.map(({ kind }: { kind: string }) => kind)).toEqual(
      expect.arrayContaining(['daemon', 'service', 'settings', 'keyring', 'state', 'configuration']),
    );
    expect(stays).toEqual([{ where: path.join(UNITS, 'broker.service.d'), why: 'your own changes of the unit' }]);
    expect(left).toEqual([]);
    expect(await desk.accounts()).toEqual([]);
    expect(enabledUnits()).toEqual([]);
    expect(property('LoadState')).toBe('not-found');
    for (const gone of [SOCKET, path.dirname(SOCKET), STATE, CONFIG])
      expect([gone, existsSync(gone)]).toEqual([gone, false]);
    expect(readdirSync(UNITS)).toEqual(['broker.service.d']);
  },
);
