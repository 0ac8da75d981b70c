import { BrokerError } from '../errors.ts';
import { KEY_BYTES, KeyEncryptionKey } from './envelope.ts';
import type { KekHome, KekKeeper, KekReading, KekSlot, KekUnreachable } from './kek-store.ts';

interface KekKeyringOptions {
  /** undefined: this session certainly has none. */
  readonly ask: AskKeyring | undefined;
  readonly platform: NodeJS.Platform;
  /**
   * What happens to a new key. required: it is kept here or nowhere · preferred: here, if the keyring is open and can
   * keep it without asking anybody · never: elsewhere.
   */
  readonly newKeys: 'required' | 'preferred' | 'never';
  /** Wall clock, milliseconds since the epoch: paces attempts that may have put a dialogue before somebody. */
  readonly wallMs: () => number;
}

/** Names the encoding: `broker-kek-1:` and the 32 bytes in base64url, as docs/security-model.md says. */
const PREFIX = 'broker-kek-1:';
const FIRST_PAUSE_MS = 60_000;
const LONGEST_PAUSE_MS = 3_600_000;

/**
 * The key in the Secret Service or the macOS Keychain: one item each, under the key's id, which the database records.
 * So no two state folders share one, a rotation never overwrites what the database still needs, and an item that was
 * exchanged is noticed. The keyring is never asked to be unlocked.
 */
export class KekKeyring implements KekHome, KekKeeper {
  readonly kind = 'keyring';
  readonly description: string;
  readonly keeper: KekKeeper = this;
  readonly #options: KekKeyringOptions;
  readonly #name: Keyring;
  /** By the key's id; '': the key for a database that has sealed nothing. */
  readonly #seen = new Map<string, KekReading>();
  readonly #wanted = new Set<string>();
  #pause = { untilMs: Number.NEGATIVE_INFINITY, nextMs: FIRST_PAUSE_MS };

  constructor(options: KekKeyringOptions) {
    this.#options = options;
    this.#name = options.platform === 'darwin' ? 'macOS Keychain' : 'Secret Service';
    this.description = `keyring (${this.#name})`;
  }

  /** One that is only preferred is no home for new keys once it has refused one. */
  get configured(): boolean {
    const { newKeys, ask } = this.#options;
    if (newKeys !== 'preferred') return newKeys === 'required';
    const seen = this.#seen.get(NEW);
    return ask !== undefined && (seen === undefined || seen.state === 'reachable');
  }

  read(slot: KekSlot, id: string = NEW): KekReading {
    if (slot === 'next') return { state: 'missing', reason: 'a keyring has no slots', remedy: '' };
    const seen = this.#seen.get(id);
    if (seen?.state !== 'reachable') this.#wanted.add(id);
    return seen ?? NOT_YET;
  }

  async look(now = false): Promise<boolean> {
    const { newKeys, wallMs } = this.#options;
    if (this.#wanted.size === 0 || (!now && wallMs() < this.#pause.untilMs)) return false;
    for (const id of [...this.#wanted]) {
      const reading = id === NEW ? await this.#make(now || newKeys === 'required') : await this.#find(id);
      // Where another home takes over for a new key, this one must not make keys that nobody wants any more.
      if (reading.state === 'reachable' || (id === NEW && newKeys !== 'required')) this.#wanted.delete(id);
      this.#seen.set(id, reading);
    }
    return true;
  }

  forget(): void {
    this.#seen.clear();
    this.#wanted.clear();
  }

  async add(kek: KeyEncryptionKey): Promise<void> {
    const obstacle = await this.#store(kek, true);
    if (obstacle !== undefined) throw this.#failed('keep a key in', obstacle);
    this.#seen.set(kek.id, { state: 'reachable', kek });
  }

  async remove(id: string): Promise<void> {
    const reply = await this.#ask({ action: 'remove', account: id, mayStart: true });
    if (reply.outcome === 'trouble') throw this.#failed('remove a key from', reply);
    this.forget();
  }

  async #find(id: string): Promise<KekReading> {
    const reply = await this.#ask({ action: 'read', account: id, mayStart: true });
    switch (reply.outcome) {
      case 'found':
        return this.#decode(id, reply.secret);
      case 'trouble':
        return this.#unreachable(reply, 'begin anew with a file: broker rotate-key --discard --to file');
      default:
        return {
          state: 'missing',
          reason: `the ${this.#name} is open, and the key ${id} is not in it`,
          remedy:
            'Open the keyring of the session that stored it, or give up what it sealed: broker rotate-key --discard',
        };
    }
  }

  /** The key of a database that has sealed nothing: nobody knows of one, so it is a new one. */
  async #make(mayStart: boolean): Promise<KekReading> {
    const kek = KeyEncryptionKey.ephemeral();
    const obstacle = await this.#store(kek, mayStart);
    if (obstacle !== undefined) return this.#unreachable(obstacle, 'choose another home: [daemon] key_home = "file"');
    const reading: KekReading = { state: 'reachable', kek };
    this.#seen.set(kek.id, reading);
    return reading;
  }

