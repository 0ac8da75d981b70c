import { ENDLESS_SECONDS } from '../../credential/expiry.ts';
import type { Json } from '../../credential/secret.ts';
import { parseRetryAfter } from '../network.ts';

/** What came back over the wire, whatever its status. `json` is undefined if the body is not a JSON object. */
export interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly json: Readonly<Record<string, unknown>> | undefined;
  /** A listener for HTTPS was spoken to in HTTP, and says so: Vault's, or that of anything else written in Go. */
  readonly wantsTls: boolean;
}

/** What a message may say about where and whom: the configured names, never anything from the wire. */
export interface VaultPlace {
  readonly provider: string;
  readonly address: string;
}

/** What was asked of Vault, for the message; `secrets` must not be repeated even if the server does. */
export interface Asked extends VaultPlace {
  readonly what: 'login' | 'second-factor' | 'read' | 'lease' | 'token' | 'unwrap';
  readonly path: string;
  readonly namespace: string | undefined;
  readonly secrets: readonly string[];
}

/** An answer, together with what failures.ts needs to know about the request. */
export interface VaultReply extends HttpReply {
  readonly asked: Asked;
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function objectAt(json: Json | undefined, key: string): Json | undefined {
  const value = json?.[key];
  return isObject(value) ? value : undefined;
}

export function textAt(json: Json | undefined, key: string): string {
  const value = json?.[key];
  return typeof value === 'string' ? value : '';
}

/** Vault counts in seconds; 0 if there is no such number. */
export function millisecondsAt(json: Json | undefined, key: string): number {
  const value = Number(json?.[key] ?? 0);
  return value > 0 ? Math.min(value, ENDLESS_SECONDS) * 1000 : 0;
}

/** Vault's `errors`; undefined if the answer is not one of Vault's error answers: other programs list objects under that name. */
export function errorsOf(answer: HttpReply): readonly string[] | undefined {
  const errors = answer.json?.['errors'];
  return Array.isArray(errors) && errors.every((each) => typeof each === 'string') ? errors : undefined;
}

export function warningsOf(json: Json | undefined): readonly string[] {
  const warnings = json?.['warnings'];
  return Array.isArray(warnings) ? warnings.filter((each) => typeof each === 'string') : [];
}

/** Whether a refusal comes from Vault itself: its error list, or its ordinary envelope (a deleted KV v2 version, say). */
export function speaksVault(answer: HttpReply): boolean {
  return errorsOf(answer) !== undefined || typeof answer.json?.['request_id'] === 'string';
}

/** Whether a success comes from Vault: its envelope names the request, and one without that has to hold something at least. */
export function isEnvelope({ json }: HttpReply): boolean {
  const parts = ['data', 'auth', 'wrap_info'];
  return typeof json?.['request_id'] === 'string' || parts.some((part) => objectAt(json, part) !== undefined);
}

/** The server's clock at the answer, to the second; undefined without a usable Date header. */
export function serverTimeOf(answer: HttpReply): number | undefined {
  const time = Date.parse(answer.headers['date'] ?? '');
  return Number.isNaN(time) ? undefined : time;
}

export function retryAfterOf(answer: HttpReply): number | undefined {
  return parseRetryAfter(answer.headers['retry-after'], serverTimeOf(answer));
}
