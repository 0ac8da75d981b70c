/**
 * Where the key that encrypts the cache can be kept. The names are stored in databases and written in configurations:
 * renaming one breaks both.
 */
export const KEY_HOMES = ['keyring', 'file', 'systemd-credential'] as const;
export type KeyHome = (typeof KEY_HOMES)[number];

/** `GET /v1/status`: what `broker status --json` prints. Times are RFC 3339; unknown values are null, never left out. */
export interface StatusReport {
  readonly daemon: DaemonStatus;
  readonly credentials: readonly CredentialStatus[];
}

export interface DaemonStatus {
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  readonly socket: string;
  readonly configFile: string;
  readonly stateDir: string;
  readonly node: string;
  /** Whether the client is identified through the kernel (addon) or by the helper's own hints. */
  readonly peerCredentials: 'kernel' | 'hints';
  readonly cache: {
    readonly persistent: boolean;
    /** Where the key-encryption key is kept, for people. */
    readonly keyEncryptionKey: string;
    /** The same for programs; null while it cannot be reached. */
    readonly keyHome: KeyHome | null;
    readonly problem: string | null;
    readonly remedy: string | null;
  };
  /** Why a changed configuration file is not in force; null if it is. */
  readonly configProblem: string | null;
  /** What happened to the daemon's own files under it, since it started. */
  readonly places: readonly PlaceReport[];
  /** What the process may have open at a time. */
  readonly limits: {
    readonly openFiles: number | null;
    readonly connections: number;
    /** Null unless there are too few. */
    readonly problem: string | null;
    readonly remedy: string | null;
  };
}

/** restored: it was removed, emptied, replaced or moved, and was put right · lost: it is not right, and cannot be put right now. */
export interface PlaceReport {
  readonly place: 'lock' | 'socket' | 'database' | 'key';
  readonly state: 'restored' | 'lost';
  /** RFC 3339: the last time. */
  readonly at: string;
  /** In a row. */
  readonly times: number;
  readonly message: string;
  readonly remedy: string | null;
}

/**
 * fresh: servable now · stale: servable only because the provider cannot be asked · waiting: a refresh is under way
 * and nothing can be served · failing: nothing can be served, see lastError · idle: never asked for, never fetched.
 */
export type CredentialState = 'fresh' | 'stale' | 'waiting' | 'failing' | 'idle';

export interface CredentialStatus {
  readonly name: string;
  readonly isDefault: boolean;
  readonly provider: string;
  readonly providerType: string;
  /** Who may have it, as configured; empty: every process of the user. */
  readonly allow: readonly string[];
  readonly state: CredentialState;
  readonly version: string | null;
  /** First eight hex digits of the keyed digest: distinguishes two keys without revealing either. */
  readonly fingerprint: string | null;
  readonly issuedAt: string | null;
  readonly confirmedAt: string | null;
  readonly expiresAt: string | null;
  readonly expirySource: 'lease' | 'jwt' | 'field' | 'provider' | 'unknown' | null;
  readonly lease: { readonly id: string; readonly renewable: boolean; readonly maxExpiresAt: string | null } | null;
  /** When the broker will ask the provider next; null if it has no reason to. */
  readonly nextRefreshAt: string | null;
  readonly refreshing: boolean;
  readonly lastAskedAt: string | null;
  readonly timesServed: number;
  /** Client processes with a lease of their own (`scope = "session"`); an older daemon does not say. */
  readonly sessions?: number;
  /** The file that it is kept in; null: none. */
  readonly sink: SinkReport | null;
  /** This machine's clock minus the provider's; null if the provider sends no time. */
  readonly clockSkewSeconds: number | null;
  /** The host of its check; null: it has none. */
  readonly checkHost: string | null;
  /** What to know about this credential although it works. */
  readonly advice: readonly Advice[];
  readonly lastError: {
    readonly at: string;
    readonly code: string;
    readonly kind: string | null;
    readonly message: string;
    readonly remedy: string | null;
    readonly failures: number;
    readonly nextAttemptAt: string | null;
  } | null;
}

