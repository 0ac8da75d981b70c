import type { ApiAnswer, ApiRequest } from '../../../src/demo/vault.ts';

export interface DevRequest extends ApiRequest {
  /** As it was sent: path and query. */
  readonly url: string;
  /** The common name of the client certificate that TLS has verified. */
  readonly clientCommonName: string | undefined;
}

/** Answers what it is responsible for; undefined leaves the request to the next handler. */
export type DevHandler = (request: DevRequest) => ApiAnswer | undefined;

export const NO_CONTENT: ApiAnswer = { status: 204 };

/** A duration as Vault's parameters spell it: seconds as number or text, or with a unit. Undefined if it is none. */
export function parseDurationMs(value: unknown): number | undefined {
  const match = /^(\d+)(s|m|h|d)?$/.exec(String(value ?? ''));
  if (match === null) return undefined;
  const unit = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] ?? 's'] ?? 1_000;
  return Number(match[1]) * unit;
}
