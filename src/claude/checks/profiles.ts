import { fingerprint, maskUrl } from '../../platform/text.ts';
import type { Facts } from '../doctor/gather.ts';
import { effectiveVariable, settingOf } from '../settings/effective.ts';
import type { AskedShell } from '../shell/ask-shell.ts';
import type { Assignment } from '../shell/places.ts';
import type { Profile } from '../shell/profile-library.ts';
import { isOn, isSecretVariable, SWITCH_VARIABLES } from '../shell/variables.ts';
import { type Check, check, type Severity } from './check.ts';
import { bothWays, fixOf, gatewayFor, removalInWords } from './profile-removals.ts';

const KEYS = new Set(['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN', 'CLAUDE_CODE_OAUTH_TOKEN']);
const BEATS_HELPER = new Set(['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN']);
const SWITCHES: ReadonlySet<string> = new Set(SWITCH_VARIABLES);
/** Shorter ones are words that a local gateway takes for a key (`ollama`, `dummy`). */
const SHORTEST_KEY = 16;

/** What shell profiles set: for new shells, where this one does not have it, and in plain text. */
export const profileChecks: readonly Check[] = [
  profileCheck('profile-overrides-helper', 'warning', (key) => key.beatsHelper && !key.inThisShell && !key.isSet),
  // What this shell has already has its own finding if it beats the helper; with a computed value the file holds no key.
  profileCheck(
    'profile-holds-key',
    ({ exported }) => (exported === 'no' ? 'info' : 'warning'),
    (key) => (!key.beatsHelper || key.inThisShell || key.isSet) && (key.value ?? '').trim().length >= SHORTEST_KEY,
  ),
  check({
    id: 'profile-changes-switch',
    when: (facts) => switchesOfNewShells(facts),
    severity: ({ exported }) => (exported === 'yes' ? 'warning' : 'info'),
    title: ({ file, line, name, value, exported }) =>
      `${file}:${line} sets ${name}${shownValue(name, value)}, which this shell does not have${onlyPerhaps(exported)}`,
    cost: ({ name }) => `in a new shell ${effectOf(name)}; what is said here is true of this shell only`,
    remedy: (found) =>
      `if you want it, open a new shell and run broker doctor there; if not: ${removalInWords(found, found.profile)}`,
    where: ({ file, line }) => `${file}:${line}`,
  }),
  check({
    id: 'shell-exports',
    severity: 'warning',
    when: (facts) => unexplainedExports(facts),
    title: ({ name, program, value }) =>
      `a new ${program} exports ${name}${isSecretVariable(name) ? `, ${fingerprint(value)}` : shownValue(name, value)}, and no file that was read says so`,
    cost: ({ name }) =>
      KEYS.has(name) ? 'every new shell overrides apiKeyHelper with it' : `in a new shell ${effectOf(name)}`,
    remedy: ({ name }, { input }) => {
      const lines = linesThatRunText(input.profiles).slice(0, 5).join(', ');
      return `look for what sets ${name} in ${lines || 'the programs that your profiles run'}, and take it out there`;
    },
  }),
  check({
    id: 'shell-silent',
    severity: 'info',
    when: ({ shell }) => shell?.outcome !== 'answered' && shell,
    title: ({ program, outcome }) => `${program} did not say what it exports: ${SILENCE[outcome]}`,
    cost: 'what is said about new shells is from the text of the profiles alone',
    remedy: 'open a new shell and run broker doctor there',
  }),
  check({
    id: 'profile-unreadable',
    severity: 'info',
    when: ({ input }) => input.profiles.filter(({ fault }) => fault !== undefined),
    title: ({ file, fault }) => `${file} could not be searched: it ${fault}`,
    cost: 'a variable that it sets would not be found',
    remedy: ({ file }) => `look into ${file} yourself`,
    where: ({ file }) => file,
  }),
];

const SILENCE: Readonly<Record<AskedShell['outcome'], string>> = {
  answered: '',
  late: 'its profiles did not end within ten seconds',
  failed: 'it ended before it got as far',
  'unknown shell': 'how to ask it is not known',
};

/** `eval "$(…)"`, `source <(…)`, `… | source`: what they set is in no file. */
function linesThatRunText(profiles: readonly Profile[]): string[] {
  return profiles.flatMap(({ file, text }) =>
    text
      .split('\n')
      .flatMap((line, index) =>
        /^\s*#/.test(line) || !/\beval\b|\bsource\s+[<(]|\|\s*source\b|^\s*\.\s+<\(/.test(line)
          ? []
          : [`${file}:${index + 1}`],
      ),
  );
}

