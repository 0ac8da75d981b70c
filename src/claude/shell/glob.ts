import path from 'node:path';
import { namesQuietly } from '../../platform/files.ts';

type OnDisk = (file: string) => string;

/** Of one word; a loop over more is not a person's. */
const MOST_WORDS = 200;

/** The files that are there; a pattern that is not an absolute path stays as it is. */
export function globbed(pattern: string, onDisk: OnDisk): string[] {
  if (!path.isAbsolute(pattern)) return [pattern];
  let found = [''];
  for (const part of pattern.split('/').slice(1)) {
    found = /[*?[]/.test(part)
      ? found.flatMap((folder) => namesIn(folder, part, onDisk).map((name) => `${folder}/${name}`))
      : found.map((folder) => `${folder}/${part}`);
  }
  return found.slice(0, MOST_WORDS);
}

function namesIn(folder: string, pattern: string, onDisk: OnDisk): string[] {
  const names = namesQuietly(onDisk(folder === '' ? '/' : folder));
  return names.filter((name) => patternOf(pattern).test(name) && (!name.startsWith('.') || pattern.startsWith('.')));
}

/** More of them make the search slow, and are in nobody's profile. */
const MOST_STARS = 8;

/** A glob as a regular expression. */
export function patternOf(glob: string): RegExp {
  if (glob.split('*').length > MOST_STARS) return /^(?!)/;
  const source = glob
    .replaceAll(/\*+/g, '*')
    .replaceAll(/[.+^${}()|\\/]/g, '\\$&')
    .replaceAll('*', '[^]*')
    .replaceAll('?', '[^]')
    .replaceAll('[!', '[^');
  try {
    return new RegExp(`^${source}$`);
  } catch {
    return /^(?!)/;
  }
}

/** `~/.{a,b}`. */
export function braced(text: string): string[] {
  const found = /^([^{}]*)\{([^{}]*,[^{}]*)\}(.*)$/s.exec(text);
  if (found === null) return [text];
  const [, before = '', inner = '', behind = ''] = found;
  return inner
    .split(',')
    .flatMap((each) => braced(behind).map((rest) => `${before}${each}${rest}`))
    .slice(0, MOST_WORDS);
}
