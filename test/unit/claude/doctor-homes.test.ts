import { mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { doctorCommand } from '../../../src/cli/commands/doctor.ts';
import { TemporaryHome } from './home.ts';
import { type Home, HOMES as USUAL_HOMES } from './homes.ts';
import { CLIENT_HOMES } from './homes-client.ts';
import { HEALTHY_HOMES } from './homes-healthy.ts';
import { MAC_HOMES } from './homes-mac.ts';
import { ORGANISATION_HOMES } from './homes-organisation.ts';
import { SIBLING_HOMES } from './homes-siblings.ts';
import { TRAP_HOMES } from './homes-traps.ts';
import { installMacPrograms } from './mac-programs.ts';
import { statusOf } from './status-sample.ts';
import { captureIo } from './test-io.ts';

const HOMES = [
  ...USUAL_HOMES,
  ...ORGANISATION_HOMES,
  ...MAC_HOMES,
  ...TRAP_HOMES,
  ...CLIENT_HOMES,
  ...SIBLING_HOMES,
  ...HEALTHY_HOMES,
];
const GIVEN = 'sk-ant-api03-FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF';
const SECRETS = /(A{20}|B{20}|C{20}|D{20}|E{20}|F{20})/;

/** As `broker doctor --json` in such a home would print it. */
async function diagnose(home: TemporaryHome, data: Home) {
  const fill = (text: string) => text.replaceAll('{HOME}', home.root);
  mkdirSync(home.path('project'), { recursive: true });
  home.write('bin/broker-key', `#!/bin/sh\necho ${GIVEN}\n`, 0o755);
  for (const [name, content] of Object.entries(data.files ?? {})) {
    const [text, mode] = typeof content === 'string' ? [content, 0o600] : content;
    home.write(name, fill(text), mode);
  }
  for (const [name, target] of Object.entries(data.links ?? {})) {
    mkdirSync(path.dirname(home.path(name)), { recursive: true });
    symlinkSync(home.path(target), home.path(name));
  }
  if (data.platform === 'darwin') installMacPrograms(home);
  if (!data.isClosed) home.open();
  const env = Object.fromEntries(Object.entries(data.env ?? {}).map(([name, value]) => [name, fill(value)]));
  const io = captureIo(home, { PATH: `${home.path('programs')}:/usr/bin:/bin`, ...env }, data.platform);
  const status = data.broker === 'none' ? undefined : (data.broker ?? statusOf());
  const parts = { fetchStatus: async () => status, systemRoot: home.path('system') };
  const flags = ['--json', '--project', home.path('project')];
  if (data.flag !== undefined) flags.push('--settings', home.path(data.flag));
  if (data.runHelper) flags.push('--run-helper');
  await doctorCommand(io, parts).parseAsync(['node', 'broker', ...flags]);
  return io;
}

test('there are homes enough, each with a name of its own', () => {
  expect(HOMES.length).toBeGreaterThanOrEqual(60);
  expect(new Set(HOMES.map(({ name }) => name)).size).toBe(HOMES.length);
});

test('there are healthy homes enough', () => {
  expect(HEALTHY_HOMES.length).toBeGreaterThanOrEqual(30);
});

test.each(HOMES)('$name', async (data) => {
  using home = new TemporaryHome();
  const io = await diagnose(home, data);
  const report = JSON.parse(io.out);
  const winners = report.modes.map((mode: { winner: string | null }) => mode.winner);
  expect({ wins: winners, findings: idsOf(report, ['error', 'warning']) }).toEqual({
    wins: data.wins,
    findings: [...data.finds].sort(),
  });
  expect(idsOf(report, ['info'])).toEqual(expect.arrayContaining([...(data.notes ?? [])]));
  if (data.headers !== undefined) {
    const { headers } = report.modes[1];
    expect([headers['x-api-key'], headers.authorization]).toEqual(data.headers);
  }
  expect(io.out + io.err).not.toMatch(SECRETS);
  expect(io.exitCode).toBe(report.exitCode);
  if (HEALTHY_HOMES.includes(data)) expect(io.exitCode).toBe(0);
});

test('a command in a remedy can be typed where the home has a space in its name', async () => {
  const ids = ['readable-by-others', 'writable-by-others', 'settings-dangling', 'helper-crlf'];
  const remedies: string[] = [];
  for (const data of HOMES.filter(({ finds }) => finds.some((id) => ids.includes(id)))) {
    using home = new TemporaryHome('broker home-');
    const { findings } = JSON.parse((await diagnose(home, data)).out);
    const own = findings.filter(({ id }: { id: string }) => ids.includes(id));
    remedies.push(...own.map(({ remedy }: { remedy: string }) => remedy.replaceAll(home.root, 'HOME')));
  }
  expect(remedies.length).toBeGreaterThanOrEqual(ids.length);
  for (const remedy of remedies) expect(remedy).toMatch(/type: (?:chmod \d+|rm|perl -pi -e '[^']*') 'HOME\/[^']*'$/);
});

function idsOf(report: { findings: { id: string; severity: string }[] }, severities: string[]): string[] {
  return report.findings
    .filter(({ severity }) => severities.includes(severity))
    .map(({ id }) => id)
    .sort();
}
