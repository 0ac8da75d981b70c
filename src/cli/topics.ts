import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { PACKAGE_ROOT } from '../platform/native.ts';

/** A page of `docs/`, which is packed with the program. */
export interface Topic {
  /** What `broker help` takes: `configuration`, `vault`; with its folder where another page has the name, `recipes/vault`. */
  readonly name: string;
  /** From `docs/` on, without `.md`: `providers/vault`. Also taken. */
  readonly page: string;
  readonly title: string;
}

const DOCS = path.join(PACKAGE_ROOT, 'docs');

/** All pages, those of no folder first. Empty where none were installed. */
export function listTopics(): readonly Topic[] {
  const named = new Map<string, Topic>();
  for (const page of pagesIn(DOCS)) {
    const folder = path.posix.dirname(page);
    const own = path.posix.basename(page) === 'README' ? folder : path.posix.basename(page);
    const name = named.has(own) ? page : own;
    named.set(name, { name, page, title: titleOf(page) });
  }
  return [...named.values()];
}

/** `word` as people write it: `vault`, `providers/vault`, `docs/providers/vault.md`. */
export function findTopic(word: string): Topic | undefined {
  const wanted = word
    .toLowerCase()
    .replace(/^docs\//, '')
    .replace(/\.md$/, '');
  const all = listTopics();
  return (
    all.find(({ name }) => name === wanted) ??
    all.find(({ page }) => page.toLowerCase() === wanted) ??
    all.find(({ page }) => page === `${wanted}/README`)
  );
}

/** Whether there is a page of just this name, in no folder. */
export function hasPage(name: string): boolean {
  return existsSync(path.join(DOCS, `${name}.md`));
}

export function readTopic({ page }: Topic): string {
  return readFileSync(path.join(DOCS, `${page}.md`), 'utf8');
}

function pagesIn(docs: string): readonly string[] {
  let entries: readonly string[];
  try {
    entries = readdirSync(docs, { recursive: true, encoding: 'utf8' });
  } catch {
    return [];
  }
  const pages = entries.filter((entry) => entry.endsWith('.md')).map((entry) => entry.slice(0, -'.md'.length));
  const depth = (page: string) => page.split('/').length;
  return pages.sort((a, b) => depth(a) - depth(b) || (a < b ? -1 : 1));
}

function titleOf(page: string): string {
  const [heading = ''] = readFileSync(path.join(DOCS, `${page}.md`), 'utf8').split('\n', 1);
  return heading.replace(/^#+ /, '').replaceAll('`', '');
}
