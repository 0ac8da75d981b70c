import { shellWord } from '../../errors.ts';
import type { Facts } from '../doctor/gather.ts';
import type { LinkedFile } from '../doctor/places.ts';
import { type Check, check, type Finding } from './check.ts';

/** Settings that are somewhere else than the client looks. */
export const placeChecks: readonly Check[] = [
  check({
    id: 'helper-misplaced',
    severity: 'warning',
    when: ({ misplaced, helper }) => helper === undefined && misplaced,
    title: ({ file, line }) => `${file}:${line} sets apiKeyHelper, and the client does not read that file`,
    cost: 'the helper is never run',
    remedy: ({ file, rightFile }) =>
      `put the line into ${rightFile}: broker claude install writes it; then remove it from ${file}`,
    where: ({ file, line }) => `${file}:${line}`,
  }),
  check({
    id: 'settings-dangling',
    severity: 'error',
    when: ({ links, input }) =>
      links.filter(
        ({ file, kind }) => kind === 'dangling' && input.settings.some((settings) => settings.file === file),
      ),
    title: ({ file, target }) => `${file} is a link to ${target}, which is not there`,
    cost: 'the client starts as if there were no such settings: no helper, no permission rules',
    remedy: ({ file, target }) =>
      `put the file back at ${target} (stow it, check it out, switch again), or type: rm ${shellWord(file)}`,
    where: ({ file }) => file,
  }),
  check({
    id: 'config-dir-odd',
    severity: 'error',
    when: ({ input: { environment } }) => {
      const value = environment['CLAUDE_CONFIG_DIR'];
      return value !== undefined && (value.trim() === '' || /^["']?~/.test(value)) && { value };
    },
    title: ({ value }) =>
      value.trim() === ''
        ? 'CLAUDE_CONFIG_DIR is set to nothing'
        : `CLAUDE_CONFIG_DIR is ${value}, and nobody replaces the ~ in it`,
    cost: ({ value }) =>
      value.trim() === ''
        ? 'the client takes the current folder for its own: it finds no settings and no login, in every folder others'
        : 'the client makes a folder called ~ in the current one: it finds no settings and no login',
    remedy: ({ value }) =>
      value.trim() === ''
        ? 'type: unset CLAUDE_CONFIG_DIR'
        : `type: export CLAUDE_CONFIG_DIR="$HOME${value.replace(/^["']?~/, '').replace(/["']$/, '')}", and write it so where it is set`,
  }),
];

/** A finding whose file is a link names what has to be changed instead. */
export function followingLinks(finding: Finding, { links }: Facts): Finding {
  const { where, remedy } = finding;
  const link = links.find(({ file }) => where === file || where?.startsWith(`${file}:`));
  if (link === undefined || link.kind === 'dangling') return finding;
  const { fix, ...rest } = finding;
  // A link into a store cannot be changed in place.
  return { ...rest, remedy: `${remedy} (${aboutLink(link)})`, ...(fix && link.kind === 'plain' ? { fix } : {}) };
}

function aboutLink({ file, target, kind }: LinkedFile): string {
  if (kind === 'plain') return `${file} is a link: the file to change is ${target}`;
  const maker = /^\/(nix|gnu)\/store\//.test(target)
    ? 'change what generates it, such as programs.claude-code.settings of Home Manager, and switch'
    : 'change it where it comes from';
  return `${file} is a link to ${target}, which is read-only: ${maker}; or write only this project's settings: broker claude install --scope project-local`;
}