export interface SinkReport {
  readonly file: string;
  /** The file is there, with a token that has not expired. */
  readonly written: boolean;
  /** Why it is not kept fresh; null: it is. */
  readonly problem: string | null;
  readonly remedy: string | null;
}

export interface Advice {
  /** interval: the client keeps keys too long · clock: this machine's is off · check, expiry: what is configured has no effect. */
  readonly about: 'interval' | 'clock' | 'check' | 'expiry';
  readonly message: string;
  readonly remedy: string;
}

/** `POST /v1/credentials/{name}/check`: what the API itself said of the key. */
export interface CheckReport {
  readonly name: string;
  readonly url: string;
  /** none: its answer says nothing of the key. */
  readonly word: 'good' | 'rejected' | 'none';
  /** What it answered, in a few words of ours. */
  readonly seen: string;
  /** What it said of a key that was made up; null if it was not asked. */
  readonly madeUp: { readonly word: CheckReport['word']; readonly seen: string } | null;
  /** It has accepted a key and refused a made-up one: only then its word counts. */
  readonly armed: boolean;
}

/** RFC 9457; `code`, `remedy` and `exitCode` are extensions. `code` is stable. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly remedy: string | null;
  readonly exitCode: number;
}

/**
 * One line of `GET /v1/events` and of `broker events --json`: each key served and to whom, every refresh, every failure.
 * Never a key, a token or a password.
 */
export interface BrokerEvent {
  /** Grows with every event and survives restarts: `?after=ID` goes on from there. */
  readonly id: number;
  /** RFC 3339. */
  readonly at: string;
  /** A stable word: served, refreshed, refresh-failed, rejected, … */
  readonly kind: string;
  readonly credential: string | null;
  readonly detail: Readonly<Record<string, string | number | boolean>>;
}

/** `GET /v1/health`: status 200 if `ok`, else 503. */
export interface HealthReport {
  /** The daemon can serve at least what it has been asked for, or has nothing to serve yet. */
  readonly ok: boolean;
  /** What is wrong, in one sentence; null when all is well. */
  readonly problem: string | null;
  readonly remedy: string | null;
}

/** `GET /v1/config`: the configuration in force, with the daemon's environment and secrets masked. */
export interface ConfigReport {
  readonly file: string;
  readonly values: readonly ConfigValue[];
}

/** One key as it takes effect, secrets masked. */
export interface ConfigValue {
  /** Dotted, as in the file. */
  readonly key: string;
  readonly value: unknown;
  /** Where the value comes from: a line of the file, a variable of the daemon's environment, or neither. */
  readonly origin:
    | { readonly kind: 'file'; readonly line: number }
    | { readonly kind: 'env'; readonly variable: string }
    | { readonly kind: 'default' };
}

/** `POST /v1/rotate-key?discard=1&to=HOME`. */
export interface RotationRequest {
  readonly discard: boolean;
  /** keyring, file or systemd-credential; undefined: where the present key is. */
  readonly to: string | undefined;
}

export interface RotationReport {
  /** Id of the new key; says nothing about the key. */
  readonly keyId: string;
  /** Where it is kept, for people. */
  readonly home: string;
  /** How many keys and logins were wrapped again. */
  readonly rewrapped: number;
  /** Path of the database that a lost key had sealed and that was set aside; null: nothing was given up. */
  readonly setAside: string | null;
  /** Why the old key, which no longer seals anything, could not be removed; null: it is removed. */
  readonly left: string | null;
}

/** `POST /v1/providers/{name}/login`. */
export interface LoginReport {
  readonly provider: string;
  /** RFC 3339; null if the login does not expire or does not say when. */
  readonly expiresAt: string | null;
  readonly renewable: boolean;
}
