import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { KEY_BYTES } from './envelope.ts';
import { type Flaw, fromFileBytes, readPrivateFile } from './kek-file.ts';
import type { KekHome, KekReading, KekSlot } from './kek-store.ts';

const CREDENTIAL = 'broker-kek';

/**
 * The key as a systemd credential (systemd.exec(5), LoadCredentialEncrypted=): encrypted on disk to the machine's TPM
 * or host key, in memory only while the service runs. systemd puts it there; the broker only reads. A second
 * credential named broker-kek.next is a rotation's new key.
 */
export class KekSystemdCredential implements KekHome {
  readonly kind = 'systemd-credential';
  readonly configured: boolean;
  readonly description: string;
  readonly #folder: string | undefined;

  /** `folder` is $CREDENTIALS_DIRECTORY; undefined where systemd did not start the daemon or gave it no credential. */
  constructor(folder: string | undefined, configured = folder !== undefined) {
    this.#folder = folder;
    this.configured = configured;
    this.description = `systemd credential ${CREDENTIAL}`;
  }

  read(slot: KekSlot): KekReading {
    const name = slot === 'current' ? CREDENTIAL : `${CREDENTIAL}.next`;
    if (this.#folder === undefined) {
      return {
        state: 'unreachable',
        reason: `the systemd credential ${name} cannot be reached: CREDENTIALS_DIRECTORY is not set`,
        remedy: `Start the daemon as the service that loads it: systemctl --user start broker.service`,
      };
    }
    const path = join(this.#folder, name);
    const reading = readPrivateFile(path, KEY_BYTES, credentialFlaw);
    switch (reading.state) {
      case 'absent':
        return {
          state: 'missing',
          reason: `the systemd credential ${name} was not handed to the daemon`,
          remedy: `Add LoadCredentialEncrypted=${name} to the unit, or give up what it sealed: broker rotate-key --discard`,
        };
      case 'refused':
        return { state: 'unreachable', reason: reading.reason, remedy: reading.remedy };
      case 'read':
        return fromFileBytes(path, reading.bytes);
    }
  }
}

/** systemd hands credentials over read-only, owned by root with an ACL or by the service's user: group bits are the ACL's mask. */
function credentialFlaw(path: string, stats: Stats): Flaw | undefined {
  const foreign = stats.uid !== 0 && stats.uid !== process.getuid?.();
  if (!foreign && (stats.mode & 0o007) === 0) return undefined;
  return {
    reason: `${path} is not a credential that systemd made: owner ${stats.uid}, mode ${(stats.mode & 0o777).toString(8)}`,
    remedy: 'Unset CREDENTIALS_DIRECTORY, or start the daemon as a systemd service.',
  };
}
