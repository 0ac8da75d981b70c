import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { DoctorParts } from '../../../src/cli/commands/doctor.ts';
import { enrolmentFile, writeEnrolment } from '../../../src/platform/enrolment.ts';
import type { BrokerEvent } from '../../../src/protocol/reports.ts';
import { TemporaryHome } from './home.ts';
import { runDoctor } from './run-doctor.ts';
import { statusOf } from './status-sample.ts';

const STRICT = { enabled: true, failIfUnavailable: true, allowUnsandboxedCommands: false };

type Parts = Partial<DoctorParts> & { readonly allow?: readonly string[] };

function doctor(
  home: TemporaryHome,
  flags: string[] = [],
  { allow = ['claude-code'], ...more }: Parts = {},
  env: Record<string, string> = {},
) {
  const parts = { fetchStatus: async () => statusOf({ allow }), ...more };
  return runDoctor(home, flags, { PATH: home.path('bin'), ...env }, parts);
}

interface ToldFinding {
  readonly id: string;
  readonly severity: string;
  readonly title: string;
  readonly remedy: string;
}

async function findings(home: TemporaryHome, more: Parts = {}, env: Record<string, string> = {}) {
  const { out } = await doctor(home, ['--json'], more, env);
  const told = (JSON.parse(out) as { findings: ToldFinding[] }).findings;
  return told.filter(({ id }) => /^(allow|sandbox|helper-fails|agent-can)/.test(id));
}

const idsOf = (told: readonly ToldFinding[]) => told.map(({ id, severity }) => `${id}: ${severity}`);

function homeWith(settings: object = {}): TemporaryHome {
  const home = new TemporaryHome();
  home.write('bin/broker-key', '#!/bin/sh\necho refused >&2; exit 77\n', 0o755);
  for (const program of ['bwrap', 'socat']) home.write(`bin/${program}`, '', 0o755);
  const helper = home.path('bin', 'broker-key');
  home.write('.claude/settings.json', JSON.stringify({ apiKeyHelper: helper, sandbox: STRICT, ...settings }));
  return home;
}

function record(home: TemporaryHome, line = home.path('bin', 'broker-key')): void {
  const file = home.path('.claude', 'settings.json');
  const lines = [{ line, words: [line], file, target: 'api-key' }];
  writeEnrolment(home.path('state'), home.uid, { lines, clients: [] });
}

