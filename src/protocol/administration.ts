/** What people do to the daemon itself, as it goes over the wire. */

/** `GET /v1/config`: the configuration in force, with the daemon's environment and secrets masked. */
export interface ConfigReport {
  readonly file: string;
  readonly values: readonly ConfigValue[];
}

export interface ConfigValue {
  /** Dotted, as in the file. */
  readonly key: string;
  readonly value: unknown;
  readonly origin:
    | { readonly kind: 'file'; readonly line: number }
    | { readonly kind: 'env'; readonly variable: string }
    | { readonly kind: 'default' };
}

/** `POST /v1/rotate-key?discard=1&to=HOME`. */
export interface RotationRequest {
  readonly discard: boolean;
  /** keyring, file or systemd-credential; undefined: where the present key lives. */
  readonly to: string | undefined;
}

export interface RotationReport {
  /** Names the new key; no part of it. */
  readonly keyId: string;
  /** Where it lives, for people. */
  readonly home: string;
  /** How many keys and logins were wrapped anew. */
  readonly rewrapped: number;
  /** Where a database that a lost key had sealed lies now; null: nothing was given up. */
  readonly setAside: string | null;
  /** Why the old key, which seals nothing any more, is still where it was; null: it is gone. */
  readonly left: string | null;
}

/** `POST /v1/providers/{name}/login`. */
export interface LoginReport {
  readonly provider: string;
  /** RFC 3339; null if the login does not expire or does not say when. */
  readonly expiresAt: string | null;
  readonly renewable: boolean;
}
