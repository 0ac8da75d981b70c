import { expect, test } from 'vitest';
import type { DoctorParts } from '../../../src/cli/commands/doctor.ts';
import { TemporaryHome } from './home.ts';
import { runDoctor } from './run-doctor.ts';
import { statusOf } from './status-sample.ts';

type Finding = Readonly<Record<'id' | 'title' | 'remedy', string>>;

async function findings(
  line: string,
  parts: Partial<DoctorParts> = {},
  script = 'echo sk-x',
): Promise<readonly Finding[]> {
  using home = new TemporaryHome();
  home.write('.claude/settings.json', JSON.stringify({ apiKeyHelper: line.replace('{HOME}', home.root) }));
  home.write('bin/broker-key', `#!/bin/sh\n${script}\n`, 0o755);
  const { out } = await runDoctor(home, ['--json'], {}, parts);
  return (JSON.parse(out) as { findings: Finding[] }).findings.map((each) => ({
    ...each,
    remedy: each.remedy.replaceAll(home.root, '{HOME}'),
  }));
}

const CONFIG = statusOf().daemon.configFile;

test.each([['"~/bin/broker-key" anthropic'], ["'~/bin/broker-key' anthropic"]])(
  'a tilde in quotes is not expanded: %s',
  async (line) => {
    const found = await findings(line);
    expect(found.find(({ id }) => id === 'helper-missing')?.remedy).toBe(
      '~ is not expanded in quotes: write {HOME} instead of it, or: broker claude install',
    );
    expect(found.some(({ id }) => id === 'helper-relative')).toBe(false);
  },
);

test('without quotes it is expanded', async () => {
  expect((await findings('~/bin/broker-key anthropic')).some(({ id }) => id === 'helper-missing')).toBe(false);
});

test('another configuration in this shell than in the daemon is told, the same one is not', async () => {
  const told = await findings('{HOME}/bin/broker-key', { config: () => ({ file: '/other.toml', setUp: undefined }) });
  expect(told.find(({ id }) => id === 'other-config')).toMatchObject({
    title: `the daemon has another configuration, ${CONFIG}, than this shell, /other.toml`,
    remedy: expect.stringContaining('unset BROKER_CONFIG') as string,
  });
  for (const file of [CONFIG, undefined]) {
    const quiet = await findings('{HOME}/bin/broker-key', { config: () => ({ file, setUp: undefined }) });
    expect(quiet.some(({ id }) => id === 'other-config')).toBe(false);
  }
});

test('on a new machine the helper leads to broker setup', async () => {
  const parts = {
    fetchStatus: async () => undefined,
    config: () => ({ file: undefined, setUp: 'run: broker setup' }),
  };
  const told = await findings('{HOME}/bin/broker-key', parts, 'exit 69');
  expect(told.find(({ id }) => id === 'broker-unreachable')?.remedy).toBe('run: broker setup');
});
