import { KEY_BYTES, KeyEncryptionKey } from './envelope.ts';
import type { AddOptions, KekReading, KekStore, Obstacle } from './kek-store.ts';

/** Names the encoding: `broker-kek-1:` and the 32 bytes in base64url, as docs/security-model.md says. */
const PREFIX = 'broker-kek-1:';

interface KekKeyringOptions {
  /** undefined: this session certainly has none. */
  readonly ask: AskKeyring | undefined;
  readonly platform: NodeJS.Platform;
  readonly isForNewKeys: boolean;
}

/**
 * The key in the Secret Service or the macOS Keychain: one item each, under the key's id, which the database records.
 * So no two state folders share one, a rotation never overwrites what the database still needs, and an item that was
 * exchanged is noticed. The keyring is never asked to be unlocked.
 */
export class KekKeyring implements KekStore {
  readonly kind = 'keyring';
  readonly description: string;
  readonly isForNewKeys: boolean;
  readonly #name: Keyring;
  readonly #ask: AskKeyring;

  constructor({ ask, platform, isForNewKeys }: KekKeyringOptions) {
    this.#name = platform === 'darwin' ? 'macOS Keychain' : 'Secret Service';
    this.description = `keyring (${this.#name})`;
    this.isForNewKeys = isForNewKeys;
    this.#ask = ask ?? (async () => trouble('no-bus'));
  }

  async find(id: string): Promise<KekReading> {
    const reply = await this.#ask({ action: 'read', account: id, mayStart: true });
    switch (reply.outcome) {
      case 'found':
        return this.#decode(id, reply.secret);
      case 'trouble': {
        const obstacle = this.#obstacle(reply);
        const remedy = `${obstacle.remedy}; or begin again with a file: broker rotate-key --discard --to file`;
        return { ...obstacle, state: 'unreachable', remedy };
      }
      default:
        return {
          state: 'missing',
          reason: `the ${this.#name} is open, and the key ${id} is not in it`,
          remedy:
            'Open the keyring of the session that stored it, or give up what it sealed: broker rotate-key --discard',
        };
    }
  }

  async add(kek: KeyEncryptionKey, { mayStart = false }: AddOptions = {}): Promise<Obstacle | undefined> {
    const secret = kek.lend((bytes) => `${PREFIX}${bytes.toString('base64url')}`);
    const reply = await this.#ask({ action: 'store', account: kek.id, secret, mayStart });
    return reply.outcome === 'trouble' ? this.#obstacle(reply) : undefined;
  }

  async remove(id: string): Promise<Obstacle | undefined> {
    const reply = await this.#ask({ action: 'remove', account: id, mayStart: true });
    return reply.outcome === 'trouble' ? this.#obstacle(reply) : undefined;
  }

  #decode(id: string, text: string): KekReading {
    const bytes = Buffer.from(text.startsWith(PREFIX) ? text.slice(PREFIX.length) : '', 'base64url');
    const kek = bytes.length === KEY_BYTES ? KeyEncryptionKey.fromBytes(bytes) : undefined;
    if (kek?.id === id) return { state: 'reachable', kek };
    return {
      state: 'unreachable',
      reason: `what the ${this.#name} keeps as the key ${id} is not that key`,
      remedy: 'Put the right item back from a backup, or give up what it sealed: broker rotate-key --discard',
    };
  }

  #obstacle(obstacle: KeyringTrouble): Obstacle {
    return { ...describeTrouble(this.#name, obstacle), mayHavePrompted: mayHavePrompted(this.#name, obstacle) };
  }
}

/**
 * The Secret Service is asked only after a look that never prompts has found it open, and a dialogue that appears all
 * the same (KeePassXC can ask about every access) ends in silence. The Keychain cannot be looked at like that.
 */
function mayHavePrompted(keyring: Keyring, { why }: KeyringTrouble): boolean {
  return why === 'silent' || why === 'failed' || (why === 'locked' && keyring === 'macOS Keychain');
}

/** Under which items are found in Seahorse, KWalletManager or Keychain Access, or with `secret-tool search service apikey-broker`. */
export const KEYRING_SERVICE = 'apikey-broker';

/** Asks the keyring of the operating system. Never rejects, and ends after a few seconds however long the keyring takes. */
export type AskKeyring = (request: KeyringRequest) => Promise<KeyringReply>;

export interface KeyringRequest {
  /**
   * look: could a key be kept here? · read: what is kept under `account` · store: keep `secret` under `account` and
   * read it back · remove: forget `account`; that nothing is kept there is not a fault.
   */
  readonly action: 'look' | 'read' | 'store' | 'remove';
  readonly account: string;
  readonly secret?: string;
  /** A service that does not run may be started by the bus: only for a key that is known to be there or wanted there. */
  readonly mayStart: boolean;
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
 * answer in time · failed: anything else.
 */
export type TroubleKind = 'no-bus' | 'no-busctl' | 'no-service' | 'no-collection' | 'locked' | 'silent' | 'failed';

export function trouble(why: TroubleKind, detail = ''): KeyringTrouble {
  return { outcome: 'trouble', why, detail };
}

type Keyring = 'Secret Service' | 'macOS Keychain';

/** What stands between the daemon and the keyring, and what a person does about it. */
function describeTrouble(keyring: Keyring, { why, detail }: KeyringTrouble): Obstacle {
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
        ? { reason: 'the macOS Keychain is locked or refuses the daemon', remedy: 'Run: security unlock-keychain' }
        : {
            reason: `the ${keyring} is locked`,
            remedy:
              'Unlock it, on the desktop or in Passwords and Keys (seahorse), and the daemon goes on automatically',
          };
    case 'silent':
      return {
        reason: `the ${keyring} did not answer in time${because}`,
        remedy: 'Answer its dialogue if there is one, or restart the keyring program',
      };
    case 'failed':
      return { reason: `the ${keyring} failed${because}`, remedy: 'Look into its log: journalctl --user' };
  }
}
