import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { hasOpenssl, makeCertificate } from '../../fakes/certificates.ts';
import { hastyClock } from '../../fakes/real-clock.ts';
import { describeProvider } from '../provider-suite.ts';
import { aws, cert } from './dev-logins-under-test.ts';
import { DevStage } from './dev-stage.ts';
import { approle, jwt, kubernetes, ldap, oidc, token, userpass, wrappedApprole } from './logins-under-test.ts';
import { VaultHarness } from './vault-harness.ts';

/** Every login once, and every engine at least once. */
const COMBINATIONS = [
  ['kv-v2', approle()],
  ['kv-v1', wrappedApprole()],
  ['cubbyhole', token()],
  ['kv-v2', userpass()],
  ['dynamic', ldap()],
  ['identity-token', jwt()],
  ['kv-v1', kubernetes()],
  ['posted', aws()],
  ['kv-v1', oidc()],
  ['kv-v2', oidc('direct')],
] as const;

for (const [engine, login] of COMBINATIONS) {
  const harness = new VaultHarness({
    engine,
    login,
    leases: true,
    clock: hastyClock,
    open: (canary) => DevStage.open(canary),
  });
  describeProvider(`Vault, ${engine}, login ${login.name}`, harness);
}

if (hasOpenssl) {
  const folder = mkdtempSync(join(tmpdir(), 'broker-vault-'));
  const authority = makeCertificate(folder, 'ca', { commonName: 'Example Corp Root', isAuthority: true });
  const server = makeCertificate(folder, 'server', { commonName: 'vault', issuer: authority });
  const open = (canary: string) => DevStage.open(canary, { server, authority });
  const harness = new VaultHarness({
    engine: 'kv-v2',
    login: cert({ authority, folder }),
    leases: true,
    clock: hastyClock,
    open,
  });
  describeProvider('Vault over TLS, kv-v2, login cert', harness);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
}
