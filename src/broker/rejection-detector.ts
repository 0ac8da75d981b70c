import type { KeyVersion } from '../credential/key.ts';
import { certainEnd, type KeyAndLogin } from '../credential/life.ts';
import {
  type ClientHistory,
  type Evidence,
  type JudgedAsk,
  type Judgement,
  judgeEarly,
  judgeExplained,
  judgeInTime,
  type RefusalReason,
  recordRefused,
  recordServed,
  suspicionOf,
  wantsNewLease,
} from '../credential/rejection.ts';
import { wasConfirmed } from '../credential/suspicion-reads.ts';
import { BrokerError } from '../errors.ts';
import type { Moment } from '../platform/clock.ts';
import type { Ask, BrokerPorts } from './api.ts';
import { ClientHistories } from './client-histories.ts';
import type { ManagedCredential } from './credentials.ts';
import type { EventLog } from './event-log.ts';
import { configuredName, recall } from './gate.ts';
import type { KeyChecks } from './key-checks.ts';
import type { Refresher } from './refresher.ts';
import { SuspicionReads } from './suspicion.ts';

/** Reading the provider and asking the API take no longer together. */
const READ_AND_CHECK_MS = 3_000;

/**
 * Rejection at work: puts the asks of clients before the judge of credential/rejection.ts, has the provider asked where a
 * suspicion is worth it, and remembers what each client was served.
 */
export class RejectionDetector {
  readonly #ports: BrokerPorts;
  readonly #events: EventLog;
  readonly #reads: SuspicionReads;
  readonly #checks: KeyChecks;
  readonly #clients: ClientHistories;

  constructor(ports: BrokerPorts, events: EventLog, refresher: Refresher, checks: KeyChecks) {
    this.#ports = ports;
    this.#events = events;
    this.#checks = checks;
    this.#reads = new SuspicionReads(ports, refresher);
    this.#clients = new ClientHistories(ports);
  }

  /**
   * @returns the moment as of which the ask may be answered by what freshness says.
   * @throws BrokerError ERR_KEY_REJECTED, or ERR_REFRESH_PENDING where nobody can say whether the key is still good.
   */
  async consider(credential: ManagedCredential, ask: Ask): Promise<Moment> {
    const { at } = ask;
    const { living } = credential;
    if (living === undefined || !mayBeSuspected(ask)) return at;
    const history = this.#clients.get(ask.client, credential.name, ask.format);
    const asked = judgedAsk(credential, living, ask, at);
    const suspicion = suspicionOf(history, asked);
    if (suspicion === 'none') {
      if (history.chain !== undefined) this.#enter(credential, ask, judgeInTime(history, asked), at);
      return at;
    }
    const byTime = ask.saysRejected ? suspicionOf(history, { ...asked, saysRejected: false }) : suspicion;
    const isEarly = byTime === 'early';
    if (isEarly && !ask.saysRejected) {
      if (ask.origin() === 'other') return at;
      if (ask.client !== undefined && this.#clients.isExplained(ask.client, history)) {
        this.#enter(credential, ask, judgeExplained(history, asked), at);
        this.#events.add('explained', credential.name, { client: ask.client.pid });
        return at;
      }
    }
    // What a caller only says is never held against a value.
    const strikable = isEarly && ask.client?.known?.mayBeRefused === true && ask.origin() === 'own';
    const mayIssue = suspicion === 'early' && wantsNewLease(history, { ...asked, strikable });
    const reading = this.#reads.begin(credential, mayIssue);
    // Most asks have nothing to wait for, and neither a promise nor a signal is made for them.
    if (reading !== undefined) await this.#reads.wait(reading, ask.signal);
    const { clock } = this.#ports;
    // Dropped by the provider's own answer: what follows is an ask with nothing to serve.
    if (credential.living === undefined || suspicion === 'stale') return clock.read();
    const check = this.#checks.isArmed(credential)
      ? await this.#checks.word(credential, at.nowMs + READ_AND_CHECK_MS, ask.signal)
      : undefined;
    const now = clock.read();
    const { living: livingNow } = credential;
    if (livingNow === undefined) return now;
    const askedNow = { ...judgedAsk(credential, livingNow, ask, now), strikable };
    const historyNow = this.#historyOf(credential, ask);
    const judgement = judgeEarly(historyNow, askedNow, {
      ...this.#evidence(credential, historyNow, askedNow),
      check,
    });
    this.#execute(credential, ask, judgement, now);
    return now;
  }

  /** An answer was written completely. */
  served(ask: Ask, key: KeyVersion, { nowMs, wallMs }: Moment): void {
    const { client, format } = ask;
    if (client === undefined || !ask.mayBeOwn || !mayBeSuspected(ask)) return;
    const history = this.#clients.get(client, key.credential, format);
    const isEarly = history.served !== undefined && nowMs - history.served.atMs < ask.intervalMs;
    if (isEarly && ask.origin() === 'other') return;
    const jwtExpiresAtMs = key.isJwt ? certainEnd({ key, login: undefined }) : undefined;
    const served = { digest: key.digest, jwtExpiresAtMs, atMs: nowMs, atWallMs: wallMs };
    this.#clients.set(client, key.credential, format, recordServed(history, served), nowMs);
  }

