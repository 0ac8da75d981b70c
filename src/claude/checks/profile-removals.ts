import type { Facts } from '../doctor/gather.ts';
import { effectiveVariable, originText, type SettingOrigin } from '../settings/effective.ts';
import type { Assignment } from '../shell/places.ts';
import type { Profile } from '../shell/profile-library.ts';
import { SWITCH_VARIABLES } from '../shell/variables.ts';
import type { Fix } from './check.ts';

/** What a person does about a variable that beats the helper in this shell. */
export function remedyForVariable(facts: Facts, name: string, origin: SettingOrigin): string {
  if (origin.kind === 'settings') return `remove env.${name} from ${originText(origin)}`;
  const found = origin.file === undefined ? undefined : assignmentAt(facts, name, origin);
  if (found === undefined) {
    return `type: unset ${name}; no profile that was read sets it, so look at what started this shell (an editor, direnv, a secret manager), or ask a new shell: broker doctor --run-shell`;
  }
  const { assignment, profile } = found;
  if (assignment.exported === 'no') {
    return `type: unset ${name}; it comes from ${originText(origin)}, which new shells do not run, and can stay there`;
  }
  const gateway = gatewayFor(facts, name);
  const unset = `type: ${profile.syntax.startsWith('fish') ? 'set -e' : 'unset'} ${name}`;
  return gateway === undefined
    ? `${removalInWords(assignment, profile)}, and ${unset}`
    : bothWays(assignment, profile, gateway);
}

/** The repair of what a profile set in this shell. */
export function fixForVariable(facts: Facts, name: string, origin: SettingOrigin): Fix | undefined {
  if (origin.kind === 'settings') return { kind: 'remove-setting', file: origin.file, path: ['env', name] };
  const found = assignmentAt(facts, name, origin);
  return found && fixOf(facts, found.assignment, found.profile);
}

function assignmentAt({ input }: Facts, name: string, origin: SettingOrigin) {
  const profile = input.profiles.find(({ file }) => file === origin.file);
  const assignment = profile?.assignments.find((each) => each.name === name && each.line === origin.line);
  return profile && assignment && { assignment, profile };
}

interface Gateway {
  readonly host: string;
  readonly place: string;
  /** How its address is taken out. */
  readonly removal: string;
}

const ADDRESSES = SWITCH_VARIABLES.filter((name) => name.endsWith('_BASE_URL'));

/** Where requests go if that is not Anthropic: a token beside such an address belongs to it. */
export function gatewayFor({ input }: Pick<Facts, 'input'>, name: string): Gateway | undefined {
  if (name === 'CLAUDE_CODE_OAUTH_TOKEN') return undefined;
  for (const address of ADDRESSES) {
    const set = effectiveVariable(input, address);
    const inProfile = input.profiles
      .flatMap((profile) => profile.assignments.map((each) => ({ ...each, profile })))
      .findLast((each) => each.name === address && each.exported !== 'no' && each.value !== '');
    const value = set?.value ?? inProfile?.value;
    if (set === undefined && inProfile === undefined) continue;
    const host = value !== undefined && URL.canParse(value) ? new URL(value).host : undefined;
    if (host !== undefined && /(^|\.)anthropic\.com$/.test(host)) continue;
    const place = set === undefined ? `${inProfile?.file}:${inProfile?.line}` : originText(set.origin);
    const isSetting = set?.origin.kind === 'settings';
    const removal = isSetting
      ? `remove env.${address} from ${place}`
      : inProfile === undefined
        ? `type: unset ${address}`
        : removalInWords(inProfile, inProfile.profile);
    return { host: host ?? 'a gateway', place, removal };
  }
  return undefined;
}

export function bothWays(assignment: Assignment, profile: Profile, { host, place, removal }: Gateway): string {
  return `requests go to ${host} (${place}), and this is its key: to keep it, remove apiKeyHelper (broker claude uninstall); to use the helper, ${removal}, then ${removalInWords(assignment, profile)}`;
}

/** One sentence that, followed to the letter, leaves a file that the shell can read. */
export function removalInWords(assignment: Assignment, { file, syntax, text }: Profile): string {
  const { name, line, lastLine, removal, scope } = assignment;
  if (syntax === 'fish-universal') return `type in fish: set -Ue ${name}`;
  if (removal === undefined) {
    return `add this as the last line of ${file}: ${syntax === 'fish' ? 'set -e' : 'unset'} ${name}`;
  }
  const lines = text
    .split('\n')
    .slice(line - 1, lastLine)
    .join('\n');
  const isWhole = lines.replace(/#[^'"]*$/, '').trim() === removal.removed.trim();
  if (scope === 'top' && isWhole) {
    // Not "remove": the numbers of the lines behind it are in other remedies.
    return line === lastLine
      ? `leave line ${line} of ${file} empty`
      : `leave lines ${line} to ${lastLine} of ${file} empty`;
  }
  const what = `${line === lastLine ? `in line ${line}` : `in lines ${line} to ${lastLine}`} of ${file}`;
  return removal.replacement === ''
    ? `${what} remove ${name}=… and leave the rest`
    : `${what} write : in place of ${commandShown(removal.removed, name)}`;
}

function commandShown(removed: string, name: string): string {
  const before = removed.slice(0, removed.indexOf(name));
  return `${/^[a-z -]*$/i.test(before) ? before : ''}${name}${removed.includes(`${name}=`) ? '=' : ' '}…`;
}

/** Only what can be taken out without anything else noticing. */
export function fixOf({ input }: Facts, assignment: Assignment, { file, syntax }: Profile): Fix | undefined {
  const { name, line, removal, exported } = assignment;
  if (removal?.isSafe !== true || exported !== 'yes' || syntax === 'fish-universal') return undefined;
  if (input.profiles.some(({ text }) => mentions(text, name))) return undefined;
  if (name !== 'CLAUDE_CODE_OAUTH_TOKEN' && gatewayFor({ input }, name) !== undefined) return undefined;
  return { kind: 'remove-assignment', file, line, name, syntax };
}

/** Whether a text asks for the variable's value, rather than setting, exporting or unsetting it. */
function mentions(text: string, name: string): boolean {
  if (!text.includes(name)) return false;
  return text.split('\n').some((line) => {
    if (!line.includes(name) || /^\s*#/.test(line)) return false;
    const rest = line.replaceAll(new RegExp(`(?<![\\w$])${name}\\+?=`, 'g'), '');
    const isPlain = new RegExp(
      `(^|[;&|{\\s])(export|unset|set|typeset|declare)(\\s+-{1,2}[\\w-]+)*\\s+["']?${name}["']?(?=\\s|;|$)`,
      'g',
    );
    return rest.replace(isPlain, '').includes(name);
  });
}
