import type { AllowWord } from '../platform/attestation.ts';
import type { KeyHome } from '../protocol/reports.ts';
import type { HeaderForm } from '../protocol/request.ts';

/** A configuration file after checking: what the rest of the program reads. Durations are in milliseconds. */
export interface Config {
  /** The file it came from. */
  readonly file: string;
  readonly defaultCredential: string | undefined;
  readonly providers: ReadonlyMap<string, ProviderConfig>;
  readonly credentials: ReadonlyMap<string, CredentialConfig>;
  readonly daemon: DaemonConfig;
}

export interface ProviderConfig {
  readonly name: string;
  readonly type: string;
  /** Parsed by the provider's own schema, environment defaults applied. */
  readonly options: unknown;
}

export interface CredentialConfig {
  readonly name: string;
  readonly provider: string;
  /** Dotted path into a structured secret; undefined: the whole text, or the only field there is. */
  readonly field: string | undefined;
  /** Several values from one read, by the name they are served under. Never together with `field`. */
  readonly fields: Readonly<Record<string, string>> | undefined;
  /** Dotted path to the field that says when the key dies: RFC 3339, seconds or milliseconds since the epoch, or seconds from now. */
  readonly expiresField: string | undefined;
  /** For the format `headers`; undefined: x-api-key without a prefix. */
  readonly header?: HeaderForm | undefined;
  /** How the API itself is asked whether the key is good. Never together with `fields`. */
  readonly check?: CheckConfig | undefined;
  /** Who may have it; undefined: every process of the user. */
  readonly allow?: readonly AllowWord[] | undefined;
  /** session: each client process has a lease of its own; undefined: shared. */
  readonly scope?: 'shared' | 'session' | undefined;
  /** The file that its key is kept in, with `{runtime}` as it is written; undefined: none. */
  readonly sink?: string | undefined;
  readonly ttlMs: number;
  readonly maxStaleMs: number;
  /** Parsed by the provider's own credential schema. */
  readonly source: unknown;
}

export interface CheckConfig {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** How the API says no; undefined: as Anthropic's does. Dots in `field` go deeper. */
  readonly rejected: { readonly status: number; readonly field: string; readonly value: string } | undefined;
}

export interface DaemonConfig {
  readonly turnMarginMs: number;
  readonly idleAfterMs: number;
  /** 0: never. Only of a daemon that a helper started. */
  readonly idleExitMs: number;
  readonly revokeOnExit: boolean;
  readonly logLevel: LogLevel;
  /** memory: nothing is kept on the disk. */
  readonly cache: 'disk' | 'memory';
  /** Where a key-encryption key for a new database lives. */
  readonly keyHome: KeyHome | 'auto';
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
