import type { Check } from '../finding.ts';

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
