/** Counted from 1, as editors do; columns in UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export function lineAndColumn(text: string, offset: number): Position {
  let line = 1;
  let start = 0;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) {
    line += 1;
    start = at + 1;
  }
  return { line, column: offset - start + 1 };
}
