import { SecretBytes } from '../../credential/secret.ts';
import { type FailureConcern, type FailureKind, ProviderError } from '../../errors.ts';
import { type AskKeyring, describeTrouble, type KeyringTrouble, keyringName, trouble } from '../../platform/keyring.ts';
import { keyringOf } from '../../platform/keyring-child.ts';
import { CallScope } from '../call-scope.ts';
import type { Call, IssuedSecret, IssueRequest, Provider, ProviderHost } from '../provider.ts';
import { ITEMS_SERVICE, type KeychainSource } from './options.ts';

/** The keyring itself is given three seconds for a question; some may stand in line before it. */
const LIMIT_MS = 15_000;

/** Values that a person has put into the keyring of the operating system. It is never asked to be unlocked. */
export class KeychainProvider implements Provider {
  readonly callLimitMs = LIMIT_MS;
  readonly #host: ProviderHost;
  readonly #calls: CallScope;
  readonly #ask: AskKeyring;
  #last: Promise<unknown> = Promise.resolve();

  constructor(host: ProviderHost) {
    this.#host = host;
    this.#calls = new CallScope(host.name);
    this.#ask =
      keyringOf({ env: host.env, platform: process.platform, clock: host.clock }) ?? (async () => trouble('no-bus'));
  }

  async issue(request: IssueRequest, call: Call): Promise<IssuedSecret> {
    const { item } = request.source as KeychainSource;
    const limit = { clock: this.#host.clock, limitMs: LIMIT_MS, late: () => troubleFailure(trouble('silent')) };
    const question = { action: 'read', service: ITEMS_SERVICE, account: item, mayStart: true } as const;
    const reply = await this.#calls.run(call, limit, (signal) => this.#inTurn(signal, () => this.#ask(question)));
    if (reply.outcome === 'trouble') throw troubleFailure(reply);
    if (reply.outcome !== 'found') throw noSuchItem(item);
    return {
      content: { kind: 'text', text: SecretBytes.fromString(reply.secret) },
      version: undefined,
      lease: undefined,
      ttlHintMs: undefined,
      expiresAtServerMs: undefined,
      serverTimeMs: undefined,
    };
  }

  /** Each question starts four processes: many at once, as after a wake, would all be too late on a small machine. */
  #inTurn<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => {
      signal.throwIfAborted();
      return work();
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  loginInputs(): readonly string[] {
    return [];
  }

  forgetLogin(): void {
    // Nothing is remembered: every read asks the keyring.
  }

  close(): void {
    this.#calls.close();
  }
}

function noSuchItem(item: string): ProviderError {
  const message = `the ${keyringName(process.platform)} is open, and has no item "${item}" of the broker's`;
  return new ProviderError('gone', message, { remedy: 'store a value for this credential: broker set NAME' });
}

/** What may put a dialogue before a person is not asked again unasked. */
function troubleFailure(found: KeyringTrouble): ProviderError {
  const { reason, remedy, mayHavePrompted } = describeTrouble(keyringName(process.platform), found);
  let kind: FailureKind = mayHavePrompted ? 'login-expired' : 'transient';
  if (found.why === 'no-busctl') kind = 'misconfigured';
  const concerns: FailureConcern = found.why === 'locked' ? 'login' : 'address';
  return new ProviderError(kind, reason, { remedy: remedy.charAt(0).toLowerCase() + remedy.slice(1), concerns });
}
