import {
  type AskKeyring,
  describeTrouble,
  type Keyring,
  type KeyringTrouble,
  keyringName,
  trouble,
} from '../platform/keyring.ts';
import { KEY_BYTES, KeyEncryptionKey } from './envelope.ts';
import type { AddOptions, KekReading, KekStore, Obstacle } from './kek-store.ts';

export const KEK_SERVICE = 'apikey-broker';

/** Names the encoding: `broker-kek-1:` and the 32 bytes in base64url, as docs/security-model.md says. */
const PREFIX = 'broker-kek-1:';

interface KekKeyringOptions {
  /** undefined: this session certainly has none. */
  readonly ask: AskKeyring | undefined;
  readonly platform: NodeJS.Platform;
  readonly isForNewKeys: boolean;
  /** Why a new key is better kept elsewhere, if it is; asked before each. Default: nothing speaks against it. */
  readonly objection?: (() => KeyringTrouble | undefined) | undefined;
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
  readonly #objection: () => KeyringTrouble | undefined;

  constructor({ ask, platform, isForNewKeys, objection = () => undefined }: KekKeyringOptions) {
    this.#objection = objection;
    this.#name = keyringName(platform);
    this.description = `keyring (${this.#name})`;
    this.isForNewKeys = isForNewKeys;
    this.#ask = ask ?? (async () => trouble('no-bus'));
  }

  async find(id: string): Promise<KekReading> {
    const reply = await this.#ask({ action: 'read', service: KEK_SERVICE, account: id, mayStart: true });
    switch (reply.outcome) {
      case 'found':
        return this.#decode(id, reply.secret);
      case 'trouble': {
        const obstacle = describeTrouble(this.#name, reply);
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

  async add(kek: KeyEncryptionKey, { mayStart = false, byPerson }: AddOptions = {}): Promise<Obstacle | undefined> {
    const objection = byPerson ? undefined : this.#objection();
    if (objection !== undefined) return describeTrouble(this.#name, objection);
    const secret = kek.lend((bytes) => `${PREFIX}${bytes.toString('base64url')}`);
    const question = { action: 'store', service: KEK_SERVICE, account: kek.id, secret, mayStart } as const;
    const reply = await this.#ask(byPerson ? { ...question, byPerson } : question);
    return reply.outcome === 'trouble' ? describeTrouble(this.#name, reply) : undefined;
  }

  async remove(id: string): Promise<Obstacle | undefined> {
    const reply = await this.#ask({ action: 'remove', service: KEK_SERVICE, account: id, mayStart: true });
    return reply.outcome === 'trouble' ? describeTrouble(this.#name, reply) : undefined;
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
}
