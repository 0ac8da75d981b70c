/** What a client may take of the daemon. A client that is slow, silent or hostile costs nobody else their answer. */
export interface ServerLimits {
  /** Request line and headers together; more is answered with 431. Default 16,384 bytes. */
  readonly headerBytes: number;
  /** From connecting, or from the end of the last answer, to a whole request. Default 5,000 ms. */
  readonly silentMs: number;
  /** From the end of an answer to its last byte being taken by the reader. Default 10,000 ms. */
  readonly drainMs: number;
  /** Beyond this many connections those that have been silent longest are closed. Default 512. */
  readonly connections: number;
  /** Beyond this many, whatever they do, a new one is closed at once. Default 2,048. */
  readonly connectionsAtMost: number;
  /** Bodies have no meaning to any request but a login; a longer one is answered with 413. Default 4,096 bytes. */
  readonly bodyBytes: number;
  /** The token of a login; a longer body is answered with 413. Default 16,384 bytes. */
  readonly tokenBytes: number;
  /** Followers of the events at the same time; one more gets 503. Default 32. */
  readonly followers: number;
}

export const DEFAULT_LIMITS: ServerLimits = {
  headerBytes: 16_384,
  silentMs: 5_000,
  drainMs: 10_000,
  connections: 512,
  connectionsAtMost: 2_048,
  bodyBytes: 4_096,
  tokenBytes: 16_384,
  followers: 32,
};
