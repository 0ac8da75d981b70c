import { z } from 'zod';
import { text } from '../../config/value-types.ts';

export const secretsManagerCredentialSchema = z.strictObject({
  secret_id: text().describe('Name or ARN of the secret; across accounts the ARN.'),
  version_stage: text().optional().describe('Staging label. Default: AWSCURRENT.'),
  version_id: text().optional().describe('One version for ever: no rotation will ever show.'),
  watch_rotation: z
    .boolean()
    .default(false)
    .describe(
      'Ask for the date of the next rotation too (secretsmanager:DescribeSecret), and read again by then. Default: false.',
    ),
});

export type SecretsManagerSource = z.output<typeof secretsManagerCredentialSchema>;
