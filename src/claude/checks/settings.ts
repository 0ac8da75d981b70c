import { shellWord } from '../../errors.ts';
import { DEFAULT_CLIENT_INTERVAL_MS, parseClientInterval } from '../../protocol/request.ts';
import type { Facts } from '../doctor/gather.ts';
import { type EffectiveVariable, effectiveVariable, originFile, originText } from '../settings/effective.ts';
import type { SettingsFile } from '../settings/files.ts';
import { runsBrokerHelper } from '../shell/helper-command.ts';
import { RELEVANT_VARIABLES, TTL_VARIABLE } from '../shell/variables.ts';
import { type Check, check, type Fix } from './check.ts';

const SEE_STATUS = 'type /status in claude: "Setting sources" names what it took';

/** Files that the client does not take, or takes differently than they look, and those that could not be looked at. */
export const settingsChecks: readonly Check[] = [
  faultCheck('broken', ({ file, line }) =>
    file.endsWith('.plist') ? `fix the profile that puts ${file} there` : `fix line ${line} by hand`,
  ),
  faultCheck(
    'refused',
    ({ line }) => `change line ${line} by hand: the client takes strict JSON, and each entry of its type`,
  ),
  check({
    id: 'settings-entry-ignored',
    severity: 'warning',
    when: ({ input }) => faultsIn(input.settings, 'in-effect'),
    title: ({ file, line, what }) => `${file}:${line}: ${what}`,
    cost: 'the client leaves this entry out and takes the rest of the managed settings',
    remedy: ({ file, line, what }) =>
      what.startsWith('apiKeyHelper')
        ? `write the command as text in ${file}:${line}, as in "apiKeyHelper": "/usr/local/bin/broker-key"`
        : `ask who keeps ${file} to write line ${line} as the client takes it`,
    where: ({ file, line }) => `${file}:${line}`,
  }),
  check({
    id: 'settings-unreadable',
    severity: 'error',
    when: ({ input }) => input.settings.filter(({ fault }) => fault !== undefined),
    title: ({ file, fault }) => `${file} ${fault?.fault}`,
    cost: 'nothing in it is in effect',
    remedy: ({ file, fault }) =>
      fault?.code === 'EACCES' ? `type: chmod u+r ${shellWord(file)}` : 'put a regular JSON file there, or remove it',
    where: ({ file }) => file,
  }),
  check({
    id: 'settings-duplicate',
    severity: 'warning',
    when: ({ input }) => input.settings.flatMap(({ file, duplicates }) => duplicates.map((name) => ({ file, name }))),
    title: ({ file, name }) => `"${name}" is twice in ${file}`,
    cost: 'only the last one counts; the other looks as if it did',
    remedy: ({ name }) => `remove all but the last "${name}"`,
    where: ({ file }) => file,
  }),
  check({
    id: 'helper-shadowed',
    when: ({ input }) => {
      const setting = input.settings.filter(({ state, helper }) => state === 'in-effect' && helper !== undefined);
      return setting
        .filter(({ helper }) => helper?.value !== setting[0]?.helper?.value)
        .map(({ file, helper }) => ({
          file,
          line: helper?.line,
          strongest: setting[0]?.file,
          areOurs: [helper, setting[0]?.helper].every((each) => runsBrokerHelper(each?.value ?? '')),
        }));
    },
    severity: ({ areOurs }) => (areOurs ? 'info' : 'warning'),
    title: ({ file, strongest }) => `the apiKeyHelper in ${file} is hidden by the one in ${strongest}`,
    cost: ({ areOurs }) =>
      areOurs
        ? 'here the client asks the broker for another credential, which is right if you meant it'
        : 'another program gives the keys than the one you set up',
    remedy: ({ file, strongest }) => `remove the apiKeyHelper that you do not want from ${strongest} or ${file}`,
    where: ({ file, line }) => `${file}:${line}`,
  }),
  check({
    id: 'server-managed-settings',
    when: ({ served }) => served,
    severity: ({ sets }) => (sets.length === 0 ? 'info' : 'warning'),
    title: ({ file, sets }) =>
      `your organization serves settings to Claude Code${sets.length === 0 ? '' : `, among them ${sets.join(', ')}`} (copy in ${file})`,
    cost: 'where the client accepts them they beat every settings file; they are signed for the client, so they are left out of what is said above',
    remedy: SEE_STATUS,
    where: ({ file }) => file,
  }),
  check({
    id: 'policy-helper',
    severity: 'info',
    when: ({ input }) =>
      input.settings.filter(
        ({ scope, state, policyHelper }) => scope === 'managed' && state === 'in-effect' && policyHelper,
      ),
    title: ({ file }) => `${file} names a program (policyHelper) that prints the managed settings`,
    cost: 'what it prints beats every settings file, and is left out of what is said above: it was not run',
    remedy: SEE_STATUS,
    where: ({ file }) => file,
  }),
  check({
    id: 'managed-outranked',
    when: ({ input }) => input.settings.filter(({ state }) => state === 'outranked'),
    severity: ({ helper, env }) =>
      helper !== undefined || [...env.keys()].some((name) => RELEVANT_VARIABLES.has(name)) ? 'warning' : 'info',
    title: ({ file }, { input }) => {
      const strongest = input.settings.find(({ scope, state }) => scope === 'managed' && state === 'in-effect');
      return `${file} is not in effect: the managed settings in ${strongest?.file} come first`;
    },
    cost: 'the client takes one source of managed settings, whole, and leaves out the others',
    remedy: 'ask your administrator to put everything into one of them, or to set managedSourcesBehavior to "merge"',
    where: ({ file }) => file,
  }),
  check({
    id: 'config-dir-hides-helper',
    severity: 'warning',
    when: ({ orphanedSettings, helper }) => helper === undefined && orphanedSettings,
    title: (file) => `CLAUDE_CONFIG_DIR leads elsewhere, and the apiKeyHelper in ${file} is not read`,
    cost: 'the helper that you installed is never called',
    remedy: 'install it there too: broker claude install',
    where: (file) => file,
  }),
];

