import { randomInt } from 'node:crypto';
import { VALUE } from '../cache/cache.ts';
import { SecretBytes, wipeAll } from '../credential/secret.ts';
import { BrokerError } from '../errors.ts';
import { waitUntil } from '../platform/waiting.ts';
import type { CheckReport } from '../protocol/reports.ts';
import type { CheckAnswer } from '../providers/api-check.ts';
import type { BrokerPorts } from './api.ts';
import type { CredentialCheck, ManagedCredential } from './credentials.ts';

/** One value is asked about so often at most; after a rejection twice as long each time. */
const GAP_MS = 10_000;
const LONGEST_GAP_MS = 120_000;
const REJECTION_LASTS_MS = 60_000;

/** What the API said of one value, for one check of one source. */
interface Word {
  readonly digest: string;
  readonly fingerprint: string;
  readonly word: CheckAnswer['word'];
  readonly atMs: number;
  readonly gapMs: number;
}

interface Asking {
  readonly digest: string;
  readonly fingerprint: string;
  readonly done: Promise<void>;
  readonly controller: AbortController;
}

/**
 * The API's own word on a key, where a check is configured. It is believed only if the check is armed: it has accepted a
 * served key and refused a made-up one. A rejection is of one value, ends after a minute, and is nowhere written down.
 */
export class KeyChecks {
  readonly #ports: BrokerPorts;
  readonly #words = new WeakMap<ManagedCredential, Word>();
  readonly #asking = new WeakMap<ManagedCredential, Asking>();

  constructor(ports: BrokerPorts) {
    this.#ports = ports;
  }

  isArmed({ name, spec }: ManagedCredential): boolean {
    const { check } = spec;
    return check !== undefined && this.#ports.cache.armedCheck(name)?.fingerprint === check.fingerprint;
  }

  /**
   * Asks about the present key, unless that was done just now, and waits for the answer until `untilMs`. Only for a check
   * that is armed.
   * @returns undefined: no verdict.
   */
  async word(
    credential: ManagedCredential,
    untilMs: number,
    signal: AbortSignal,
  ): Promise<'good' | 'rejected' | undefined> {
    const asking = this.#present(credential, this.#asking.get(credential)) ?? this.#ask(credential);
    if (asking !== undefined) await waitUntil(this.#ports.clock, asking.done, untilMs, signal);
    const known = this.#present(credential, this.#words.get(credential));
    if (known === undefined || known.word === 'none') return undefined;
    const lastsMs = known.word === 'rejected' ? REJECTION_LASTS_MS : GAP_MS;
    return this.#ports.clock.now() - known.atMs < lastsMs ? known.word : undefined;
  }

  /** A person has the provider asked: what the API said before counts no more, nor what it is just about to say. */
  forget(credential: ManagedCredential): void {
    this.#asking.get(credential)?.controller.abort();
    this.#asking.delete(credential);
    this.#words.delete(credential);
  }

  /** Asks about the key in hand and about one that was made up like it. @throws BrokerError there is no check, or no key. */
  async arm(credential: ManagedCredential): Promise<CheckReport> {
    const { name, spec } = credential;
    const { check } = spec;
    if (check === undefined) {
      throw new BrokerError('ERR_CONFIG', `"${name}" has no check`, {
        remedy: `add [credentials.${name}.check] with url = "…" to the configuration: broker help configuration`,
      });
    }
    const { signal } = new AbortController();
    const { madeUpLike } = await import('../providers/api-check.ts');
    using key = this.#openKey(credential);
    const own = await check.ask(key, signal);
    using other = SecretBytes.from(Buffer.from(madeUpLike(key.bytes, randomInt)));
    const madeUp = own.word === 'good' ? await check.ask(other, signal) : null;
    const isArmed = own.word === 'good' && madeUp?.word === 'rejected';
    if (isArmed && !credential.isRetired && credential.spec.check?.fingerprint === check.fingerprint) {
      this.#ports.cache.saveArmedCheck({ credential: name, fingerprint: check.fingerprint });
    }
    return { name, url: check.url, ...own, madeUp, armed: this.isArmed(credential) };
  }

  #openKey({ name }: ManagedCredential): SecretBytes {
    const secrets = this.#ports.cache.open(name);
    const value = secrets?.get(VALUE);
    if (secrets === undefined || value === undefined) {
      if (secrets !== undefined) wipeAll(secrets);
      throw new BrokerError('ERR_NO_FIT_KEY', `there is no key of "${name}" to ask about`, {
        remedy: `fetch it first: broker refresh ${name}`,
      });
    }
    return value;
  }

  /** What is known or asked of another value, check or source says nothing of this one. */
  #present<T extends { readonly digest: string; readonly fingerprint: string }>(
    { key, spec }: ManagedCredential,
    what: T | undefined,
  ): T | undefined {
    return what?.digest === key?.digest && what?.fingerprint === spec.check?.fingerprint ? what : undefined;
  }

  /** undefined: it was asked just now. */
  #ask(credential: ManagedCredential): Asking | undefined {
    const { key, spec } = credential;
    const { check } = spec;
    const known = this.#present(credential, this.#words.get(credential));
    const nowMs = this.#ports.clock.now();
    if (key === undefined || check === undefined || (known !== undefined && nowMs - known.atMs < known.gapMs)) {
      return undefined;
    }
    this.#asking.get(credential)?.controller.abort();
    const controller = new AbortController();
    const { fingerprint } = check;
    const done = this.#learn(credential, check, key.digest, controller.signal).finally(() => {
      if (this.#asking.get(credential) === asking) this.#asking.delete(credential);
    });
    const asking: Asking = { digest: key.digest, fingerprint, done, controller };
    this.#asking.set(credential, asking);
    return asking;
  }

  async #learn(
    credential: ManagedCredential,
    check: CredentialCheck,
    digest: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock } = this.#ports;
    try {
      using key = this.#openKey(credential);
      const { word } = await check.ask(key, signal);
      const before = this.#words.get(credential);
      const isRow = word === 'rejected' && before?.word === 'rejected' && before.digest === digest;
      const gapMs = isRow ? Math.min(before.gapMs * 2, LONGEST_GAP_MS) : GAP_MS;
      this.#words.set(credential, { digest, fingerprint: check.fingerprint, word, atMs: clock.now(), gapMs });
    } catch {
      // Cancelled, or there is no such key any more: no verdict.
    }
  }
}
