import type { Stats } from 'node:fs';
import { join } from 'node:path';
import type { Flaw } from '../platform/place-rules.ts';
import type { KeyEncryptionKey } from './envelope.ts';
import { pick, readKeks } from './kek-file.ts';
import type { KekReading, KekStore, NoKek } from './kek-store.ts';

const CREDENTIAL = 'broker-kek';
const NEXT = `${CREDENTIAL}.next`;

/**
 * The key as a systemd credential (systemd.exec(5), LoadCredentialEncrypted=): encrypted on disk to the machine's TPM
 * or host key, in memory only while the service runs. systemd puts it there; the broker only reads. A second
 * credential named broker-kek.next is a rotation's new key.
 */
export class KekSystemdCredential implements KekStore {
  readonly kind = 'systemd-credential';
  readonly isForNewKeys: boolean;
  readonly description = `systemd credential ${CREDENTIAL}`;
  readonly #folder: string | undefined;

  /** `folder` is $CREDENTIALS_DIRECTORY; undefined where systemd did not start the daemon or gave it no credential. */
  constructor(folder: string | undefined, isForNewKeys = folder !== undefined) {
    this.#folder = folder;
    this.isForNewKeys = isForNewKeys;
  }

  async find(id: string): Promise<KekReading> {
    const keks = this.#read();
    return 'state' in keks ? keks : pick(keks, id, this.description);
  }

  /** `broker-kek`, or `broker-kek.next` while that is in use. */
  async spare(inUse?: string): Promise<KekReading> {
    const keks = this.#read();
    if ('state' in keks) return keks;
    const [current, next] = keks;
    const kek = current?.id === inUse ? next : current;
    const isRotated = next !== undefined && next.id === inUse;
    return kek === undefined || isRotated ? missing(NEXT) : { state: 'reachable', kek };
  }

  /** Only an administrator can: a credential that seals nothing any more does no harm. */
  async remove(): Promise<undefined> {}

  /** The one in use and the next, or what is in the way. */
  #read(): readonly KeyEncryptionKey[] | NoKek {
    if (this.#folder === undefined) {
      return {
        state: 'unreachable',
        reason: `the systemd credential ${CREDENTIAL} cannot be reached: CREDENTIALS_DIRECTORY is not set`,
        remedy: `Start the daemon as the service that loads it: systemctl --user start broker.service`,
      };
    }
    const keks: KeyEncryptionKey[] = [];
    for (const name of [CREDENTIAL, NEXT]) {
      const found = readKeks(join(this.#folder, name), credentialFlaw);
      if ('state' in found) return found;
      keks.push(...found.slice(0, 1));
    }
    return keks.length === 0 ? missing(CREDENTIAL) : keks;
  }
}

function missing(name: string): NoKek {
  return {
    state: 'missing',
    reason: `the systemd credential ${name} was not handed to the daemon`,
    remedy: `Add LoadCredentialEncrypted=${name} to the unit, or give up what it sealed: broker rotate-key --discard`,
  };
}

/** systemd hands credentials over read-only, owned by root with an ACL or by the service's user: group bits are the ACL's mask. */
function credentialFlaw(path: string, stats: Stats): Flaw | undefined {
  const foreign = stats.uid !== 0 && stats.uid !== process.getuid?.();
  if (!stats.isSymbolicLink() && !foreign && (stats.mode & 0o007) === 0) return undefined;
  return {
    reason: `${path} is not a credential that systemd made: owner ${stats.uid}, mode ${(stats.mode & 0o777).toString(8)}`,
    remedy: 'Unset CREDENTIALS_DIRECTORY, or start the daemon as a systemd service.',
  };
}
