import { z } from 'zod';
import { text } from '../../config/value-types.ts';

export const ssmCredentialSchema = z.strictObject({
  parameter: text().describe('Name or ARN of the parameter; with :VERSION or :LABEL after it, that one for ever.'),
});

export type SsmSource = z.output<typeof ssmCredentialSchema>;
