import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** The licences of the packages that these modules come from; most require their text to go with their code. */
export function licenceTexts(moduleIds: readonly string[]): string {
  const folders = new Set(moduleIds.flatMap((id) => packageFolder(id) ?? []));
  return [...folders].toSorted().map(licenceText).join('\n');
}

/** `…/node_modules/NAME` or `…/node_modules/@SCOPE/NAME`; undefined for our own modules. */
function packageFolder(moduleId: string): string | undefined {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(moduleId)?.[0];
}

/** @throws Error for a package that does not name its licence. */
function licenceText(folder: string): string {
  const manifest = path.join(folder, 'package.json');
  const { name, version, license } = JSON.parse(readFileSync(existsSync(manifest) ? manifest : '', 'utf8'));
  if (typeof license !== 'string') throw new Error(`${name} ${version} does not name its licence`);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file === undefined ? '' : readFileSync(path.join(folder, file), 'utf8').trim();
  return `${name} ${version}, ${license}\n\n${text}\n\n${'-'.repeat(80)}\n`;
}
