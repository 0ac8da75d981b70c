import type { z } from 'zod';
import { expandHome } from './paths.ts';
import { childSchema, isTable, type Table, unwrap } from './schema-walk.ts';

/** Replaces `~/` in every value that its schema marks as a path (`filePath()`), in place. */
export function expandFilePaths(table: Table, schema: z.core.$ZodType, homeDir: string): void {
  for (const [key, value] of Object.entries(table)) {
    const child = childSchema(schema, key, table);
    if (child === undefined) continue;
    if (isTable(value)) expandFilePaths(value, child, homeDir);
    else if (Array.isArray(value))
      table[key] = value.map((element) => expanded(element, childSchema(child, 0, value), homeDir));
    else table[key] = expanded(value, child, homeDir);
  }
}

function expanded(value: unknown, schema: z.core.$ZodType | undefined, homeDir: string): unknown {
  const isFile = schema !== undefined && unwrap(schema).meta.file === true;
  return isFile && typeof value === 'string' ? expandHome(value, homeDir) : value;
}
