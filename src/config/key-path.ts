/** Where a value stands in the file: names of tables and keys, numbers for the elements of an array. */
export type KeyPath = readonly (string | number)[];

const BARE = /^[A-Za-z0-9_-]+$/;

/** As TOML writes it, quoted where it has to be: `credentials."a.b".fields`, `command[0]`. */
export function dotted(path: KeyPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += `${text === '' ? '' : '.'}${writtenKey(part)}`;
  }
  return text;
}

/** One key as it has to be written: bare if it can be. Cut short, because it may be anything at all. */
export function writtenKey(key: string): string {
  const short = key.length > 80 ? `${key.slice(0, 79)}…` : key;
  return BARE.test(short) ? short : JSON.stringify(short);
}

/** An identity for maps. */
export function pathId(path: KeyPath): string {
  return JSON.stringify(path);
}
