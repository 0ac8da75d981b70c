import { DEFAULT_CLIENT_INTERVAL_MS } from '../../protocol/request.ts';
import type { Facts, GuardedFile } from '../doctor/gather.ts';
import type { Check, Finding } from '../doctor/report.ts';
import { effectiveVariable } from '../settings/effective.ts';
import type { SettingsFile } from '../settings/files.ts';
import { runsBrokerHelper } from '../shell/tokenizer.ts';
import { RELEVANT_VARIABLES, TTL_VARIABLE } from '../shell/variables.ts';
import { placeText, whereOf } from './broker.ts';

/** Settings files that the client does not take, or takes differently than they look. */
export const settingsState: Check = ({ input }) => {
  const findings = input.settings.flatMap((settings) => [...unusable(settings), ...duplicated(settings)]);
  const inEffect = input.settings.filter(({ state, helper }) => state === 'in-effect' && helper !== undefined);
  const [strongest, ...hidden] = inEffect;
  for (const settings of hidden) {
    if (settings.helper?.value === strongest?.helper?.value) continue;
    const areOurs = [settings, strongest].every((each) => runsBrokerHelper(each?.helper?.value ?? ''));
    findings.push({
      id: 'helper-shadowed',
      severity: areOurs ? 'info' : 'warning',
      title: `the apiKeyHelper in ${settings.file} is hidden by the one in ${strongest?.file}`,
      cost: areOurs
        ? 'here the client asks the broker for another credential, which is right if you meant it'
        : 'another program gives the keys than the one you set up',
      remedy: `remove the apiKeyHelper that you do not want from ${strongest?.file} or ${settings.file}`,
      where: `${settings.file}:${settings.helper?.line}`,
    });
  }
  return findings;
};

function unusable({ file, scope, state, problem, code }: SettingsFile): Finding[] {
  if (state === 'missing' || state === 'outranked' || (state === 'in-effect' && problem === undefined)) return [];
  if (problem !== undefined && state === 'in-effect') {
    const where = `${file}:${problem.position.line}`;
    return [
      {
        id: 'settings-entry-ignored',
        severity: 'warning',
        title: `${where}: ${problem.what}`,
        cost: 'the client leaves this entry out and takes the rest of the managed settings',
        remedy: `write the command as text in ${where}, as in "apiKeyHelper": "/usr/local/bin/broker-key"`,
        where,
      },
    ];
  }
  if (problem !== undefined) {
    const where = `${file}:${problem.position.line}:${problem.position.column}`;
    return [
      {
        id: state === 'broken' ? 'settings-broken' : 'settings-refused',
        severity: 'error',
        title: `${where}: ${problem.what}`,
        cost: `the client leaves out the whole file, permission rules and hooks included; claude -p does not start${scope === 'managed' ? ', for nobody on this machine' : ''}`,
        remedy: remedyFor(file, state, problem.position.line),
        where,
      },
    ];
  }
  const reason =
    state === 'too-large' ? 'is too large' : state === 'no-file' ? 'is no regular file' : `cannot be read (${code})`;
  return [
    {
      id: 'settings-unreadable',
      severity: 'error',
      title: `${file} ${reason}`,
      cost: 'nothing in it is in effect',
      remedy:
        state === 'unreadable' && code === 'EACCES'
          ? `type: chmod u+r ${file}`
          : `put a regular JSON file there, or remove it`,
      where: file,
    },
  ];
}

function duplicated({ file, duplicates }: SettingsFile): Finding[] {
  return duplicates.map((name) => ({
    id: 'settings-duplicate',
    severity: 'warning',
    title: `"${name}" stands twice in ${file}`,
    cost: 'only the last one counts; the other looks as if it did',
    remedy: `remove all but the last "${name}"`,
    where: file,
  }));
}

function remedyFor(file: string, state: SettingsFile['state'], line: number): string {
  if (file.endsWith('.plist')) return `mend the profile that puts ${file} there`;
  return state === 'refused'
    ? `change line ${line} by hand: the client takes strict JSON, and a helper has to be text`
    : `mend line ${line} by hand`;
}

