import type { KeyringTrouble } from './keyring-port.ts';

export type Keyring = 'Secret Service' | 'macOS Keychain';

interface Trouble {
  readonly reason: string;
  readonly remedy: string;
}

/** What stands between the daemon and the keyring, and what a person does about it. */
export function describeTrouble(keyring: Keyring, { why, detail }: KeyringTrouble): Trouble {
  const because = detail === '' ? '' : ` (${detail})`;
  switch (why) {
    case 'no-bus':
      return {
        reason: `the ${keyring} cannot be reached: there is no session bus${because}`,
        remedy: 'Start the daemon in the session that has the keyring',
      };
    case 'no-service':
      return {
        reason: `no ${keyring} answers on the session bus${because}`,
        remedy: 'Start the keyring of this session (gnome-keyring-daemon, ksecretd, KeePassXC)',
      };
    case 'no-collection':
      return {
        reason: `the ${keyring} has no default collection that lasts${because}`,
        remedy: 'Log in on the desktop, or create a default keyring in Passwords and Keys (seahorse)',
      };
    case 'locked':
      return keyring === 'macOS Keychain'
        ? { reason: 'the macOS Keychain is locked or refuses the daemon', remedy: 'Run: security unlock-keychain' }
        : {
            reason: `the ${keyring} is locked`,
            remedy: 'Unlock it, on the desktop or in Passwords and Keys (seahorse), and the daemon goes on by itself',
          };
    case 'silent':
      return {
        reason: `the ${keyring} did not answer in time${because}`,
        remedy: 'Answer its dialogue if there is one, or start the keyring program anew',
      };
    case 'failed':
      return { reason: `the ${keyring} failed${because}`, remedy: 'Look into its log: journalctl --user' };
  }
}