describe('doctor, of a credential with `allow`', () => {
  it('has nothing to say where the line is recorded and the sandbox strict, and does not run the helper', async () => {
    using home = homeWith();
    record(home);
    expect(await findings(home)).toEqual([]);
  });

  it('says that a line that is not recorded will be refused, and what to do', async () => {
    using home = homeWith();
    record(home, '/elsewhere/broker-key');
    const [missing, ...rest] = await findings(home);
    expect(rest).toEqual([]);
    expect(missing).toMatchObject({ id: 'allow-line-missing', severity: 'error' });
    expect(missing?.remedy).toBe('write the line again: broker claude install');
  });

  it('says why what is recorded does not count', async () => {
    using home = homeWith();
    record(home);
    home.write('state/claude/enrolment.json', '{"version":2}');
    expect(enrolmentFile(home.path('state'))).toBe(home.path('state', 'claude', 'enrolment.json'));
    const [missing] = await findings(home);
    expect(missing?.title).toMatch(/enrolment\.json is damaged$/);
  });

  it('knows a client by its place, or by its enrolment', async () => {
    using home = homeWith();
    record(home);
    copyFileSync('/bin/true', home.path('bin', 'claude'));
    expect(idsOf(await findings(home))).toEqual(['allow-client-unknown: warning']);
    const usual = home.path('share', 'claude', 'versions', '2.1.332');
    mkdirSync(dirname(usual), { recursive: true });
    copyFileSync('/bin/true', usual);
    home.write('bin/claude', '#!/bin/sh\n', 0o755);
    expect(await findings(home)).toEqual([]);
  });

  it('shows what was refused lately, the newest first, and which of it needs something done', async () => {
    using home = homeWith();
    record(home);
    const event = (id: number, clause: string, remedy: string): BrokerEvent => ({
      id,
      at: `2026-11-22T00:00:0${id}.000Z`,
      kind: 'caller-refused',
      credential: 'anthropic',
      detail: { clause, taken: 'a hook', why: 'the why', remedy, client: 7 },
    });
    const purpose = 'this is on purpose (`allow` in the configuration); why in full: broker doctor';
    const events = [
      event(1, 'session', purpose),
      event(2, 'line', 'broker claude install'),
      event(3, 'session', purpose),
    ];
    const told = await findings(home, { fetchEvents: async () => events });
    expect(idsOf(told)).toEqual(['allow-refused: warning', 'allow-refused: info']);
    expect(told.map(({ title }) => title)).toEqual([
      '"anthropic" was refused to a hook (line), at 2026-11-22T00:00:02.000Z',
      '"anthropic" was refused to a hook (session), 2 times, last at 2026-11-22T00:00:03.000Z',
    ]);
  });

  it.each<[string, object, string[]]>([
    ['no sandbox', { sandbox: {} }, ['sandbox-off: info']],
    ['a sandbox that is off', { sandbox: { ...STRICT, enabled: false } }, ['sandbox-off: info']],
    [
      'the usual sandbox',
      { sandbox: { enabled: true } },
      ['sandbox-fails-open: warning', 'sandbox-unsandboxed-commands: warning'],
    ],
    ['sockets', { sandbox: { ...STRICT, network: { allowAllUnixSockets: true } } }, ['sandbox-unix-sockets: warning']],
    ['exclusions', { sandbox: { ...STRICT, excludedCommands: ['docker *'] } }, ['sandbox-excluded: warning']],
  ])('the sandbox: %s', async (_, settings, expected) => {
    using home = homeWith(settings);
    record(home);
    expect(idsOf(await findings(home))).toEqual(expected);
  });

  it('the sandbox: without the programs that it needs', async () => {
    using home = homeWith();
    record(home);
    home.write('empty/x', '');
    const env = { PATH: home.path('empty') };
    expect(idsOf(await findings(home, {}, env))).toEqual(['sandbox-unavailable: error', 'sandbox-unavailable: error']);
  });

  it('the sandbox without `allow`: notes only', async () => {
    using home = homeWith({ sandbox: { enabled: true } });
    const told = idsOf(await findings(home, { allow: [] })).filter((id) => id.startsWith('sandbox'));
    expect(told).toEqual(['sandbox-fails-open: info', 'sandbox-unsandboxed-commands: info']);
  });
});

describe('doctor --who', () => {
  it('tells what a process would be taken for, with every process above it and no command line', async () => {
    using home = homeWith();
    const child = spawn('/bin/sh', ['-c', 'read _', 'canary-word'], { stdio: ['pipe', 'ignore', 'ignore'] });
    const { out, exitCode } = await doctor(home, ['--who', String(child.pid)]);
    const told = JSON.parse((await doctor(home, ['--json', '--who', String(child.pid)])).out);
    child.stdin.end();
    expect(exitCode).toBe(1);
    expect(out).toMatch(
      /^process \d+ would be refused what has allow = claude-code: it is taken for .* \(client\)\n {4}why: /,
    );
    expect(out).toContain(process.execPath);
    expect(out).not.toContain('canary-word');
    expect(told).toMatchObject({ pid: child.pid, served: false, clause: 'client', allow: ['claude-code'] });
    expect(told.chain[1].pid).toBe(process.pid);
  });

  it('tells of one that has ended', async () => {
    using home = homeWith();
    expect((await doctor(home, ['--who', '2147483647'])).out).toMatch(/\(peer\)\n {4}why: the kernel hides it/);
  });

  it.each(['0', '-1', 'x', '1.5'])('refuses %s', async (pid) => {
    using home = homeWith();
    await expect(doctor(home, [`--who=${pid}`])).rejects.toThrow('is not a process id');
  });
});