/** An organization's settings come from one source, and not every source can be read from outside the client. */
export const managedSources: Check = (facts) => [...served(facts), ...computed(facts), ...outranked(facts)];

function served({ served: found }: Facts): Finding[] {
  if (found === undefined) return [];
  const { file, sets } = found;
  return [
    {
      id: 'server-managed-settings',
      severity: sets.length === 0 ? 'info' : 'warning',
      title: `your organization serves settings to Claude Code${sets.length === 0 ? '' : `, among them ${sets.join(', ')}`} (copy in ${file})`,
      cost: 'where the client accepts them they beat every settings file; they are signed for the client, so they are left out of what is said above',
      remedy: 'type /status in claude: "Setting sources" names what it took',
      where: file,
    },
  ];
}

function computed({ input }: Facts): Finding[] {
  return input.settings
    .filter(({ scope, state, policyHelper }) => scope === 'managed' && state === 'in-effect' && policyHelper)
    .map(({ file }) => ({
      id: 'policy-helper',
      severity: 'info',
      title: `${file} names a program (policyHelper) that prints the managed settings`,
      cost: 'what it prints beats every settings file, and is left out of what is said above: it was not run',
      remedy: 'type /status in claude: "Setting sources" names what it took',
      where: file,
    }));
}

function outranked({ input }: Facts): Finding[] {
  const strongest = input.settings.find(({ scope, state }) => scope === 'managed' && state === 'in-effect');
  return input.settings
    .filter(({ state }) => state === 'outranked')
    .map(({ file, helper, env }) => {
      const matters = helper !== undefined || [...env.keys()].some((name) => RELEVANT_VARIABLES.has(name));
      return {
        id: 'managed-outranked',
        severity: matters ? 'warning' : 'info',
        title: `${file} is not in effect: the managed settings in ${strongest?.file} come first`,
        cost: 'the client takes one source of managed settings, whole, and leaves out the others',
        remedy:
          'ask your administrator to put everything into one of them, or to set managedSourcesBehavior to "merge"',
        where: file,
      };
    });
}

/** What could not be looked at is said, so that silence means something. */
export const unreadableProfile: Check = ({ input }) =>
  input.profiles
    .filter(({ state }) => state !== 'read')
    .map(({ file, state, code }) => ({
      id: 'profile-unreadable',
      severity: 'info',
      title: `${file} could not be searched (${code ?? state})`,
      cost: 'a variable that it sets would not be found',
      remedy: `look into ${file} yourself`,
      where: file,
    }));

/** CLAUDE_CONFIG_DIR moved the user's settings away from where the helper was written. */
export const configFolder: Check = ({ orphanedSettings, helper }) => {
  if (orphanedSettings === undefined || helper !== undefined) return [];
  return [
    {
      id: 'config-dir-hides-helper',
      severity: 'warning',
      title: `CLAUDE_CONFIG_DIR leads elsewhere, and the apiKeyHelper in ${orphanedSettings} is not read`,
      cost: 'the helper that you installed is never called',
      remedy: 'install it there too: broker claude install',
      where: orphanedSettings,
    },
  ];
};

/** Files that others can write run their code as you; secrets that others can read are no secrets. */
export const looseModes: Check = ({ guarded, uid }) => guarded.flatMap((file) => judge(file, uid));