type Fault = ReturnType<typeof faultsIn>[number];

function faultsIn(settings: readonly SettingsFile[], wanted: SettingsFile['state']) {
  return settings.flatMap(({ file, scope, state, problems }) =>
    state === wanted ? problems.map(({ what, position }) => ({ file, scope, what, ...position })) : [],
  );
}

/** A file without any effect. */
function faultCheck(state: 'broken' | 'refused', remedy: (fault: Fault) => string): Check {
  return check({
    id: `settings-${state}`,
    severity: 'error',
    when: ({ input }) => faultsIn(input.settings, state),
    title: ({ file, line, column, what }) => `${file}:${line}:${column}: ${what}`,
    cost: ({ scope }) =>
      scope === 'managed'
        ? 'claude -p does not start for any user of this machine'
        : "the client leaves out the whole file, permission rules and hooks included; a weaker file's helper is run instead",
    remedy,
    where: ({ file, line, column }) => `${file}:${line}:${column}`,
  });
}

/** Below it, an answer is asked for on nearly every request. */
const SHORT_MS = 10_000;
/** Longer than a client is left alone over a working day. */
const LONG_PAUSE_MS = 12 * 3_600_000;

/** How long the client keeps a key, against nonsense and against the life of the key. */
export const intervalChecks: readonly Check[] = [
  check({
    id: 'ttl-nonsense',
    severity: 'warning',
    when: (facts) => intervalSet(facts, (ms) => Number.isNaN(ms)),
    title: ({ origin }) => `${TTL_VARIABLE} in ${originText(origin)} is not a number of milliseconds`,
    cost: `the client uses the default of ${DEFAULT_CLIENT_INTERVAL_MS} ms instead, without a word`,
    remedy: 'write milliseconds (300000 for five minutes), or remove it',
    where: ({ origin }) => originFile(origin),
    fix: removeInterval,
  }),
  check({
    id: 'ttl-too-short',
    severity: 'warning',
    when: (facts) => intervalSet(facts, (ms) => ms < SHORT_MS),
    title: ({ origin, ms }) => `${TTL_VARIABLE} in ${originText(origin)} is ${ms} ms`,
    cost: 'the helper runs behind nearly every request, and each request still carries the key before the newest',
    remedy: 'remove it: the default of five minutes is right for short-lived keys',
    where: ({ origin }) => originFile(origin),
    fix: removeInterval,
  }),
  check({
    id: 'ttl-exceeds-key-life',
    severity: 'error',
    when: (facts) => keyLife(facts, ({ lifeMs, intervalMs }) => intervalMs >= lifeMs),
    title: ({ name, lifeMs, intervalMs }) =>
      `the client keeps a key for ${intervalMs / 1000} s, and a key of "${name}" lives ${Math.round(lifeMs / 1000)} s`,
    cost: 'the client sends dead keys: a 401 and a second or more of waiting, over and over',
    remedy: ({ lifeMs }) =>
      `type: broker claude install --ttl ${Math.max(SHORT_MS / 1000, Math.floor(lifeMs / 2 / 1000))}s`,
    where: ({ where }) => where,
  }),
  check({
    id: 'key-dies-in-a-pause',
    severity: 'info',
    when: (facts) => keyLife(facts, ({ lifeMs, intervalMs }) => intervalMs < lifeMs && lifeMs <= LONG_PAUSE_MS),
    title: ({ name, lifeMs }) =>
      `a key of "${name}" lives ${describe(lifeMs)}, and the client asks for another one only when it works`,
    cost: 'after a longer pause the first request is answered with 401 and repeated with a fresh key: about a second',
    remedy: 'nothing has to be done; keys that live longer than your breaks avoid it',
    where: ({ where }) => where,
  }),
];

