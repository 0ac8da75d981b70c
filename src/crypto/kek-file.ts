import { renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BrokerError, shellWord } from '../errors.ts';
import type { KekHome, KekReading, KekSlot, KekWriter } from './kek-home.ts';
import { KEY_BYTES, KeyEncryptionKey } from './key-encryption-key.ts';
import { createPrivateFile, isErrno, readPrivateFile, removePrivateFile, syncFolder } from './private-file.ts';

/**
 * The key in a 0600 file beside the database: the honest default of a machine that has nothing better. It keeps other
 * users out, and whoever reads only the database; whoever gets the whole folder has both.
 */
export class KekFile implements KekHome {
  readonly kind = 'file';
  readonly configured: boolean;
  readonly description: string;
  readonly writer: KekWriter;
  readonly #paths: Readonly<Record<KekSlot, string>>;

  constructor(stateDir: string, configured = true) {
    this.configured = configured;
    this.#paths = { current: join(stateDir, 'kek'), next: join(stateDir, 'kek.next') };
    this.description = `file ${this.#paths.current}`;
    this.writer = {
      create: (slot) => this.#create(slot),
      promote: () => this.#attempt('replace', () => this.#move('next', this.#paths.current)),
      clear: (slot) => this.#attempt('remove', () => removePrivateFile(this.#paths[slot])),
      setAside: (stamp) => this.#setAside(stamp),
    };
  }

  read(slot: KekSlot): KekReading {
    const path = this.#paths[slot];
    const reading = readPrivateFile(path, KEY_BYTES);
    switch (reading.state) {
      case 'absent':
        return {
          state: 'missing',
          reason: `the key file ${path} is gone`,
          remedy: `Put it back from a backup, or give up what it sealed: broker rotate-key --discard`,
        };
      case 'refused':
        return { state: 'unreachable', reason: reading.reason, remedy: reading.remedy };
      case 'read':
        return fromFileBytes(path, reading.bytes);
    }
  }

  #create(slot: KekSlot): KeyEncryptionKey {
    const path = this.#paths[slot];
    const kek = KeyEncryptionKey.ephemeral();
    try {
      kek.lend((bytes) => createPrivateFile(path, bytes));
    } catch (error) {
      throw failed('create', path, error);
    }
    return kek;
  }

  #setAside(stamp: string): void {
    this.#attempt('set aside', () => {
      try {
        this.#move('current', `${this.#paths.current}.discarded-${stamp}`);
      } catch (error) {
        if (!isErrno(error, 'ENOENT')) throw error;
      }
    });
  }

  #move(slot: KekSlot, target: string): void {
    renameSync(this.#paths[slot], target);
    syncFolder(dirname(target));
  }

  #attempt(verb: string, action: () => void): void {
    try {
      action();
    } catch (error) {
      throw failed(verb, this.#paths.current, error);
    }
  }
}

export function fromFileBytes(path: string, bytes: Buffer): KekReading {
  if (bytes.length === KEY_BYTES) return { state: 'reachable', kek: KeyEncryptionKey.fromBytes(bytes) };
  const length = bytes.length > KEY_BYTES ? `more than ${KEY_BYTES}` : String(bytes.length);
  bytes.fill(0);
  return {
    state: 'unreachable',
    reason: `${path} holds ${length} bytes; a key has exactly ${KEY_BYTES}`,
    remedy: `Put the right file back from a backup, or give up what it sealed: broker rotate-key --discard`,
  };
}

function failed(verb: string, path: string, error: unknown): BrokerError {
  const reason = error instanceof Error ? error.message : 'unknown error';
  return new BrokerError('ERR_IO', `cannot ${verb} the key file ${path}: ${reason}`, {
    remedy: `Check space and permissions: df -h ${shellWord(dirname(path))}; ls -la ${shellWord(dirname(path))}`,
    cause: error,
  });
}
