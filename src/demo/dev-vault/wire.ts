import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** One request as the handlers see it: the path without `/v1/`, the namespace resolved from header or path. */
export interface VaultRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>>;
  readonly token: string;
  readonly namespace: string;
  readonly headers: IncomingHttpHeaders;
  /** The common name of the client certificate that TLS has verified. */
  readonly clientCommonName: string | undefined;
}

export interface VaultAnswer {
  readonly status: number;
  readonly body?: Readonly<Record<string, unknown>>;
  /** Where a page sends the browser. */
  readonly location?: string;
}

/** Answers what it is responsible for; undefined leaves the request to the next handler. */
export type Handler = (request: VaultRequest) => VaultAnswer | undefined;

/** The envelope of every answer (API docs, "Secret" type); durations in whole seconds. */
interface Envelope {
  readonly data?: unknown;
  readonly auth?: unknown;
  readonly leaseId?: string;
  readonly leaseDurationMs?: number;
  readonly renewable?: boolean;
  readonly warnings?: readonly string[];
}

export function envelope(fields: Envelope, status = 200): VaultAnswer {
  const body = {
    request_id: randomUUID(),
    lease_id: fields.leaseId ?? '',
    renewable: fields.renewable ?? false,
    lease_duration: seconds(fields.leaseDurationMs ?? 0),
    data: fields.data ?? null,
    wrap_info: null,
    warnings: fields.warnings ?? null,
    auth: fields.auth ?? null,
  };
  return { status, body };
}

export function refusal(status: number, ...errors: string[]): VaultAnswer {
  return { status, body: { errors } };
}

/** To a live token whose policies do not allow it. */
export const PERMISSION_DENIED = refusal(403, '1 error occurred:\n\t* permission denied\n\n');
/** To a token that is over or was none, in the words of newer Vaults; OpenBao and older ones leave out the second. */
export const INVALID_TOKEN = refusal(403, '2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n');
export const NO_CONTENT: VaultAnswer = { status: 204 };
export const NOT_FOUND = refusal(404);

export function seconds(ms: number): number {
  return Math.max(0, Math.round(ms / 1000));
}

/** A duration as Vault's parameters spell it: seconds as number or text, or with a unit. Undefined if it is none. */
export function parseDurationMs(value: unknown): number | undefined {
  const match = /^(\d+)(s|m|h|d)?$/.exec(String(value ?? ''));
  if (match === null) return undefined;
  const unit = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] ?? 's'] ?? 1_000;
  return Number(match[1]) * unit;
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
