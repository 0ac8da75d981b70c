import { describeProvider } from '../provider-suite.ts';
import { DevStage } from './dev-stage.ts';
import { approle, token, userpass, workload } from './logins-under-test.ts';
import { describeAnswers } from './vault-answers.ts';
import { VaultHarness } from './vault-harness.ts';

const COMBINATIONS = [
  ['kv-v2', approle()],
  ['kv-v1', token()],
  ['kv-v2', userpass()],
  ['kv-v1', workload()],
] as const;

for (const [engine, login] of COMBINATIONS) {
  const harness = new VaultHarness({ engine, login, leases: true, open: DevStage.open });
  describeProvider(`Vault, ${engine}, login ${login.name}`, harness);
}

describeAnswers('the development Vault', DevStage.open);
