import { getNodeValue, type Node } from 'jsonc-parser';

/** A path of property names from the root; the tree is searched as the client reads it: of duplicate keys the last counts. */
export type SettingsPath = readonly string[];

export function propertyOf(object: Node, name: string): Node | undefined {
  return object.children?.findLast((property) => property.children?.[0]?.value === name && property.children[1]);
}

export function propertyAt(root: Node | undefined, path: SettingsPath): Node | undefined {
  let property: Node | undefined;
  let object = root;
  for (const name of path) {
    if (object?.type !== 'object') return undefined;
    property = propertyOf(object, name);
    object = property?.children?.[1];
  }
  return property;
}

export function nodeAt(root: Node | undefined, path: SettingsPath): Node | undefined {
  return path.length === 0 ? root : propertyAt(root, path)?.children?.[1];
}

export function valueAt(root: Node | undefined, path: SettingsPath): unknown {
  const node = nodeAt(root, path);
  return node === undefined ? undefined : getNodeValue(node);
}

/** How often a name stands in one object; above 1 the earlier ones are dead text. */
export function countOf(object: Node | undefined, name: string): number {
  return object?.children?.filter((property) => property.children?.[0]?.value === name).length ?? 0;
}
