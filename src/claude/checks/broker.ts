import type { Check, Finding } from '../doctor/report.ts';
import type { Place } from '../settings/effective.ts';

/** What the daemon itself knows to be wrong with what the helper asks for. */
export const brokerState: Check = ({ broker, helper, run }) => {
  if (helper === undefined || !helper.ours || !broker.asked) return [];
  const { status } = broker;
  if (status === undefined) {
    // The helper starts a daemon where it may, so that a key in hand is proof enough.
    if (run?.outcome === 'ended' && run.exitCode === 0) return [];
    return [
      {
        id: 'broker-unreachable',
        severity: 'error',
        title: 'no broker answers',
        cost: 'the helper fails, and the client with it',
        remedy: 'start it: broker service start (or broker service install)',
      },
    ];
  }
  const findings: Finding[] = [];
  const wanted = helper.credential;
  const credential = status.credentials.find(({ name, isDefault }) =>
    wanted === undefined ? isDefault : name === wanted,
  );
  const where = `${helper.settings.file}:${helper.line}`;
  if (credential === undefined) {
    findings.push({
      id: 'credential-unknown',
      severity: 'error',
      title: wanted === undefined ? 'the broker has no default credential' : `the broker has no credential "${wanted}"`,
      cost: 'the helper fails at every call',
      remedy: `name one of: ${status.credentials.map(({ name }) => name).join(', ') || '(none yet: broker setup)'}`,
      where,
    });
  } else if (credential.state === 'failing' || credential.state === 'stale') {
    const { lastError } = credential;
    findings.push({
      id: credential.state === 'failing' ? 'credential-failing' : 'credential-stale',
      severity: credential.state === 'failing' ? 'error' : 'warning',
      title: `credential "${credential.name}" is ${credential.state}${lastError ? `: ${lastError.message}` : ''}`,
      cost:
        credential.state === 'failing'
          ? 'there is no key to serve'
          : 'an older key is served while the provider cannot be asked',
      remedy: lastError?.remedy ?? `see: broker status, then broker refresh ${credential.name}`,
    });
  }
  for (const advice of credential?.advice ?? []) {
    // The clock has a check of its own.
    if (advice.includes('clock')) continue;
    const at = advice.indexOf(': ');
    findings.push({
      id: 'broker-advice',
      severity: 'warning',
      title:
        at === -1
          ? `the broker has advice about "${credential?.name}"`
          : `"${credential?.name}": ${advice.slice(0, at)}`,
      cost: 'a request now and then carries a key that is over, and has to be repeated',
      remedy: at === -1 ? advice : advice.slice(at + 2),
    });
  }
  if (status.daemon.configProblem !== null) {
    findings.push({
      id: 'broker-config',
      severity: 'warning',
      title: `the broker could not take over its configuration: ${status.daemon.configProblem}`,
      cost: 'it goes on with the configuration from before, and starts with none after a restart',
      remedy: 'see: broker config validate',
      where: status.daemon.configFile,
    });
  }
  if (status.daemon.cache.problem !== null) {
    findings.push({
      id: 'broker-cache',
      severity: 'warning',
      title: `the broker's cache: ${status.daemon.cache.problem}`,
      cost: 'keys do not survive a restart of the daemon',
      remedy: status.daemon.cache.remedy ?? 'see: broker status',
    });
  }
  return findings;
};

const SHOWN = 5;

/** What the environment contributes is the daemon's; whoever tries a path in a shell with other variables is misled. */
export const configDifferences: Check = ({ broker }) => {
  const keys = broker.differing ?? [];
  if (keys.length === 0) return [];
  const rest = keys.length > SHOWN ? ` and ${keys.length - SHOWN} more` : '';
  return [
    {
      id: 'config-differs',
      severity: 'warning',
      title: `the daemon's environment and this shell's disagree about ${keys.slice(0, SHOWN).join(', ')}${rest}`,
      cost: 'what works in this shell (vault read, aws …) may ask another server or account than the daemon does',
      remedy: 'see both values: broker config show; then write the right one into the configuration file',
    },
  ];
};

/** The daemon corrects for it; other programs on the machine do not. */
const TOLERATED_MS = 30_000;

export const clockSkew: Check = ({ broker }) => {
  const skew = broker.providerSkewMs;
  if (skew === undefined || Math.abs(skew) <= TOLERATED_MS) return [];
  return [
    {
      id: 'clock-skew',
      severity: 'warning',
      title: `this machine's clock is ${Math.round(Math.abs(skew) / 1000)} s ${skew > 0 ? 'ahead of' : 'behind'} the provider's`,
      cost: 'signed requests (AWS) are refused, and tokens look dead before their time or alive after it',
      remedy: 'turn on time synchronisation: timedatectl set-ntp true',
    },
  ];
};

const PLACES = {
  file: 'a file beside it',
  keyring: 'the keyring',
  'systemd-credential': 'a systemd credential of the service',
} as const;

/** Where the key that encrypts the cache could live better, or lives elsewhere than the configuration says. */
export const keyHome: Check = ({ broker: { status, keyring, configuredKeyHome } }) => {
  const home = status?.daemon.cache.keyHome ?? null;
  if (home === null) return [];
  if (configuredKeyHome !== undefined && configuredKeyHome !== 'auto' && configuredKeyHome !== home) {
    return [
      {
        id: 'key-home-differs',
        severity: 'info',
        title: `key_home is "${configuredKeyHome}", and the key of the cache lives in ${PLACES[home]}`,
        cost: 'key_home is for a new cache: the key of this one stays where it is',
        remedy: `move it: broker rotate-key --to ${configuredKeyHome}`,
      },
    ];
  }
  if (home !== 'file' || configuredKeyHome === 'file' || keyring !== 'usable') return [];
  return [
    {
      id: 'key-in-file',
      severity: 'info',
      title: 'the key of the cache lies in a file beside it, and this session has a keyring that is open',
      cost: 'a copy of the whole state folder (a backup, a synced home) can be read',
      remedy: 'move it: broker rotate-key --to keyring (or [daemon] key_home = "file", to be told no more)',
    },
  ];
};

/** `~/.zshrc:12`, or words for what lies in no file. */
export function placeText(place: Place | undefined): string {
  if (place?.file === undefined) return place?.kind === 'environment' ? 'the environment' : 'an unknown place';
  return place.line === undefined ? place.file : `${place.file}:${place.line}`;
}

/** For a finding's `where`: only what is in a file. */
export function whereOf(place: Place | undefined): { where: string } | Record<string, never> {
  return place?.file === undefined ? {} : { where: placeText(place) };
}
