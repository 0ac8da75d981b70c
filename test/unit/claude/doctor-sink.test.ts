import { expect, test } from 'vitest';
import type { SinkReport } from '../../../src/protocol/reports.ts';
import { TemporaryHome } from './home.ts';
import { runDoctor } from './run-doctor.ts';
import { statusOf } from './status-sample.ts';

/** As `broker claude install --wif` leaves it: variables, and no helper. */
const SETTINGS = {
  env: {
    ANTHROPIC_FEDERATION_RULE_ID: 'fdrl_01Test',
    ANTHROPIC_ORGANIZATION_ID: '11111111-2222-3333-4444-555555555555',
    ANTHROPIC_SERVICE_ACCOUNT_ID: 'svac_01Test',
    ANTHROPIC_IDENTITY_TOKEN_FILE: '/run/user/1/broker/identity-token',
  },
};

async function findings(sink: SinkReport) {
  using home = new TemporaryHome();
  home.write('.claude/settings.json', JSON.stringify(SETTINGS));
  const { out } = await runDoctor(home, ['--json'], {}, { fetchStatus: async () => statusOf({ sink }) });
  return (JSON.parse(out) as { findings: { id: string; title: string; remedy: string }[] }).findings;
}

const FILE = '/run/user/1/broker/identity-token';

test('a token that is not kept in its file is told, with what the broker says to do', async () => {
  const problem = 'the key of "anthropic" has no expiry, and only what expires is kept in a file';
  const told = await findings({ file: FILE, written: false, problem, remedy: 'remove it' });
  expect(told.find(({ id }) => id === 'sink-not-kept')).toMatchObject({
    title: `"anthropic" is not kept fresh in ${FILE}: ${problem}`,
    remedy: 'remove it',
  });
});

test('with one that is kept there is nothing to find: workload identity is a login', async () => {
  const told = await findings({ file: FILE, written: true, problem: null, remedy: null });
  expect(told).toEqual([]);
});
