import { test } from 'vitest';
import { hasOpenssl } from '../../fakes/certificates.ts';
import { realClock } from '../../fakes/real-clock.ts';
import { describeProvider } from '../provider-suite.ts';
import { approle, jwt, kubernetes, ldap, oidc, token, userpass, wrappedApprole } from './logins-under-test.ts';
import { RealStage, reachesUs, realVault, whatItOffers } from './real-stage.ts';
import { describeVaultApi } from './vault-api.ts';
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
  const offered = await whatItOffers(real);
  const isNear = reachesUs(real);
  const combinations = [
    ['kv-v2', approle(), true],
    ['kv-v1', wrappedApprole(), true],
    ['cubbyhole', token(), true],
    ['kv-v2', userpass(), true],
    ['identity-token', jwt(), true],
    // The other side of these is played here.
    ['kv-v1', oidc(), isNear],
    ['kv-v2', oidc('direct'), isNear && offered.isOpenBao],
    ['kv-v2', oidc('device'), isNear && offered.isOpenBao],
    ['dynamic', ldap(), isNear && offered.methods.has('ldap')],
    ['posted', kubernetes(), isNear && hasOpenssl && offered.methods.has('kubernetes')],
  ] as const;
  for (const [engine, login, isPossible] of combinations) {
    const name = `real Vault, ${engine}, login ${login.name}`;
    const parts = { engine, login, leases: isNear, clock: realClock, open: () => RealStage.open(real) };
    if (isPossible) describeProvider(name, new VaultHarness(parts));
    else {
      test.skip(`${name}: this server cannot do it`, () => {});
      console.info(`skipped: ${name}: this server cannot do it`);
    }
  }
  describeVaultApi('a real Vault', () => RealStage.open(real));
}
