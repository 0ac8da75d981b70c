import type { KeyVersion } from '../credential/key.ts';
import { SecretBytes } from '../credential/secret.ts';
import { DigestKey, lengthPrefixed } from '../crypto/digest.ts';
import { KeyEncryptionKey, openEnvelope, rewrapEnvelope, sealEnvelope, UnwrappedEnvelope } from '../crypto/envelope.ts';
import type { SecretFields } from './cache.ts';
import { idOf, type Kind, type RecordFacts, type Row, type Stored } from './records.ts';

/**
 * Version of what a seal is bound to. Change the binding or what a fact means, and raise it: every stored record then
 * stops authenticating, which is better than being misread. It is not the database's user_version, which counts changes
 * of tables as well.
 */
const RECORD_SCHEMA = 'broker/record/3';
const DIGEST_KEY = 'digest-key';
const NOTHING = Buffer.alloc(0);

/** One key-encryption key and the digest key under it: seals, opens and authenticates what the cache keeps. */
export class Sealer {
  readonly kek: KeyEncryptionKey;
  /** The digest key as the database stores it. */
  readonly digestKeyRow: Row;
  readonly digestKey: DigestKey;
  /** By the very row that was sealed: whatever is put in its place has to be unwrapped first. */
  readonly #unwrapped = new WeakMap<Row, UnwrappedEnvelope>();

  private constructor(kek: KeyEncryptionKey, digestKey: DigestKey, digestKeyRow: Row) {
    this.kek = kek;
    this.digestKey = digestKey;
    this.digestKeyRow = digestKeyRow;
  }

  /** With a new digest key: nothing that another sealer digested will be recognised. */
  static create(kek: KeyEncryptionKey): Sealer {
    const bytes = DigestKey.generateBytes();
    const row = sealRow(kek, DIGEST_KEY, '', '{}', bytes);
    return new Sealer(kek, new DigestKey(bytes), row);
  }

  static ephemeral(): Sealer {
    return Sealer.create(KeyEncryptionKey.ephemeral());
  }

  /** With the stored digest key; undefined if that does not authenticate. */
  static restore(kek: KeyEncryptionKey, row: Row): Sealer | undefined {
    const opened = row.kind === DIGEST_KEY ? openRow(kek, row) : undefined;
    return opened && new Sealer(kek, new DigestKey(opened.bytes), row);
  }

  /** The same digest key under another KEK: what this one digested is recognised. */
  under(kek: KeyEncryptionKey): Sealer {
    return new Sealer(kek, this.digestKey, this.rewrap(this.digestKeyRow, kek));
  }

  /** The caller wipes `secret`. */
  seal<K extends Kind>(kind: K, facts: RecordFacts[K], secret: Uint8Array = NOTHING): Stored<K> {
    const { shown, origin } = withoutOrigin(kind, facts);
    const plain = lengthPrefixed(origin, secret);
    try {
      return { facts, row: sealRow(this.kek, kind, idOf(kind, facts), JSON.stringify(shown), plain) };
    } finally {
      plain.fill(0);
    }
  }

  /** Facts and secret of a row, which the caller wipes. Undefined if the row is not exactly as it was sealed. */
  open(row: Row): { readonly facts: unknown; readonly secret: SecretBytes } | undefined {
    const plain = openRow(this.kek, row);
    if (plain === undefined) return undefined;
    const [origin = NOTHING, secret = NOTHING] = partsOf(plain.bytes);
    return { facts: withOrigin(row, origin.toString('utf8')), secret: SecretBytes.from(secret) };
  }

  sealKey(key: KeyVersion, secrets: SecretFields): Stored<'key'> {
    const packed = packSecrets(secrets);
    try {
      return this.seal('key', key, packed);
    } finally {
      packed.fill(0);
    }
  }

  /** Keys are opened for every answer, so what is the same for all of them is done once. */
  openKey(row: Row): SecretFields | undefined {
    let envelope = this.#unwrapped.get(row);
    if (envelope === undefined) {
      envelope = tolerant(() => UnwrappedEnvelope.unwrap(this.kek, row.sealed, bindingOf(row)));
      if (envelope === undefined) return undefined;
      this.#unwrapped.set(row, envelope);
    }
    const plain = envelope.open();
    if (plain === undefined) return undefined;
    const [, packed = NOTHING] = partsOf(plain.bytes);
    const parts = partsOf(packed);
    // The values are views, not copies: wiping each of them wipes every secret byte.
    const secrets = new Map<string, SecretBytes>();
    for (let at = 0; at + 1 < parts.length; at += 2) {
      const [name = NOTHING, value = NOTHING] = parts.slice(at, at + 2);
      secrets.set(name.toString('utf8'), SecretBytes.from(value));
    }
    return secrets;
  }

  /** @throws TypeError if it was sealed by another key. */
  rewrap(row: Row, to: KeyEncryptionKey): Row {
    const sealed = rewrapEnvelope(this.kek, to, row.sealed);
    if (sealed === undefined) throw new TypeError('a record was sealed by another key');
    return { ...row, sealed };
  }
}

/** Everything else in the row, as it is stored: whose it is and everything that gives it life. */
function bindingOf({ kind, id, facts }: Omit<Row, 'sealed'>): Buffer {
  return lengthPrefixed(RECORD_SCHEMA, kind, id, facts);
}

function sealRow(kek: KeyEncryptionKey, kind: string, id: string, facts: string, secret: Uint8Array): Row {
  return { kind, id, facts, sealed: sealEnvelope(kek, secret, bindingOf({ kind, id, facts })) };
}

function openRow(kek: KeyEncryptionKey, row: Row): SecretBytes | undefined {
  return tolerant(() => openEnvelope(kek, row.sealed, bindingOf(row)));
}

/** What a damaged database hands back may be of any type: that authenticates nothing. */
function tolerant<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch {
    return undefined;
  }
}

/** The plaintext of a sealed key: name and value of each field, each with its length. The caller wipes. */
function packSecrets(secrets: SecretFields): Buffer {
  const parts: (string | Uint8Array)[] = [];
  for (const [name, secret] of secrets) parts.push(name, secret.bytes);
  return lengthPrefixed(...parts);
}

/** What `lengthPrefixed` was given, as views. */
function partsOf(packed: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < packed.length; ) {
    const start = at + 4;
    at = start + packed.readUInt32BE(at);
    parts.push(packed.subarray(start, at));
  }
  return parts;
}

/**
 * Which configuration a key, a login or an armed check comes from is a digest of all of that, passwords in it included. In the clear it would
 * allow to try guesses, so it is sealed with the secret.
 */
const ORIGINS: Readonly<Partial<Record<string, string>>> = {
  key: 'sourceFingerprint',
  login: 'fingerprint',
  check: 'fingerprint',
} satisfies Partial<Record<Kind, string>>;

function withoutOrigin(kind: Kind, facts: object): { readonly shown: object; readonly origin: string } {
  const name = ORIGINS[kind];
  if (name === undefined) return { shown: facts, origin: '' };
  const { [name]: origin, ...shown } = facts as Record<string, unknown>;
  return { shown, origin: String(origin) };
}

function withOrigin({ kind, facts }: Row, origin: string): unknown {
  const known = JSON.parse(facts) as object;
  const name = ORIGINS[kind];
  return name === undefined ? known : { ...known, [name]: origin };
}
