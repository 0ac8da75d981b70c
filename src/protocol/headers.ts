/** The words that helper, CLI and daemon exchange over the socket besides plain HTTP; docs/protocol.md describes them. */

/** Request: how long the client keeps a key, in milliseconds. */
export const CLIENT_INTERVAL = 'broker-client-interval-ms';

/**
 * Request: what the helper saw of its own surroundings, `name=token` pairs joined by `, `; for judging only, never for
 * permission. pid, ppid: numbers · stdin, stdout: socket | pipe | tty | file | null | closed | other ·
 * entrypoint: CLAUDE_CODE_ENTRYPOINT if it is [a-z0-9-]{1,32} · agent: 1 if CLAUDECODE is set.
 */
export const CLIENT_HINTS = 'broker-client-hints';

/** Answer: the sysexits code that the helper is to exit with; present on every error. */
export const EXIT_CODE = 'broker-exit-code';

/** Answer: the provider's word for the version served, percent-encoded. */
export const KEY_VERSION = 'broker-key-version';

/** Answer: RFC 3339 time at which the key dies; absent where that is unknown. */
export const KEY_EXPIRES = 'broker-key-expires';

/** Answer: fresh | stale. */
export const KEY_STATE = 'broker-key-state';

/** The client's own default where it says nothing or nonsense (docs: CLAUDE_CODE_API_KEY_HELPER_TTL_MS). */
export const DEFAULT_CLIENT_INTERVAL_MS = 300_000;

/** In a path, the credential that the configuration names as `default`. */
export const DEFAULT_CREDENTIAL = '_default';
