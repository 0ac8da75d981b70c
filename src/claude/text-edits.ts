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
  const forward = inOrder(edits);
  let shift = 0;
  const places = forward.map(({ offset, removed, inserted }) => {
    const place = offset + shift;
    shift += inserted.length - removed.length;
    return place;
  });
  let result = text;
  for (const [index, edit] of [...forward.entries()].reverse()) {
    const place = places[index] ?? 0;
    if (!result.startsWith(edit.inserted, place)) return undefined;
    result = result.slice(0, place) + edit.removed + result.slice(place + edit.inserted.length);
  }
  return result;
}

function inOrder(edits: readonly TextEdit[]): TextEdit[] {
  return [...edits].sort((a, b) => a.offset - b.offset);
}
