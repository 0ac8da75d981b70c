/** One replacement in a text; `offset` counts in the text before any edit of the same list. */
export interface TextEdit {
  readonly offset: number;
  readonly removed: string;
  readonly inserted: string;
}

/** Edits must not overlap; their order does not matter. */
export function applyEdits(text: string, edits: readonly TextEdit[]): string {
  let result = text;
  for (const { offset, removed, inserted } of inOrder(edits).reverse()) {
    result = result.slice(0, offset) + inserted + result.slice(offset + removed.length);
  }
  return result;
}

/** The text as it was before `applyEdits`; undefined if what was inserted is no longer where it was put. */
export function revertEdits(text: string, edits: readonly TextEdit[]): string | undefined {
  let result = text;
  // From the first edit on, each is undone at its own offset: what is before it is already as it was.
  for (const { offset, removed, inserted } of inOrder(edits)) {
    if (!result.startsWith(inserted, offset)) return undefined;
    result = result.slice(0, offset) + removed + result.slice(offset + inserted.length);
  }
  return result;
}

function inOrder(edits: readonly TextEdit[]): TextEdit[] {
  return edits.toSorted((a, b) => a.offset - b.offset);
}

/** What new lines have to end with. */
export function lineEnd(text: string): string {
  const at = text.indexOf('\n');
  return at > 0 && text[at - 1] === '\r' ? '\r\n' : '\n';
}
