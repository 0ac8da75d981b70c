import type { SecretFields } from '../cache/credential-cache.ts';
import type { KeyVersion } from '../credential/key-version.ts';

/** One question to the broker, as the server understood it. */
export interface Ask {
  /** undefined: the configured default. */
  readonly credential: string | undefined;
  /** How long the client will keep the answer. */
  readonly intervalMs: number;
  readonly client: Client | undefined;
  /** Whether this is the client's own call for its own key, and so may be judged an early repeat. */
  readonly judged: boolean;
  /** Aborted when the asker hangs up. */
  readonly signal: AbortSignal;
}

/** The process that wanted the key. Pid and start time together are never reused. */
export interface Client {
  /** Of both, made once: a client is looked up several times for every answer. */
  readonly id: string;
  readonly pid: number;
  readonly startTime: string;
  /** For events and status: the executable's base name. */
  readonly name: string;
  readonly isClaudeCode: boolean;
}

/** The receiver wipes `secrets` when the last byte is written, and then says so with `delivered()`. */
export interface Answer {
  readonly key: KeyVersion;
  readonly state: 'fresh' | 'stale';
  readonly secrets: SecretFields;
  /** The answer was written completely: only now does it count as served. */
  delivered(): void;
}
