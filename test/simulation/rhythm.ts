import type { BrokerEvent } from '../../src/protocol/reports.ts';
import type { CredentialSketch } from '../fakes/harness.ts';
import { MINUTE, SECOND } from '../fakes/living.ts';
import { BrokenInvariant } from './invariants.ts';

/** Events are told up to a second after they happened, and a call takes some milliseconds in fair weather. */
const SLACK_MS = 2 * SECOND;
const SUSPICION_GAP_MS = 10 * SECOND;

/** How often the broker asks for what reasons, by its own account: stamped with steady time as the events come in. */
export class Rhythm {
  readonly #credentials: ReadonlyMap<string, CredentialSketch>;
  readonly #refreshedAtMs = new Map<string, number>();
  readonly #suspectedAtMs = new Map<string, number>();

  constructor(credentials: readonly CredentialSketch[]) {
    this.#credentials = new Map(credentials.map((credential) => [credential.name, credential]));
  }

  /** @param isFair the provider has answered promptly for a minute. */
  judge(event: BrokerEvent, nowMs: number, isFair: (provider: string) => boolean): void {
    const credential = this.#credentials.get(event.credential ?? '');
    if (credential === undefined || !['refreshed', 'confirmed', 'refresh-failed'].includes(event.kind)) return;
    const reason = event.detail['reason'];
    if (reason === 'rejection') this.#judgeSuspicion(credential, nowMs, isFair(credential.provider ?? ''));
    if (event.kind === 'refresh-failed') {
      // It may have cost the credential its key, and then the next one is not ahead of anything.
      this.#refreshedAtMs.delete(credential.name);
      return;
    }
    const isPrompt = isFair(credential.provider ?? '');
    if (reason === 'ahead' && isPrompt) this.#judgeAhead(credential, nowMs);
    // Life runs from the start of the request, which is known only if it was answered promptly.
    if (isPrompt) this.#refreshedAtMs.set(credential.name, nowMs);
    else this.#refreshedAtMs.delete(credential.name);
  }

  /** A new process knows nothing of the suspicions of the last one, and of its reads what reached the disk. */
  restart(): void {
    this.#refreshedAtMs.clear();
    this.#suspectedAtMs.clear();
  }

  /** What reads along with another takes part in that one's suspicions. */
  #judgeSuspicion({ name, path }: CredentialSketch, nowMs: number, isFair: boolean): void {
    if (path !== name) return;
    const sinceMs = nowMs - (this.#suspectedAtMs.get(name) ?? Number.NEGATIVE_INFINITY);
    this.#suspectedAtMs.set(name, nowMs);
    if (!isFair || sinceMs >= SUSPICION_GAP_MS - SLACK_MS) return;
    throw new BrokenInvariant('a suspicion asks at most every ten seconds', `${name} again after ${sinceMs} ms`);
  }

  /** Never before half of life. Left out is what is read along with another's, and leases, whose life is also their login's. */
  #judgeAhead({ name, path, engine, ttlMs = 15 * MINUTE }: CredentialSketch, nowMs: number): void {
    const formerMs = this.#refreshedAtMs.get(name);
    if (formerMs === undefined || path !== name || engine.kind === 'leased') return;
    const life = engine.kind === 'static' ? Math.min(ttlMs, engine.ttlHintMs ?? ttlMs) : engine.lastsMs;
    // What its issuer replaces at half its life may be read with half of it left.
    const leastMs = engine.kind === 'jwt' || engine.kind === 'expires-at' ? life / 4 : life / 2;
    if (nowMs - formerMs >= leastMs - SLACK_MS) return;
    throw new BrokenInvariant('no refresh ahead before half of life', `${name} after ${nowMs - formerMs} ms`);
  }
}