function judge({ file, role, mode, uid }: GuardedFile, me: number): Finding[] {
  const findings: Finding[] = [];
  if (uid !== me && uid !== 0) {
    findings.push({
      id: 'foreign-owner',
      severity: 'error',
      title: `${file} belongs to another user (uid ${uid})`,
      cost: role === 'secret' ? 'they can read and replace it' : 'they decide what runs as you',
      remedy: `make it your own: sudo chown ${me} ${file}`,
      where: file,
    });
  }
  const wanted = role === 'secret' || role === 'state' ? mode & ~0o077 : mode & ~0o022;
  if (wanted === mode) return findings;
  const writable = (mode & 0o022) !== 0;
  findings.push({
    id: writable ? 'writable-by-others' : 'readable-by-others',
    severity: writable ? 'error' : 'warning',
    title: `${file} can be ${writable ? 'changed' : 'read'} by other users of this machine (mode ${octal(mode)})`,
    cost: writable
      ? 'whoever can write it decides what runs as you, or which key you use'
      : 'every user and service of this machine can read the secret in it',
    remedy: `type: chmod ${octal(wanted)} ${file}`,
    where: file,
    ...(uid === me ? { fix: { kind: 'chmod', file, mode: wanted } as const } : {}),
  });
  return findings;
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

/** Below it, an answer is asked for on nearly every request. */
const SHORT_MS = 10_000;
/** Longer than a client is left alone over a working day. */
const LONG_PAUSE_MS = 12 * 3_600_000;

/** How long the client keeps a key, against nonsense and against the life of the key. */
export const refreshInterval: Check = (facts) => {
  if (facts.helper === undefined) return [];
  const set = effectiveVariable(facts.input, TTL_VARIABLE);
  const value = set === undefined ? DEFAULT_CLIENT_INTERVAL_MS : Number(set.value.trim());
  const sane = set === undefined || /^\d+$/.test(set.value.trim());
  const findings: Finding[] = [];
  const fix =
    set?.place.kind === 'settings' && set.place.file !== undefined
      ? { fix: { kind: 'remove-setting', file: set.place.file, path: ['env', TTL_VARIABLE] } as const }
      : {};
  if (!sane) {
    findings.push({
      id: 'ttl-nonsense',
      severity: 'warning',
      title: `${TTL_VARIABLE} in ${placeText(set?.place)} is no whole number of milliseconds`,
      cost: `the client takes it for the default of ${DEFAULT_CLIENT_INTERVAL_MS} ms without a word`,
      remedy: 'write milliseconds (300000 for five minutes), or remove it',
      ...whereOf(set?.place),
      ...fix,
    });
  } else if (value < SHORT_MS) {
    findings.push({
      id: 'ttl-too-short',
      severity: 'warning',
      title: `${TTL_VARIABLE} in ${placeText(set?.place)} is ${value} ms`,
      cost: 'the helper runs behind nearly every request, and each request still carries the key before the newest',
      remedy: 'remove it: the default of five minutes is right for short-lived keys',
      ...whereOf(set?.place),
      ...fix,
    });
  }
  findings.push(...againstLife(facts, sane ? value : DEFAULT_CLIENT_INTERVAL_MS));
  return findings;
};

function againstLife(facts: Facts, interval: number): Finding[] {
  const credential = facts.broker.status?.credentials.find(({ name, isDefault }) =>
    facts.helper?.credential === undefined ? isDefault : name === facts.helper.credential,
  );
  if (!facts.helper?.ours || !credential?.expiresAt || !credential.issuedAt) return [];
  // A JWT says by itself when it is over, and the client asks for another one in time.
  if (credential.expirySource === 'jwt') return [];
  const life = Date.parse(credential.expiresAt) - Date.parse(credential.issuedAt);
  if (!(life > 0)) return [];
  const where = `${facts.helper.settings.file}:${facts.helper.line}`;
  if (interval < life) {
    if (life > LONG_PAUSE_MS) return [];
    return [
      {
        id: 'key-dies-in-a-pause',
        severity: 'info',
        title: `a key of "${credential.name}" lives ${describe(life)}, and the client asks for another one only when it works`,
        cost: 'after a longer pause the first request is answered with 401 and repeated with a fresh key: about a second',
        remedy: 'nothing has to be done; keys that live longer than your breaks avoid it',
        where,
      },
    ];
  }
  const advised = Math.max(SHORT_MS, Math.floor(life / 2 / 1000) * 1000);
  return [
    {
      id: 'ttl-exceeds-key-life',
      severity: 'error',
      title: `the client keeps a key for ${interval / 1000} s, and a key of "${credential.name}" lives ${Math.round(life / 1000)} s`,
      cost: 'the client sends dead keys: a 401 and a second or more of waiting, over and over',
      remedy: `type: broker claude install --ttl ${advised / 1000}s`,
      where,
    },
  ];
}

function describe(lifeMs: number): string {
  const minutes = Math.round(lifeMs / 60_000);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
