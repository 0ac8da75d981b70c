import type { Facts } from '../doctor/gather.ts';
import { effectiveVariable, originText } from '../settings/effective.ts';
import { type Check, check } from './check.ts';

/** What the daemon knows to be wrong with what the helper asks for, and where daemon, helper and this shell differ. */
export const brokerChecks: readonly Check[] = [
  check({
    id: 'broker-unreachable',
    severity: 'error',
    // The helper starts a daemon where it may: a key that it printed is proof enough.
    when: ({ broker, helper, run }) =>
      helper?.ours && broker.status === undefined && !(run?.outcome === 'ended' && run.exitCode === 0),
    title: 'no broker answers',
    cost: 'the helper fails, and the client with it',
    remedy: (_, { broker }) => broker.config?.setUp ?? 'start it, installed or not: broker service install',
  }),
  check({
    id: 'launch-gone',
    severity: 'warning',
    when: ({ broker, helper }) => helper?.ours && broker.launchFlaw,
    title: ({ message }) => message,
    cost: 'the daemon that runs goes on; after its end, or the next login, none starts',
    remedy: ({ remedy }) => remedy ?? 'run: broker service install',
  }),
  check({
    id: 'other-config',
    severity: 'warning',
    when: ({ broker: { status, config } }) =>
      status !== undefined && config?.file !== undefined && status.daemon.configFile !== config.file && config.file,
    title: (file, { broker }) =>
      `the daemon has another configuration, ${broker.status?.daemon.configFile}, than this shell, ${file}`,
    cost: 'what is written, validated or set up in this shell is not what the daemon serves',
    remedy:
      'unset BROKER_CONFIG (or XDG_CONFIG_HOME) here, or give the daemon this file: broker service install in this shell',
  }),
  check({
    id: 'credential-unknown',
    severity: 'error',
    when: ({ broker, helper }) =>
      helper?.ours && broker.status !== undefined && broker.credential === undefined && helper,
    title: ({ credential }) =>
      credential === undefined
        ? 'the broker has no default credential'
        : `the broker has no credential "${credential}"`,
    cost: 'the helper fails at every call',
    remedy: (_, { broker }) =>
      `name one of: ${broker.status?.credentials.map(({ name }) => name).join(', ') || '(none yet: broker setup)'}`,
    where: ({ where }) => where,
  }),
  check({
    id: 'credential-failing',
    severity: 'error',
    when: (facts) => credentialIn(facts, 'failing'),
    title: ({ title }) => title,
    cost: 'there is no key to serve',
    remedy: ({ remedy }) => remedy,
  }),
  check({
    id: 'credential-stale',
    severity: 'warning',
    when: (facts) => credentialIn(facts, 'stale'),
    title: ({ title }) => title,
    cost: 'an older key is served while the provider cannot be asked',
    remedy: ({ remedy }) => remedy,
  }),
  check({
    id: 'broker-advice',
    severity: 'warning',
    // The clock has a check of its own.
    when: ({ broker, helper }) => helper?.ours && broker.credential?.advice.filter(({ about }) => about !== 'clock'),
    title: ({ message }, { broker }) => `"${broker.credential?.name}": ${message}`,
    cost: 'now and then a request carries a key that has expired, and has to be repeated',
    remedy: ({ remedy }) => remedy,
  }),
  check({
    id: 'broker-config',
    severity: 'warning',
    when: ({ broker, helper }) => helper?.ours && (broker.status?.daemon.configProblem ?? undefined),
    title: (problem) => `the broker could not load its changed configuration: ${problem}`,
    cost: 'it goes on with the configuration from before, and starts with none after a restart',
    remedy: 'see: broker config validate',
    where: (_, { broker }) => broker.status?.daemon.configFile,
  }),
  check({
    id: 'broker-config-risk',
    severity: 'warning',
    when: ({ broker, helper }) => helper?.ours && broker.risks,
    title: ({ message }) => `the broker's configuration: ${message}`,
    cost: 'it works, and others may read or change what the broker asks for',
    remedy: ({ remedy }) => remedy,
    where: ({ where }) => where,
  }),
  check({
    id: 'sink-not-kept',
    severity: 'warning',
    when: ({ broker }) =>
      // A daemon of an older version says nothing of files.
      broker.status?.credentials.flatMap(({ name, sink }) => (sink?.problem == null ? [] : [{ name, ...sink }])),
    title: ({ name, file, problem }) => `"${name}" is not kept fresh in ${file}: ${problem}`,
    cost: ({ written }) =>
      written ? 'whoever reads the file gets a token that may be over or used up' : 'whoever reads the file finds none',
    remedy: ({ remedy }) => remedy ?? 'see: broker status',
  }),
  check({
    id: 'broker-cache',
    severity: 'warning',
    when: ({ broker, helper }) => helper?.ours && (broker.status?.daemon.cache.problem ?? undefined),
    title: (problem) => `the broker's cache: ${problem}`,
    cost: 'keys do not survive a restart of the daemon',
    remedy: (_, { broker }) => broker.status?.daemon.cache.remedy ?? 'see: broker status',
  }),
  check({
    id: 'broker-limits',
    severity: 'warning',
    when: ({ broker, helper }) => helper?.ours && (broker.status?.daemon.limits?.problem ?? undefined),
    title: (problem) => `the broker's daemon: ${problem}`,
    cost: 'with more clients at a time some wait for others',
    remedy: (_, { broker }) => broker.status?.daemon.limits?.remedy ?? 'see: broker status',
  }),
  check({
    id: 'broker-place-lost',
    severity: 'error',
    when: ({ broker, helper }) => helper?.ours && broker.status?.daemon.places?.filter(({ state }) => state === 'lost'),
    title: ({ place, message }) => `the broker's ${place}: ${message}`,
    cost: 'the daemon cannot put it right without help',
    remedy: ({ remedy }) => remedy ?? 'see: broker status',
  }),
  check({
    id: 'broker-place-restored',
    severity: 'info',
    when: ({ broker, helper }) =>
      helper?.ours && broker.status?.daemon.places?.filter(({ state }) => state === 'restored'),
    title: ({ place, message }) => `the broker's ${place}: ${message}`,
    cost: 'nothing was lost; whatever removed it may do so again',
    remedy: ({ at }) => `look for what removes it (a clean-up job, a script), last at ${at}`,
  }),
  check({
    id: 'key-home-differs',
    severity: 'info',
    when: ({ broker: { keyHome, configuredKeyHome: wanted } }) =>
      keyHome !== undefined && wanted !== undefined && wanted !== 'auto' && wanted !== keyHome && { keyHome, wanted },
    title: ({ keyHome, wanted }) => `key_home is "${wanted}", and the key of the cache is in ${KEY_HOMES[keyHome]}`,
    cost: 'key_home is for a new cache: the key of this one stays where it is',
    remedy: ({ wanted }) => `move it: broker rotate-key --to ${wanted}`,
  }),
  check({
    id: 'key-in-file',
    severity: 'info',
    when: ({ broker: { keyHome, configuredKeyHome: wanted = 'auto', keyring } }) =>
      keyHome === 'file' && wanted === 'auto' && keyring === 'usable',
    title: 'the key of the cache is in a file beside it, and this session has a keyring that is open',
    cost: 'a copy of the whole state folder (a backup, a synced home) can be read',
    remedy: 'move it: broker rotate-key --to keyring (or keep it there: [daemon] key_home = "file")',
  }),
  check({
    id: 'config-differs',
    severity: 'warning',
    when: ({ broker: { differing } }) => differing.length > 0 && { differing },
    title: ({ differing }) =>
      `the daemon's environment and this shell's disagree about ${differing.slice(0, SHOWN_KEYS).join(', ')}${
        differing.length > SHOWN_KEYS ? ` and ${differing.length - SHOWN_KEYS} more` : ''
      }`,
    cost: 'what works in this shell (vault read, aws …) may ask another server or account than the daemon does',
    remedy: 'see both values: broker config show; then write the right one into the configuration file',
  }),
  check({
    id: 'daemon-cannot-reach',
    severity: 'warning',
    when: ({ broker: { reachedHere } }) => reachedHere,
    title: (address) => `this shell reaches ${address}, and the daemon does not`,
    cost: 'the daemon has another network: a proxy, a VPN, a firewall or a permission is missing there',
    remedy: () =>
      process.platform === 'darwin'
        ? 'allow node in System Settings, Privacy & Security, Local Network; then run: broker service restart'
        : 'see which proxy the daemon has: broker config show; then run: broker service restart',
  }),
  check({
    id: 'second-broker',
    severity: 'warning',
    when: ({ broker: { sockets } }) => sockets.length > 1 && { sockets },
    title: ({ sockets }) => `more than one broker answers: ${sockets.join(', ')}`,
    cost: 'each has its own keys and its own idea of which are dead; which one a helper asks depends on its environment',
    remedy: 'stop the one you do not want: broker service stop, or end its process',
  }),
  check({
    id: 'second-socket',
    severity: 'warning',
    when: ({ broker, input }) => {
      const socket = effectiveVariable(input, 'BROKER_SOCKET');
      const used = broker.status?.daemon.socket;
      return socket?.origin.kind === 'settings' && used !== undefined && socket.value !== used && { ...socket, used };
    },
    title: ({ value, used }) => `the settings send the helper to ${value}, and this shell uses ${used}`,
    cost: 'what broker status says is not what the client gets',
    remedy: ({ origin }) => `remove env.BROKER_SOCKET from ${origin.file}`,
    where: ({ origin }) => originText(origin),
  }),
  check({
    id: 'clock-skew',
    severity: 'warning',
    when: ({ broker: { providerSkewMs: skewMs = 0 } }) => Math.abs(skewMs) > TOLERATED_SKEW_MS && { skewMs },
    title: ({ skewMs }) =>
      `this machine's clock is ${Math.round(Math.abs(skewMs) / 1000)} s ${skewMs > 0 ? 'ahead of' : 'behind'} the provider's`,
    cost: 'signed requests (AWS) are refused, and tokens seem expired too early or valid too long',
    remedy: 'turn on time synchronisation: timedatectl set-ntp true',
  }),
];

const SHOWN_KEYS = 5;

/** The daemon corrects for it; other programs on the machine do not. */
const TOLERATED_SKEW_MS = 30_000;

const KEY_HOMES = {
  file: 'a file beside it',
  keyring: 'the keyring',
  'systemd-credential': 'a systemd credential of the service',
} as const;

/** The credential that the helper asks for, if it is in this state. */
function credentialIn({ broker: { credential }, helper }: Facts, state: 'failing' | 'stale') {
  if (!helper?.ours || credential?.state !== state) return undefined;
  const { name, lastError } = credential;
  return {
    title: `credential "${name}" is ${state}${lastError === null ? '' : `: ${lastError.message}`}`,
    remedy: lastError?.remedy ?? `see: broker status, then broker refresh ${name}`,
  };
}