/** NaN for what is not a number. */
function intervalIn({ input }: Facts) {
  const set = effectiveVariable(input, TTL_VARIABLE);
  return set && { ...set, ms: parseClientInterval(set.value) ?? Number.NaN };
}

function intervalSet(facts: Facts, is: (ms: number) => boolean) {
  const set = facts.helper && intervalIn(facts);
  return set !== undefined && is(set.ms) ? set : undefined;
}

function removeInterval({ origin: { kind, file } }: EffectiveVariable): Fix | undefined {
  return kind === 'settings' ? { kind: 'remove-setting', file, path: ['env', TTL_VARIABLE] } : undefined;
}

interface KeyLife {
  readonly name: string;
  readonly lifeMs: number;
  readonly intervalMs: number;
  readonly where: string;
}

/** How long keys of the helper's credential live, against how long the client keeps one. */
function keyLife(facts: Facts, is: (life: KeyLife) => boolean): KeyLife | undefined {
  const { helper, broker } = facts;
  const { credential } = broker;
  if (!helper?.ours || !credential?.expiresAt || !credential.issuedAt) return undefined;
  // The client reads the end of a JWT in it, and asks for another one in time.
  if (credential.expirySource === 'jwt') return undefined;
  const intervalMs = intervalIn(facts)?.ms ?? Number.NaN;
  const life = {
    name: credential.name,
    lifeMs: Date.parse(credential.expiresAt) - Date.parse(credential.issuedAt),
    intervalMs: Number.isNaN(intervalMs) ? DEFAULT_CLIENT_INTERVAL_MS : intervalMs,
    where: helper.where,
  };
  return life.lifeMs > 0 && is(life) ? life : undefined;
}

function describe(lifeMs: number): string {
  const minutes = Math.round(lifeMs / 60_000);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

/** Files that others can write run their code as you; secrets that others can read are not secret. */
export const fileModeChecks: readonly Check[] = [
  check({
    id: 'foreign-owner',
    severity: 'error',
    when: ({ guarded, uid }) => guarded.filter((file) => file.uid !== uid && file.uid !== 0),
    title: ({ file, uid }) => `${file} belongs to another user (uid ${uid})`,
    cost: ({ role }) => (role === 'secret' ? 'they can read and replace it' : 'they decide what runs as you'),
    remedy: ({ file }, { uid }) => `make it your own: sudo chown ${uid} ${shellWord(file)}`,
    where: ({ file }) => file,
  }),
  check({
    id: 'writable-by-others',
    severity: 'error',
    when: (facts) => looseModes(facts).filter(({ open }) => (open & 0o022) !== 0),
    title: ({ file, mode }) => `${file} can be changed by other users of this machine (mode ${octal(mode)})`,
    cost: 'whoever can write it decides what runs as you, or which key you use',
    remedy: ({ file, wanted }) => `type: chmod ${octal(wanted)} ${shellWord(file)}`,
    where: ({ file }) => file,
    fix: ({ fix }) => fix,
  }),
  check({
    id: 'readable-by-others',
    severity: 'warning',
    when: (facts) => looseModes(facts).filter(({ open }) => (open & 0o022) === 0),
    title: ({ file, mode }) => `${file} can be read by other users of this machine (mode ${octal(mode)})`,
    cost: 'every user and service of this machine can read the secret in it',
    remedy: ({ file, wanted }) => `type: chmod ${octal(wanted)} ${shellWord(file)}`,
    where: ({ file }) => file,
    fix: ({ fix }) => fix,
  }),
];

function looseModes({ guarded, uid }: Facts) {
  return guarded
    .map((found) => {
      const { role, file, mode, open } = found;
      const unwanted = role === 'secret' || role === 'state' ? 0o077 : 0o022;
      const wanted = mode & ~unwanted;
      return {
        ...found,
        isOpen: (open & unwanted) !== 0,
        wanted,
        fix: found.uid === uid ? ({ kind: 'chmod', file, mode: wanted } as const) : undefined,
      };
    })
    .filter(({ isOpen }) => isOpen);
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