  /** The daemon stops. */
  saveClients(): void {
    this.#clients.save();
  }

  /** Values have other digests from now on: what clients were served cannot be told from what they are served next. */
  forgetClients(): void {
    this.#clients.clear();
  }

  #historyOf({ name }: ManagedCredential, { client, format }: Ask): ClientHistory {
    return this.#clients.get(client, name, format);
  }

  #evidence(credential: ManagedCredential, history: ClientHistory, asked: JudgedAsk): Evidence {
    return {
      provider: wasConfirmed(history, asked, this.#reads.budget(credential)) ? 'confirmed' : 'silent',
      pendingSinceMs: this.#reads.pendingSinceMs(credential),
      issuedBySuspicion: this.#reads.issuedBySuspicion(credential),
    };
  }

  #enter(credential: ManagedCredential, { client, format }: Ask, history: ClientHistory, { nowMs }: Moment): void {
    if (client !== undefined) this.#clients.set(client, credential.name, format, history, nowMs);
  }

  #execute(credential: ManagedCredential, ask: Ask, judgement: Judgement, at: Moment): void {
    const { chain: before } = this.#historyOf(credential, ask);
    const { chain } = judgement.history;
    this.#enter(credential, ask, judgement.history, at);
    const client = ask.client?.pid ?? 0;
    const { marked, answer, reason = 'confirmed' } = judgement;
    if (marked !== undefined && !credential.rejected.has(marked)) {
      credential.rejected.add(marked);
      this.#ports.cache.markRejected(credential.name, marked, at.nowMs);
      this.#events.add('rejected', credential.name, { fingerprint: marked.slice(0, 8), client });
    }
    // A chain of early asks is rare, and the daemon may be killed in the middle of it.
    if (chain !== before) this.#clients.save();
    const count = chain?.strikes ?? 0;
    if (count > (before?.strikes ?? 0)) this.#events.add('strike', credential.name, { client, count });
    if (answer === 'serve') return;
    this.#events.add('refused', credential.name, { client, reason });
    throw refusal(credential, reason, at.nowMs, () => {
      // The client counts its pauses from then.
      const now = this.#ports.clock.read();
      this.#enter(credential, ask, recordRefused(this.#historyOf(credential, ask), now.nowMs), now);
    });
  }
}

/** Any other program asks twice in five minutes for reasons of its own, which are to cost the provider nothing. */
function mayBeSuspected({ client, namesInterval, saysRejected }: Ask): boolean {
  return client?.known !== undefined || namesInterval || saysRejected;
}

function judgedAsk(
  { gate }: ManagedCredential,
  living: KeyAndLogin<KeyVersion>,
  { intervalMs, format, saysRejected }: Ask,
  { nowMs, wallMs }: Moment,
): JudgedAsk {
  const { digest, lease, isJwt, confirmedAtMs } = living.key;
  const jwtExpiresAtMs = isJwt ? certainEnd(living) : undefined;
  const key = { digest, leased: lease !== undefined, jwtExpiresAtMs, confirmedAtMs };
  const askingIsDear = gate.type === 'exec' || lease !== undefined;
  return { nowMs, wallMs, intervalMs, format, strikable: false, saysRejected, key, askingIsDear };
}

function refusal(
  credential: ManagedCredential,
  reason: RefusalReason,
  nowMs: number,
  onWritten: () => void,
): BrokerError {
  const { key, gate, name, spec } = credential;
  const which = key?.version === undefined ? `the key of "${name}"` : `version ${key.version} of "${name}"`;
  if (reason === 'no-verdict') {
    const message = `the client asks again for "${name}" as after a 401, and provider "${gate.name}" cannot say whether there is a newer key: ${whySilent(credential, nowMs)}`;
    const known = credential.lastFailure && recall(credential.lastFailure, name, nowMs).remedy;
    return new BrokerError('ERR_REFRESH_PENDING', message, {
      remedy: known ?? `ask it now: broker refresh ${name}`,
      onWritten,
    });
  }
  if (reason === 'accepted-by-api') {
    const message = `the API accepts ${which}, but refuses what the client asks for (often: the model, or the workspace)`;
    const remedy = `choose another model, or ask whoever issues the key at ${spec.place} to allow it this one`;
    return new BrokerError('ERR_KEY_REJECTED', message, { remedy, onWritten });
  }
  const others = reason === 'confirmed' ? `, and provider "${gate.name}" has no newer one` : ' in its own words';
  return new BrokerError('ERR_KEY_REJECTED', `the API rejects ${which}${others}`, {
    // The provider is asked no more than once a minute because of a suspicion: a person who has stored another need not wait.
    remedy: `ask whoever issues it to store a new key at ${spec.place} (then: broker refresh ${configuredName(name)}), or to allow this key the model you use`,
    onWritten,
  });
}

function whySilent(credential: ManagedCredential, nowMs: number): string {
  const known = credential.lastFailure;
  if (known !== undefined) return recall(known, credential.name, nowMs).message;
  if (credential.key?.lease !== undefined) return 'each time it is asked it issues another lease';
  return credential.flight === undefined ? 'it was asked and did not answer' : 'it has not answered yet';
}
