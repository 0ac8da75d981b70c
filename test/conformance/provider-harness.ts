import type { FailureKind } from '../../src/errors.ts';
import type { Log } from '../../src/platform/log.ts';
import type { LoginStore, Provider } from '../../src/providers/provider.ts';

/** What may be stored: a text that is the key, or an object to be walked with `field`. */
export type StoredContent = string | Readonly<Record<string, unknown>>;

/**
 * The real thing behind a provider (a server, a command), as the conformance suite plays with it. It is started once
 * per suite; every test uses names of its own. Whatever the harness makes up itself that is secret (tokens, passwords,
 * access keys) contains `canary`, and so do the answers to its faults wherever a real server could echo something.
 */
export interface ProviderHarness {
  readonly capabilities: Capabilities;
  start(canary: string): Promise<void>;
  stop(): Promise<void>;

  /** A new provider with a good login, configured under the name `under-test`. */
  connect(parts: ConnectParts): Promise<Provider>;

  /** Stores a secret under a name that was not used before; returns the credential's source as its schema parses it. */
  store(name: string, content: StoredContent): Promise<unknown>;
  /** Replaces what is stored: the same source reads the new content. */
  rotate(name: string, content: StoredContent): Promise<void>;
  /** Deletes it: reading it is now `capabilities.missing`. */
  remove(name: string): Promise<void>;

  /** What this harness can make go wrong for every request until `clear()`. */
  readonly faults: Readonly<Partial<Record<Fault, () => Promise<InjectedFault>>>>;

  /** Present if the login can be broken and fixed through the provider's loginInputs. */
  readonly loginChange?: {
    spoil(): Promise<void>;
    fix(): Promise<void>;
  };

  /** Present if and only if `capabilities.leases`. */
  readonly leased?: LeasedHarness;
}

export interface ConnectParts {
  readonly log: Log;
  readonly logins: LoginStore;
}

export interface Capabilities {
  readonly contents: readonly ('text' | 'json')[];
  /**
   * The thing behind makes its secrets itself: `store` only says where they are had, and nothing is rotated or removed.
   * `contents` is empty then.
   */
  readonly issues?: boolean;
  /** An answer carries a version, and another one after a rotation. */
  readonly versions: boolean;
  /** An answer carries the provider's own time. */
  readonly serverTime: boolean;
  /** The kind of failure for a secret that does not exist. */
  readonly missing: FailureKind;
  readonly leases: boolean;
  /** Leases depend on logins, which are kept in the LoginStore. */
  readonly logins: boolean;
}

export interface LeasedHarness {
  /** A source of which every read issues a new lease, renewable, of at least a minute. */
  source(): Promise<unknown>;
  /** Whether the server itself still holds the lease. */
  isLive(leaseId: string): Promise<boolean>;
  /** The server forgets every login that it granted (and the leases that depend on them). */
  dropLogins?(): Promise<void>;
}

/**
 * unavailable: up but unable (503) · throttled: asked too often, with Retry-After of 7 s if there is such a thing ·
 * denied: a live login without the permission · misconfigured: an answer that only a changed configuration can fix ·
 * login-expired: the login is over and no new one can be had · html: a proxy's page behind a 502 · refused: nobody listens ·
 * reset: cut before any answer · cut-off: cut in mid-answer · oversized: an answer that never ends · hang: no answer
 * at all · slow-drip: a byte now and then, without an end.
 */
export type Fault =
  | 'unavailable'
  | 'throttled'
  | 'denied'
  | 'misconfigured'
  | 'login-expired'
  | 'html'
  | 'refused'
  | 'reset'
  | 'cut-off'
  | 'oversized'
  | 'hang'
  | 'slow-drip';

export interface InjectedFault {
  /** Resolves when a request has run into it. */
  readonly reached: Promise<void>;
  clear(): Promise<void>;
}
