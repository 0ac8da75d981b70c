import type { ProviderSchemas } from '../config/schema.ts';
import type { Lease, Login } from '../credential/life.ts';
import type { SecretBytes } from '../credential/secret.ts';
import { ProviderError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import type { LoginAttempts } from './login-attempts.ts';

/** Connections stay open this long between requests: a burst shares one handshake, an idle daemon holds none. */
export const IDLE_SOCKET_MS = 10_000;

/**
 * The port that every secret system is plugged in through. An implementation is one folder; it does no retries, no
 * caching of secrets and no scheduling of its own: the broker decides when to call, the provider only answers or
 * throws a ProviderError (src/errors.ts) whose kind says what the broker may do next, and whose `concerns` says for whom: only
 * what concerns a login or an address is held against other secrets, and its message names no secret. Every call honours
 * `call.signal` promptly, whatever the library underneath does, and rejects with the signal's reason.
 */
export interface Provider {
  /**
   * How long one call may take at most, login and stopping included, in milliseconds. The provider ends its calls by then
   * and says what was slow; the broker only cuts off what is still under way after that.
   */
  readonly callLimitMs: number;

  /** Reads or issues the secret that `request.source` names. */
  issue(request: IssueRequest, call: Call): Promise<IssuedSecret>;

  /** Extends a lease; absent where there are no leases. Throws kind `gone` if the lease no longer exists. */
  renew?(lease: Lease, call: Call): Promise<RenewedLease>;

  /** Ends a lease; absent where there are no leases. Resolves if it is gone already. */
  revoke?(lease: Lease, call: Call): Promise<void>;

  /** The login that `loginId` names as it is now; undefined if the provider no longer knows it. */
  login?(loginId: string): Login | undefined;

  /** Extends a login that leases depend on. Throws kind `gone` if it no longer exists. */
  renewLogin?(loginId: string, call: Call): Promise<Login>;

  /**
   * A person has logged in (`broker login`): their token is used from now on and kept like a login of the provider's
   * own. Copies the token; the caller wipes it. Absent where a person cannot log in. Throws a BrokerError ERR_USAGE if
   * this configuration logs in automatically, kind `login-expired` if the token is not (or no longer) good.
   */
  takeLogin?(token: SecretBytes, call: Call): Promise<Login>;

  /**
   * The person logs out (`broker logout`): what they logged in with is revoked as far as the server can, and forgotten. Resolves if
   * nobody is logged in. Absent where a person cannot log in. Throws a BrokerError ERR_USAGE if this configuration logs in automatically.
   */
  dropLogin?(call: Call): Promise<void>;

  /**
   * No lease depends on this login any more: forget it and, if the provider's own login made it, revoke it. A login
   * that is still in use for new reads is left alone.
   */
  retireLogin?(loginId: string, call: Call): Promise<void>;

  /**
   * Files and variables whose change may fix a failed login (token file, secret-id file, CA file, ~/.aws/config …).
   * Compared by stat and value by the broker on an ask that would fail.
   */
  loginInputs(): readonly string[];

  /** A login input changed: forget memoized logins, SDK clients and cached files, so that the next call starts from nothing. */
  forgetLogin(): void;

  /** Waits for nothing; aborts what is under way. */
  close(): void;
}

export interface Call {
  readonly signal: AbortSignal;
}

export interface IssueRequest {
  /** The credential's own options, already parsed by the definition's credential schema. */
  readonly source: unknown;
  /** The key should live at least this long; a provider with logins takes a new login if the present one would not. */
  readonly wantedLifeMs: number;
  /** The answer to the last such request was a plain secret, without a lease: to ask twice issues nothing. Default: not known. */
  readonly wasPlain?: boolean;
}

export interface IssuedSecret {
  /** What was read. A structured secret is walked with `field`; a text secret is the key itself. */
  readonly content: SecretContent;
  readonly version: string | undefined;
  readonly lease: IssuedLease | undefined;
  /** A hint (KV v1's lease_duration without a lease_id): at most this long between two reads. No expiry. */
  readonly ttlHintMs: number | undefined;
  /** A moment by the provider's own clock at which the secret dies for certain (KV v2's deletion_time). */
  readonly expiresAtServerMs: number | undefined;
  /** The provider's clock when it answered (Date header), for correcting absolute times. */
  readonly serverTimeMs: number | undefined;
}

/** `text` is wiped by the broker after use; `json` holds strings that cannot be wiped and is dropped at once. */
export type SecretContent =
  | { readonly kind: 'text'; readonly text: SecretBytes }
  | { readonly kind: 'json'; readonly json: Readonly<Record<string, unknown>> };

export interface IssuedLease {
  readonly id: string;
  readonly durationMs: number;
  readonly renewable: boolean;
  /** From issue to the last possible expiry; undefined where the provider does not say. */
  readonly maxDurationMs: number | undefined;
  readonly loginId: string | undefined;
}

export interface RenewedLease {
  readonly durationMs: number;
  readonly renewable: boolean;
  readonly serverTimeMs: number | undefined;
}

/**
 * What a provider registers: its name, its schemas, and how to load it. Importing a definition must stay cheap (zod
 * and nothing else), because every start imports all of them; the SDK behind it is imported by `load`, on first use.
 */
export interface ProviderDefinition<Options = unknown, Source = unknown> extends ProviderSchemas<Options, Source> {
  /** One line for `--help` and docs. */
  readonly summary: string;
  /**
   * Identifies the secret that a source names, within one provider: credentials with the same identity share one read.
   * Only what changes the answer belongs in it.
   */
  identify(source: Source): string;
  /** The source with these words put in, where it asks for them. Absent: it never does. */
  withWords?(source: Source, words: SessionWords): Source;
  /** Where the secret is, for messages to people: a path, a name. */
  describe(source: Source): string;
  /** Whose account it logs in with, if wrong logins lock that: they are counted by it. Without secrets. */
  account?(options: Options): string | undefined;
  /** Logins that only a person can make, for `broker login`; absent where there are none. */
  readonly interactive?: {
    /** Whether this configuration needs one. */
    isNeeded(options: Options): boolean;
    load(): Promise<InteractiveLogin<Options>>;
  };
  load(): Promise<(options: Options, host: ProviderHost) => Provider>;
}

/** What a provider may be told of the process that a secret is read for, and nothing else: its audit then tells sessions apart. */
export interface SessionWords {
  /** Its pid; `shared`: of no single process. */
  readonly client: string;
  /** Pid and start time; `shared`. */
  readonly session: string;
}

/** What the daemon hands to a provider. */
export interface ProviderHost {
  /** The configured name, for messages. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly logins: LoginStore;
  /** The keys of those credentials that the definition's `borrows` names. */
  readonly credentials: CredentialLender;
  /** The daemon's environment; providers never read process.env themselves. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  /** A private folder that outlives the process, for what its death must not interrupt. Absent: there is none. */
  readonly stateDir?: string;
}

/** Keys of other credentials for a provider's own login. Whose they are and how they are had is the broker's business. */
export interface CredentialLender {
  /**
   * The key of a credential, fit for one login made now; the caller wipes it.
   *
   * @param refused the version of one that was just used and not accepted: its provider is asked whether there is another.
   * @throws ProviderError that concerns the login and names both, if there is none.
   */
  lend(credential: string, call: Call, refused?: string): Promise<LentKey>;
}

/** Where there is no broker, and so nobody to ask. */
export const lendsNothing: CredentialLender = {
  lend: async (credential) => {
    throw new ProviderError('misconfigured', `only the daemon can use the key of the credential "${credential}"`, {
      remedy: 'let the daemon do it: broker refresh',
      concerns: 'login',
    });
  },
};

export interface LentKey {
  readonly secret: SecretBytes;
  /** Another one for every other value, and nothing secret. */
  readonly version: string;
}

/** What a login asks of the person who makes it. The terminal behind it is the CLI's. */
export interface LoginDialogue {
  say(text: string): void;
  /** Nothing is echoed; the caller wipes the answer. @throws BrokerError ERR_USAGE without a terminal. */
  askPassword(question: string): Promise<SecretBytes>;
  /** A code of a second factor, which the caller wipes. @throws BrokerError ERR_USAGE without a terminal. */
  askPasscode(question: string): Promise<SecretBytes>;
  /** Whether a passcode that was not accepted may be asked for again: false where it was handed in. */
  readonly canAskAgain: boolean;
  /** One of several second factors. @throws BrokerError ERR_USAGE without a terminal and a choice. */
  chooseFactor(question: string, choices: readonly FactorChoice[]): Promise<FactorChoice>;
  /** Opens the address in a browser, or shows it where that cannot be or is not wanted. */
  showPage(address: string): Promise<void>;
}

export interface FactorChoice {
  readonly id: string;
  readonly name: string;
  /** Like totp or duo. */
  readonly type: string;
}

/**
 * One login by a person; the token, which the caller wipes, is then handed to the daemon. Waits for the person as long
 * as a login page lives, at most some minutes.
 *
 * @throws BrokerError ERR_USAGE if the provider logs in automatically; ProviderError if the login fails.
 */
export type InteractiveLogin<Options = unknown> = (
  options: Options,
  host: ProviderHost,
  dialogue: LoginDialogue,
  call: Call,
) => Promise<SecretBytes>;

/**
 * Where a provider keeps login tokens over a restart, sealed like keys. One store belongs to one configured provider
 * with one configuration: tokens of a changed configuration are not handed out.
 */
export interface LoginStore {
  /** Every stored login with its token; the caller owns and wipes the tokens. Empty if they cannot be opened now. */
  load(): readonly StoredLogin[];
  /** Adds or replaces by `login.id`. Copies the token. */
  save(login: Login, token: SecretBytes): void;
  remove(loginId: string): void;
  /** To be asked before each login that is made unattended, and told what became of it. */
  readonly attempts: LoginAttempts;
}

export interface StoredLogin {
  readonly login: Login;
  readonly token: SecretBytes;
}
