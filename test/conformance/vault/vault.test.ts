import { describeProvider } from '../provider-suite.ts';
import { aws, oidc } from './dev-logins-under-test.ts';
import { DevStage } from './dev-stage.ts';
import { approle, token, userpass, workload } from './logins-under-test.ts';
import { describeAnswers } from './vault-answers.ts';
import { VaultHarness } from './vault-harness.ts';

const COMBINATIONS = [
  ['kv-v2', approle()],
  ['kv-v1', token()],
  ['kv-v2', userpass()],
  ['kv-v1', workload()],
  ['kv-v2', aws()],
  ['kv-v1', oidc()],
] as const;

for (const [engine, login] of COMBINATIONS) {
  const harness = new VaultHarness({ engine, login, leases: true, open: DevStage.open });
  describeProvider(`Vault, ${engine}, login ${login.name}`, harness);
}

describeAnswers('the development Vault', DevStage.open);
