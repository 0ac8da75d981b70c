/**
 * The statements of a table over its columns, every name written out and aliased: SQLite takes result names from the
 * stored schema, so that a flipped bit there ("iSsued_at_ms") would otherwise make a value vanish without an error.
 */
export function statementsFor(table: string, columns: readonly string[]): { select: string; replace: string } {
  const aliased = columns.map((column) => `${column} AS ${column}`).join(', ');
  const parameters = columns.map((column) => `@${column}`).join(', ');
  return {
    select: `SELECT ${aliased} FROM ${table}`,
    replace: `INSERT OR REPLACE INTO ${table} (${columns.join(', ')}) VALUES (${parameters})`,
  };
}