/** What the shell has and the texts do not explain. */
function unexplainedExports({ input, helper, shell }: Facts) {
  if (shell?.outcome !== 'answered') return [];
  const explained = new Set(
    input.profiles.flatMap(({ assignments }) =>
      assignments.flatMap(({ name, exported }) => (exported === 'no' ? [] : name)),
    ),
  );
  const matters = (name: string) => SWITCHES.has(name) || (helper !== undefined && BEATS_HELPER.has(name));
  return [...shell.exports].flatMap(([name, value]) => {
    const isHere = (input.environment[name] ?? '') !== '' || settingOf(input, name) !== undefined;
    const isOff = value === '' || (isToggle(name) && !isOn(value));
    return matters(name) && !isHere && !isOff && !explained.has(name) ? [{ name, value, program: shell.program }] : [];
  });
}

interface ProfileKey extends Assignment {
  readonly profile: Profile;
  readonly beatsHelper: boolean;
  readonly inThisShell: boolean;
  /** A settings file decides, whatever a shell says. */
  readonly isSet: boolean;
}

function keysInProfiles({ input, helper }: Facts): ProfileKey[] {
  return input.profiles.flatMap((profile) =>
    profile.assignments
      .filter(({ name, value }) => KEYS.has(name) && value?.trim() !== '')
      .map((assignment) => ({
        ...assignment,
        profile,
        beatsHelper: helper !== undefined && BEATS_HELPER.has(assignment.name) && assignment.exported !== 'no',
        inThisShell: effectiveVariable(input, assignment.name) !== undefined,
        isSet: settingOf(input, assignment.name) !== undefined,
      })),
  );
}

function profileCheck(
  id: string,
  severity: Severity | ((key: ProfileKey) => Severity),
  isMeant: (key: ProfileKey) => boolean,
): Check {
  return check<ProfileKey>({
    id,
    severity,
    when: (facts) => keysInProfiles(facts).filter(isMeant),
    title: ({ file, line, name, value, exported }) =>
      `${file}:${line} sets ${name}, ${value === undefined ? 'computed when the shell starts' : fingerprint(value)}${onlyPerhaps(exported)}`,
    cost: ({ beatsHelper, inThisShell, exported }) =>
      beatsHelper && !inThisShell
        ? 'every new shell overrides apiKeyHelper with it, also long after the key is dead'
        : `a key that never rotates is in plain text in a file that is copied, synced and backed up${exported === 'no' ? '; new shells do not have it' : ''}`,
    remedy: (key, facts) => {
      const gateway = key.exported === 'no' ? undefined : gatewayFor(facts, key.name);
      if (key.exported === 'no') return `read it where it is used from a keychain or a password manager, or leave it`;
      const words = gateway === undefined ? removalInWords(key, key.profile) : bothWays(key, key.profile, gateway);
      if (fixOf(facts, key, key.profile) !== undefined) return `${words} (broker doctor --fix --yes does it)`;
      return key.exported === 'yes' ? words : `${words}; ask the shell whether it has it: broker doctor --run-shell`;
    },
    where: ({ file, line }) => `${file}:${line}`,
    fix: (key, facts) => fixOf(facts, key, key.profile),
  });
}

function onlyPerhaps(exported: Assignment['exported']): string {
  return exported === 'perhaps' ? ' (where its condition holds)' : '';
}

/** A switch, an address or an interval that new shells have and this one has not. */
function switchesOfNewShells({ input }: Facts) {
  return SWITCH_VARIABLES.filter(
    (name) => settingOf(input, name) === undefined && (input.environment[name] ?? '') === '',
  ).flatMap((name) => {
    const all = input.profiles.flatMap((profile) =>
      profile.assignments
        .filter((each) => each.name === name && each.exported !== 'no')
        .map((each) => ({ ...each, profile })),
    );
    const last = all.at(-1);
    const isOff = last?.value !== undefined && (isToggle(name) ? !isOn(last.value) : last.value.trim() === '');
    return last === undefined || isOff ? [] : [last];
  });
}

function isToggle(name: string): boolean {
  return /^CLAUDE_CODE_(USE|SKIP|SIMPLE)/.test(name);
}

function shownValue(name: string, value: string | undefined): string {
  if (value === undefined || isSecretVariable(name)) return '';
  return name.endsWith('_URL') ? `=${maskUrl(value)}` : /^[\w./:~-]{1,60}$/.test(value) ? `=${value}` : '';
}

function effectOf(name: string): string {
  if (name === 'CLAUDE_CODE_SIMPLE') return 'every claude runs as with --bare, without helper, login and OAuth token';
  if (name.startsWith('CLAUDE_CODE_USE_')) return 'requests go to the cloud provider or gateway with its own login';
  if (name.endsWith('_URL')) return 'requests, and the key with them, go to that address';
  if (name === 'CLAUDE_CONFIG_DIR') return 'the client reads other settings, and another login';
  if (name === 'ANTHROPIC_CUSTOM_HEADERS') return 'requests carry these headers';
  return 'the client works differently';
}
