import { test } from 'vitest';
import { describeProvider } from '../provider-suite.ts';
import { approle, jwt, token, userpass, wrappedApprole } from './logins-under-test.ts';
import { RealStage, reachesUs, realVault } from './real-stage.ts';
import { describeAnswers } from './vault-answers.ts';
import { VaultHarness } from './vault-harness.ts';

/**
 * The same suite against a real Vault or OpenBao, for example `bao server -dev`. It mounts what it needs under names of
 * its own and takes that away again, but never let it near a server that matters.
 */
const real = realVault();

if (real === undefined) {
  test.skip('no real Vault: set BROKER_TEST_VAULT_ADDR and BROKER_TEST_VAULT_TOKEN', () => {});
  console.info('skipped: no real Vault (BROKER_TEST_VAULT_ADDR, BROKER_TEST_VAULT_TOKEN)');
} else {
  const combinations = [
    ['kv-v2', approle()],
    ['kv-v1', wrappedApprole()],
    ['cubbyhole', token()],
    ['kv-v2', userpass()],
    ['identity-token', jwt()],
  ] as const;
  for (const [engine, login] of combinations) {
    const parts = { engine, login, leases: reachesUs(real), open: () => RealStage.open(real) };
    describeProvider(`real Vault, ${engine}, login ${login.name}`, new VaultHarness(parts));
  }
  describeAnswers('a real Vault', () => RealStage.open(real));
}
