import type { FailureRecord } from '../credential/back-off.ts';
import type { Login } from '../credential/life.ts';
import type { SecretBytes } from '../credential/secret.ts';
import { BrokerError, type FailureConcern, ProviderError } from '../errors.ts';
import type { BrokerPorts } from './api.ts';
import type { CredentialSet, ManagedCredential } from './credentials.ts';
import type { EventLog } from './event-log.ts';
import type { ProviderGate } from './gate.ts';
import { type Refresher, SPREAD_MS } from './refresher.ts';
import type { Sessions } from './sessions.ts';

/** A single failure is not an outage: the failed credential keeps its own hold-off. */
const OUTAGE_FAILURES = 2;

interface LoginsDeps {
  readonly credentials: CredentialSet;
  readonly sessions: Sessions;
  readonly events: EventLog;
  readonly refresher: Refresher;
}

/** What credentials share with their provider: a login that a person makes, ends or changes, and failures that it has left behind. */
export class Logins {
  readonly #ports: BrokerPorts;
  readonly #deps: LoginsDeps;

  constructor(ports: BrokerPorts, deps: LoginsDeps) {
    this.#ports = ports;
    this.#deps = deps;
  }

  /**
   * A person has logged in to this provider: its credentials are tried again at once. The caller wipes the token.
   * @throws BrokerError ERR_USAGE if there is no such provider or it logs in automatically; what the provider says to the token.
   */
  async take(provider: string, token: SecretBytes): Promise<Login> {
    const gate = this.#find(provider);
    const login = await gate.call(async (port, call) => {
      if (port.takeLogin === undefined) throw takesNoLogin(provider);
      return port.takeLogin(token, call).catch((fault: unknown) => {
        // A token that the provider refuses says nothing about the present login, so the gate must not remember it.
        if (!(fault instanceof ProviderError)) throw fault;
        throw new BrokerError(fault.code, fault.message, fault.remedy === undefined ? {} : { remedy: fault.remedy });
      });
    }, 'person');
    this.#forgive(gate);
    this.#deps.events.add('logged-in', undefined, { provider });
    return login;
  }

  /**
   * A person logs out of this provider: what was read with their login is dropped with it.
   * @throws BrokerError ERR_USAGE if there is no such provider or it logs in automatically.
   */
  async drop(provider: string): Promise<void> {
    const { credentials, sessions, refresher, events } = this.#deps;
    const gate = this.#find(provider);
    await gate.call(async (port, call) => {
      if (port.dropLogin === undefined) throw takesNoLogin(provider);
      await port.dropLogin(call);
    }, 'person');
    for (const credential of credentials) {
      if (credential.gate !== gate) continue;
      refresher.drop(credential);
      sessions.endAll(credential.name);
    }
    events.add('logged-out', undefined, { provider });
  }

  /** If what a login is made from has changed, failures with the former one are forgiven. */
  noticeChange(gate: ProviderGate): void {
    if (gate.noticeChangedLogin()) this.#forgive(gate);
  }

  /** What the credentials of a provider share works again. */
  recovered(gate: ProviderGate, { kind, failures }: FailureRecord, concerns: FailureConcern): void {
    if (kind === 'transient' && failures < OUTAGE_FAILURES) return;
    this.#forgive(
      gate,
      ({ failure }) => failure?.error instanceof ProviderError && failure.error.concerns === concerns,
    );
  }

  /** Their failures were their provider's: they try again, but not all at the same moment. */
  #forgive(gate: ProviderGate, concerned: (credential: ManagedCredential) => boolean = () => true): void {
    const { clock, random } = this.#ports;
    const { credentials, sessions, refresher } = this.#deps;
    for (const credential of [...credentials, ...sessions]) {
      if (credential.gate !== gate || credential.failure === undefined || !concerned(credential)) continue;
      credential.failure = undefined;
      refresher.schedule(credential, clock.now() + random() * SPREAD_MS);
    }
    for (const borrower of credentials.borrowersOf(gate)) this.noticeChange(borrower);
  }

  #find(name: string): ProviderGate {
    const { credentials } = this.#deps;
    const gate = credentials.gate(name);
    if (gate !== undefined) return gate;
    throw new BrokerError('ERR_USAGE', `there is no provider "${name}"`, {
      remedy: `name one of: ${[...credentials.gates()].map((each) => each.name).join(', ')}`,
    });
  }
}

function takesNoLogin(name: string): BrokerError {
  return new BrokerError('ERR_USAGE', `provider "${name}" takes no login through the broker`, {
    remedy: 'log in with the tools of that secret system; the broker takes it up at once',
  });
}
