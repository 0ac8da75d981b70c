/** `GET /v1/health`: status 200 if `ok`, else 503. */
export interface HealthReport {
  /** The daemon can serve at least what it has been asked for, or has nothing to serve yet. */
  readonly ok: boolean;
  /** What is wrong, in one sentence; null when all is well. */
  readonly problem: string | null;
  readonly remedy: string | null;
}
