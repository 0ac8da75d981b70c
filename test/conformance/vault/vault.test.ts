import { describeProvider } from '../provider-suite.ts';
import { approle, aws, kubernetes, oidc, token, userpass } from './logins-under-test.ts';
import { type Engine, VaultHarness } from './vault-harness.ts';

const COMBINATIONS = [
  ['kv-v2', approle],
  ['kv-v1', token],
  ['kv-v2', userpass],
  ['kv-v1', kubernetes],
  ['kv-v2', aws],
  ['kv-v1', oidc],
] as const satisfies readonly (readonly [Engine, unknown])[];

for (const [engine, login] of COMBINATIONS) {
  describeProvider(`Vault, ${engine}, login ${login.name}`, new VaultHarness(engine, login));
}
