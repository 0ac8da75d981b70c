import type { z } from 'zod';
import type { KeyPath } from './key-path.ts';

/** A table with the schema that it was checked by, for saying what is wrong with it. */
export interface CheckedTable {
  readonly schema: z.core.$ZodType;
  readonly value: unknown;
  /** Where the table stands in the file. */
  readonly base: KeyPath;
  /** Keys that are right in this table although its schema does not have them. */
  readonly moreKeys?: readonly string[];
  /** Where a key belongs that is wrong here. */
  readonly placeOf?: (key: string) => string | undefined;
}
