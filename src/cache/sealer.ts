import type { KeyVersion } from '../credential/key.ts';
import type { Login } from '../credential/life.ts';
import type { SecretBytes } from '../credential/secret.ts';
import { DigestKey } from '../crypto/digest.ts';
import { KeyEncryptionKey, openEnvelope, rewrapEnvelope, sealEnvelope, UnwrappedEnvelope } from '../crypto/envelope.ts';
import type { Timeline } from '../platform/timeline.ts';
import { digestKeyBinding, keyBinding, leaseEntryFields, loginBinding, timelineFields } from './bindings.ts';
import type { LeaseEntry, SecretFields } from './cache.ts';
import { packSecrets, unpackSecrets } from './secret-fields.ts';

/** One key-encryption key and the digest key under it: seals, opens and authenticates what the cache keeps. */
export class Sealer {
  readonly kek: KeyEncryptionKey;
  /** The digest key as the database stores it. */
  readonly sealedDigestKey: Buffer;
  readonly #digestKey: DigestKey;
  /** By the very record that was sealed: whatever is put in its place has to be unwrapped first. */
  readonly #unwrapped = new WeakMap<Uint8Array, { readonly key: KeyVersion; readonly envelope: UnwrappedEnvelope }>();

  private constructor(kek: KeyEncryptionKey, digestKey: DigestKey, sealedDigestKey: Buffer) {
    this.kek = kek;
    this.#digestKey = digestKey;
    this.sealedDigestKey = sealedDigestKey;
  }

  /** With a new digest key: nothing that another sealer digested will be recognised. */
  static create(kek: KeyEncryptionKey): Sealer {
    const bytes = DigestKey.generateBytes();
    const sealed = sealEnvelope(kek, bytes, digestKeyBinding());
    return new Sealer(kek, new DigestKey(bytes), sealed);
  }

  static ephemeral(): Sealer {
    return Sealer.create(KeyEncryptionKey.ephemeral());
  }

  /** With the stored digest key; undefined if that does not authenticate. */
  static restore(kek: KeyEncryptionKey, sealedDigestKey: Buffer): Sealer | undefined {
    const opened = openEnvelope(kek, sealedDigestKey, digestKeyBinding());
    return opened && new Sealer(kek, new DigestKey(opened.bytes), sealedDigestKey);
  }

  /** The same digest key under another KEK, for a rotation. */
  rewrapped(to: KeyEncryptionKey): Sealer {
    const sealed = rewrapEnvelope(this.kek, to, this.sealedDigestKey);
    if (sealed === undefined) throw new TypeError('the digest key was sealed by another key');
    return new Sealer(to, this.#digestKey, sealed);
  }

  sealKey(key: KeyVersion, secrets: SecretFields): Buffer {
    const packed = packSecrets(secrets);
    try {
      return sealEnvelope(this.kek, packed, keyBinding(key));
    } finally {
      packed.fill(0);
    }
  }

  openKey(key: KeyVersion, sealed: Uint8Array): SecretFields | undefined {
    const packed = this.#unwrap(key, sealed)?.open();
    return packed && unpackSecrets(packed.bytes);
  }

  /** Keys are opened for every answer, so what is the same for all of them is done once. */
  #unwrap(key: KeyVersion, sealed: Uint8Array): UnwrappedEnvelope | undefined {
    const known = this.#unwrapped.get(sealed);
    if (known?.key === key) return known.envelope;
    const envelope = tolerant(() => UnwrappedEnvelope.unwrap(this.kek, sealed, keyBinding(key)));
    if (envelope !== undefined) this.#unwrapped.set(sealed, { key, envelope });
    return envelope;
  }

  sealLogin(provider: string, fingerprint: string, login: Login, token: SecretBytes): Buffer {
    return sealEnvelope(this.kek, token.bytes, loginBinding(provider, fingerprint, login));
  }

  openLogin(provider: string, fingerprint: string, login: Login, sealed: Uint8Array): SecretBytes | undefined {
    return tolerant(() => openEnvelope(this.kek, sealed, loginBinding(provider, fingerprint, login)));
  }

  digest(secrets: SecretFields): string {
    return this.#digestKey.ofSecret(secrets);
  }

  leaseMac(entry: LeaseEntry): Buffer {
    return this.#digestKey.ofRow('lease', leaseEntryFields(entry));
  }

  timelineMac(timeline: Timeline): Buffer {
    return this.#digestKey.ofRow('timeline', timelineFields(timeline));
  }
}

/** What a damaged database hands back may be of any type and have no encoding at all: that authenticates nothing. */
function tolerant<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch {
    return undefined;
  }
}
