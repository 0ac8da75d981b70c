/** The keyring of the operating system: the Secret Service or the macOS Keychain, and what is asked of it. */
export type Keyring = 'Secret Service' | 'macOS Keychain';

export function keyringName(platform: NodeJS.Platform): Keyring {
  return platform === 'darwin' ? 'macOS Keychain' : 'Secret Service';
}

/**
 * Asks the keyring of the operating system. Never rejects, and ends after a few seconds however long the keyring takes, unless a
 * person is to answer it.
 */
export type AskKeyring = (request: KeyringRequest) => Promise<KeyringReply>;

export interface KeyringRequest {
  /**
   * look: could a key be kept here? · read: what is kept under `account` · store: keep `secret` under `account` and
   * read it back · remove: forget `account`; that nothing is kept there is not a fault.
   */
  readonly action: 'look' | 'read' | 'store' | 'remove';
  /** Under this name items are found in Seahorse, KWalletManager or Keychain Access, or with `secret-tool search service NAME`. */
  readonly service: string;
  readonly account: string;
  readonly secret?: string;
  /** A service that does not run may be started by the bus: only for a key that is known to be there or wanted there. */
  readonly mayStart: boolean;
  /** A person asked for it and is there to answer a dialogue: macOS may show one, and is waited for. */
  readonly byPerson?: true;
}

export type KeyringReply =
  | { readonly outcome: 'found'; readonly secret: string }
  /** read: the keyring is open, and nothing is kept under this account. */
  | { readonly outcome: 'absent' }
  /** look: a key could be kept here · store, remove: done. */
  | { readonly outcome: 'usable' | 'done' }
  | KeyringTrouble;

export interface KeyringTrouble {
  readonly outcome: 'trouble';
  readonly why: TroubleKind;
  /** In the words of the program that refused; never a secret. Empty where `why` says it all. */
  readonly detail: string;
}

/**
 * no-bus, no-service, no-collection: this machine or session has no keyring that could keep a key · no-busctl: there is
 * nothing to look with, and a keyring is never asked blind · locked: it has one, and a person has to open it · silent: no
 * answer in time · no-team: the Keychain could not tell this program from another after an upgrade · failed: anything else.
 */
export type TroubleKind =
  | 'no-bus'
  | 'no-busctl'
  | 'no-service'
  | 'no-collection'
  | 'no-team'
  | 'locked'
  | 'silent'
  | 'failed';

export function trouble(why: TroubleKind, detail = ''): KeyringTrouble {
  return { outcome: 'trouble', why, detail };
}

/** What stands between a program and the keyring, and what a person does about it. */
export interface KeyringObstacle {
  readonly reason: string;
  readonly remedy: string;
  /** Asking again may put another dialogue before a person. */
  readonly mayHavePrompted: boolean;
}

export function describeTrouble(keyring: Keyring, found: KeyringTrouble): KeyringObstacle {
  return { ...wordsFor(keyring, found), mayHavePrompted: mayHavePrompted(keyring, found) };
}

function wordsFor(keyring: Keyring, { why, detail }: KeyringTrouble): Omit<KeyringObstacle, 'mayHavePrompted'> {
  const because = detail === '' ? '' : ` (${detail})`;
  switch (why) {
    case 'no-bus':
      return {
        reason: `the ${keyring} cannot be reached: there is no session bus${because}`,
        remedy: 'Start the daemon in the session that has the keyring',
      };
    case 'no-busctl':
      return {
        reason: `whether the ${keyring} is open cannot be told: there is no busctl`,
        remedy: "Install systemd's busctl where the daemon finds it",
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
        ? {
            reason: 'the macOS Keychain is locked or refuses the daemon',
            remedy: 'Run this, over SSH as well: security unlock-keychain',
          }
        : {
            reason: `the ${keyring} is locked`,
            remedy:
              'Unlock it, on the desktop or in Passwords and Keys (seahorse), and the daemon goes on automatically',
          };
    case 'no-team':
      return {
        reason: `this Node has no team identifier, so the ${keyring} would ask again after each of its upgrades`,
        remedy:
          'Run broker with a Node from https://nodejs.org, or choose the keyring yourself: [daemon] key_home = "keyring"',
      };
    case 'silent':
      return {
        reason: `the ${keyring} did not answer in time${because}`,
        remedy: 'Answer its dialogue if there is one, or restart the keyring program',
      };
    case 'failed':
      return {
        reason: `the ${keyring} failed${because}`,
        remedy:
          keyring === 'macOS Keychain'
            ? 'Look at its state in Keychain Access, and into the log: log show --last 5m --predicate \'process == "securityd"\''
            : 'Look into its log: journalctl --user',
      };
  }
}

/**
 * The Secret Service is asked only after a look that never prompts has found it open, and a dialogue that appears all
 * the same (KeePassXC can ask about every access) ends in silence. The Keychain cannot be looked at like that.
 */
function mayHavePrompted(keyring: Keyring, { why }: KeyringTrouble): boolean {
  return why === 'silent' || why === 'failed' || (why === 'locked' && keyring === 'macOS Keychain');
}
