import { getNodeValue, type Node } from 'jsonc-parser';
import { lineAndColumn, type Position, type SettingsPath } from './document.ts';
import table from './types-taken.json' with { type: 'json' };

/**
 * What the client says about one setting: the kinds of value that it takes, the only words where not any text is taken, and what
 * an object must have. `npm run doctor:types` asks the client and writes types-taken.json.
 */
type Entry = readonly [takes: readonly string[], words?: readonly string[], needs?: readonly string[]];

const ENTRIES: ReadonlyMap<string, Entry> = new Map(Object.entries(table.entries as unknown as Record<string, Entry>));

/** Names with entries below them: deeper than these nothing is looked at. */
const PARENTS: ReadonlySet<string> = new Set(
  [...ENTRIES.keys()].flatMap((name) => [...name.matchAll(/\.|\[\]/g)].map(({ index }) => name.slice(0, index))),
);

export interface TypeFault {
  readonly what: string;
  readonly position: Position;
  /** The setting, as a path from the root. */
  readonly path: SettingsPath;
}

/** Every value in settings that makes the client refuse them. Names that it does not know are passed over, as it does. */
export function typeFaults(text: string, root: Node | undefined): TypeFault[] {
  return root?.type === 'object' ? inside(text, root, '', []) : [];
}

function inside(text: string, node: Node, place: string, path: SettingsPath): TypeFault[] {
  if (place !== '' && !PARENTS.has(place)) return [];
  if (node.type === 'array') {
    const elements = node.children ?? [];
    return elements.flatMap((element, index) => faultsOf(text, element, `${place}[]`, [...path, String(index)]));
  }
  if (node.type !== 'object') return [];
  // Of names that are twice in their object the client sees the last.
  const values = new Map(node.children?.map(({ children: [name, value] = [] }) => [String(name?.value), value]));
  return [...values].flatMap(([name, value]) => {
    if (value === undefined) return [];
    const below = place === '' ? name : `${place}.${name}`;
    return faultsOf(text, value, ENTRIES.has(below) ? below : `${place}.*`, [...path, name]);
  });
}

function faultsOf(text: string, node: Node, place: string, path: SettingsPath): TypeFault[] {
  const entry = ENTRIES.get(place);
  if (entry === undefined) return inside(text, node, place, path);
  const [takes, words = [], needs = []] = entry;
  const fault = (what: string) => [
    { what: `${path.join('.')} ${what}`, position: lineAndColumn(text, node.offset), path },
  ];
  const kind = kindOf(node);
  const isWord = kind === 'text' && words.includes(String(node.value));
  if (!isWord && !takes.includes(kind)) {
    const wanted = words.length > 0 ? `one of ${words.map((word) => `"${word}"`).join(', ')}` : takes.join(' or ');
    return fault(`is ${kind === 'text' && words.length > 0 ? 'another word' : kind}, and the client takes ${wanted}`);
  }
  const missing = kind === 'an object' ? needs.find((need) => !has(node, need)) : undefined;
  return missing === undefined ? inside(text, node, place, path) : fault(`has no "${missing}"`);
}

function has(object: Node, name: string): boolean {
  return object.children?.some(({ children: [found] = [] }) => found?.value === name) === true;
}

/** In the words of the table. */
function kindOf(node: Node): string {
  switch (node.type) {
    case 'string':
      return 'text';
    case 'number': {
      const value = Number(getNodeValue(node));
      if (value < 0) return 'a number below 0';
      return Number.isInteger(value) ? 'a number' : 'a fraction';
    }
    case 'boolean':
      return 'true or false';
    case 'null':
      return 'null';
    case 'array':
      return 'a list';
    default:
      return 'an object';
  }
}
