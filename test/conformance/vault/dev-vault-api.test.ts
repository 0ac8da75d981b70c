import { DevStage } from './dev-stage.ts';
import { describeVaultApi } from './vault-api.ts';

describeVaultApi('the development Vault', (canary) => DevStage.open(canary));
