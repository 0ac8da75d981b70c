import { randomBytes } from 'node:crypto';
import { type ApiAnswer, refusal, seconds, text } from '../../../src/demo/vault.ts';
import { type DevHandler, type DevRequest, parseDurationMs } from './request.ts';

/** Response wrapping: an answer is put behind a single-use token (`X-Vault-Wrap-TTL`, `sys/wrapping/unwrap`). */
export class Wrapping {
  readonly #nowMs: () => number;
  readonly #wrapped = new Map<string, { answer: ApiAnswer; expiresAtMs: number }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** The wrapping token for `answer`. */
  wrap(answer: ApiAnswer, ttlMs: number): string {
    const token = `hvs.${randomBytes(24).toString('base64url')}`;
    this.#wrapped.set(token, { answer, expiresAtMs: this.#nowMs() + ttlMs });
    return token;
  }

  /** What the client gets: `answer` itself, or its wrapping if the request asked for one. */
  applyTo(answer: ApiAnswer, request: DevRequest): ApiAnswer {
    const ttlMs = parseDurationMs(request.headers['x-vault-wrap-ttl']);
    if (ttlMs === undefined || ttlMs === 0 || answer.status !== 200 || answer.body === undefined) return answer;
    const wrapInfo = {
      token: this.wrap(answer, ttlMs),
      accessor: randomBytes(18).toString('base64url'),
      ttl: seconds(ttlMs),
      creation_time: new Date(this.#nowMs()).toISOString(),
      creation_path: request.path,
    };
    const empty = { lease_id: '', renewable: false, lease_duration: 0, data: null, warnings: null, auth: null };
    return { status: 200, body: { request_id: '', ...empty, wrap_info: wrapInfo } };
  }

  readonly handle: DevHandler = (request) => {
    if (request.path !== 'sys/wrapping/unwrap') return undefined;
    const token = text(request.body['token']) || request.token;
    const found = this.#wrapped.get(token);
    this.#wrapped.delete(token);
    if (found !== undefined && found.expiresAtMs > this.#nowMs()) return found.answer;
    return refusal(400, 'wrapping token is not valid or does not exist');
  };
}
