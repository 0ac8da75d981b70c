/**
 * One line of `GET /v1/events` and of `broker events --json`: who was given what, every refresh and every failure.
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
