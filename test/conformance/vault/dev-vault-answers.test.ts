import { DevStage } from './dev-stage.ts';
import { describeAnswers } from './vault-answers.ts';

describeAnswers('the development Vault', (canary) => DevStage.open(canary));