  async #store(kek: KeyEncryptionKey, mayStart: boolean): Promise<KeyringTrouble | undefined> {
    const secret = kek.lend((bytes) => `${PREFIX}${bytes.toString('base64url')}`);
    const reply = await this.#ask({ action: 'store', account: kek.id, secret, mayStart });
    return reply.outcome === 'trouble' ? reply : undefined;
  }

  async #ask(request: Parameters<AskKeyring>[0]): ReturnType<AskKeyring> {
    const { ask, platform, wallMs } = this.#options;
    const reply = ask === undefined ? trouble('no-bus') : await ask(request);
    if (reply.outcome !== 'trouble') this.#pause = { untilMs: Number.NEGATIVE_INFINITY, nextMs: FIRST_PAUSE_MS };
    else if (mayHavePrompted(reply, platform)) {
      const { nextMs } = this.#pause;
      this.#pause = { untilMs: wallMs() + nextMs, nextMs: Math.min(nextMs * 2, LONGEST_PAUSE_MS) };
    }
    return reply;
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

  #unreachable(obstacle: KeyringTrouble, orElse: string): KekUnreachable {
    const { reason, remedy } = describeTrouble(this.#name, obstacle);
    return { state: 'unreachable', reason, remedy: `${remedy}; or ${orElse}` };
  }

  #failed(verb: string, obstacle: KeyringTrouble): BrokerError {
    const { reason, remedy } = describeTrouble(this.#name, obstacle);
    return new BrokerError('ERR_IO', `cannot ${verb} the keyring: ${reason}`, { remedy: `${remedy}.` });
  }
}

const NEW = '';

const NOT_YET: KekUnreachable = {
  state: 'unreachable',
  reason: 'the keyring was not asked yet',
  remedy: 'Wait a few seconds.',
  notYet: true,
};

/**
 * The Secret Service is asked only after a look that never prompts has found it open, and a dialogue that appears all
 * the same (KeePassXC can ask about every access) ends in silence. The Keychain cannot be looked at like that.
 */
function mayHavePrompted({ why }: KeyringTrouble, platform: NodeJS.Platform): boolean {
  return why === 'silent' || why === 'failed' || (why === 'locked' && platform === 'darwin');
}

/** Under which items are found in Seahorse, KWalletManager or Keychain Access, or with `secret-tool search service apikey-broker`. */
export const KEYRING_SERVICE = 'apikey-broker';

/** Asks the keyring of the operating system. Never rejects, and ends by itself however long the keyring takes. */
export type AskKeyring = (request: KeyringRequest) => Promise<KeyringReply>;

export interface KeyringRequest {
  /**
   * look: could a key be kept here? · read: what is kept under `account` · store: keep `secret` under `account` and
   * read it back · remove: forget `account`, and it is no fault if nothing is kept there.
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
  /** In the words of whoever refused; never a secret. Empty where `why` says it all. */
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

interface Trouble {
  readonly reason: string;
  readonly remedy: string;
}

/** What stands between the daemon and the keyring, and what a person does about it. */
function describeTrouble(keyring: Keyring, { why, detail }: KeyringTrouble): Trouble {
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
