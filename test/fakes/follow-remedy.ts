import { readFileSync, writeFileSync } from 'node:fs';

/** A value of sh or fish as a person sees where it ends. */
const VALUE = String.raw`(?:"(?:[^"\\]|\\[^])*"|\$?'(?:[^'\\]|\\[^])*'|\$?\((?:[^()]|\([^()]*\))*\)|\\[^]|[^\s;'"&|)}(])*`;

const EMPTIED = /leave lines? (\d+)(?: to (\d+))? of (\S+) empty/g;
const CHANGED =
  /in lines? (\d+)(?: to (\d+))? of (\S+) (?:remove (\w+)=… and leave the rest|write : in place of ([^…]+)…)/g;
const ADDED = /add this as the last line of ([^:\s]+): (.+?)(?:, and type|, then|; ask|$)/g;

/** Does to profiles what the doctor's sentence says, to the letter; false where it says nothing of a profile. */
export function followRemedy(remedy: string): boolean {
  const edit = (file: string, change: (lines: string[]) => void) => {
    const lines = readFileSync(file, 'utf8').split('\n');
    change(lines);
    writeFileSync(file, lines.join('\n'));
  };
  const emptied = [...remedy.matchAll(EMPTIED)];
  for (const [, from = '', to = from, file = ''] of emptied) {
    edit(file, (lines) => lines.fill('', Number(from) - 1, Number(to)));
  }
  const changed = [...remedy.matchAll(CHANGED)];
  for (const [, from = '', to = from, file = '', name, command = ''] of changed) {
    edit(file, (lines) => {
      const count = Number(to) - Number(from) + 1;
      const text = lines.slice(Number(from) - 1, Number(from) - 1 + count).join('\n');
      const what = name === undefined ? command.trimEnd().replaceAll(/\s+/g, '\\s+') : `[ \\t]*\\b${name}=`;
      const after = text.replace(new RegExp(`${what}[ ]*${VALUE}`), name === undefined ? ':' : '');
      lines.splice(Number(from) - 1, count, ...after.split('\n'));
    });
  }
  const added = [...remedy.matchAll(ADDED)];
  for (const [, file = '', line = ''] of added) edit(file, (lines) => lines.push(line));
  return emptied.length + changed.length + added.length > 0;
}
