import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { type ApiAnswer, envelope, refusal, text } from '../../../src/demo/vault.ts';
import type { DevHandler, DevRequest } from './request.ts';

/** One method of login MFA; with `key` it takes the codes that go with it, without one it asks a device. */
interface MfaMethod {
  readonly id: string;
  readonly type: 'totp' | 'okta' | 'duo' | 'pingid';
  readonly name: string;
  readonly key?: Buffer;
  /** What the person does with a push. */
  approves: boolean;
}

interface Enforcement {
  readonly name: string;
  /** Of auth methods, like `userpass`. */
  readonly mounts: readonly string[];
  readonly methods: readonly MfaMethod[];
}

interface HeldBack {
  readonly answer: ApiAnswer;
  readonly enforcements: readonly Enforcement[];
  readonly expiresAtMs: number;
}

/** As long as a login that waits for its second factor is remembered. */
const HELD_MS = 300_000;
const WARNING =
  'A login request was issued that is subject to MFA validation. Please make sure to validate the login by sending another request to mfa/validate endpoint.';

/** Login MFA: a login that is subject to it is answered with a requirement, and `sys/mfa/validate` with its token. */
export class SecondFactors {
  readonly #nowMs: () => number;
  readonly #enforcements: Enforcement[] = [];
  readonly #held = new Map<string, HeldBack>();
  /** A code is good once. */
  readonly #used = new Map<string, number>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  totp(name: string): MfaMethod & { readonly key: Buffer } {
    return { id: randomUUID(), type: 'totp', name, key: randomBytes(20), approves: true };
  }

  push(type: 'okta' | 'duo' | 'pingid', name: string): MfaMethod {
    return { id: randomUUID(), type, name, approves: true };
  }

  /** Logins at these mounts need any one of the methods. */
  enforce(name: string, mounts: readonly string[], methods: readonly MfaMethod[]): void {
    this.#enforcements.push({ name, mounts, methods });
  }

  /** What the client gets: `answer` itself, or a requirement in its place. */
  applyTo(answer: ApiAnswer, { path }: DevRequest): ApiAnswer {
    const mount = /^auth\/([^/]+)\//.exec(path)?.[1] ?? '';
    const enforcements = this.#enforcements.filter(({ mounts }) => mounts.includes(mount));
    if (enforcements.length === 0 || (answer.body?.['auth'] ?? null) === null) return answer;
    const requestId = randomUUID();
    this.#held.set(requestId, { answer, enforcements, expiresAtMs: this.#nowMs() + HELD_MS });
    const constraints = enforcements.map(({ name, methods }) => [name, { any: methods.map(described) }]);
    const mfa_requirement = { mfa_request_id: requestId, mfa_constraints: Object.fromEntries(constraints) };
    return envelope({ auth: { ...NO_TOKEN, mfa_requirement }, warnings: [WARNING] });
  }

  readonly handle: DevHandler = (request) =>
    request.path === 'sys/mfa/validate' ? this.#validate(request) : undefined;

  #validate({ body }: DevRequest): ApiAnswer {
    const requestId = text(body['mfa_request_id']);
    if (requestId === '') return refusal(400, 'missing request ID');
    const held = this.#held.get(requestId);
    if (held === undefined || held.expiresAtMs <= this.#nowMs()) return refusal(400, 'invalid request ID');
    const payload = (body['mfa_payload'] ?? {}) as Readonly<Record<string, readonly unknown[] | undefined>>;
    for (const { name, methods } of held.enforcements) {
      const tried = methods.filter(({ id }) => payload[id] !== undefined);
      if (tried.some((method) => this.#satisfies(method, text(payload[method.id]?.[0])))) continue;
      return refusal(403, `failed to satisfy enforcement ${name}. error: ${reasons(methods, tried)}`);
    }
    this.#held.delete(requestId);
    return held.answer;
  }

  #satisfies({ id, key, approves }: MfaMethod, passcode: string): boolean {
    if (key === undefined) return approves;
    const now = this.#nowMs();
    const code = passcode.replace(/^passcode=/, '');
    // One period's tolerance to either side, as every server of codes has it.
    const fits = [-1, 0, 1].some((periods) => totpAt(key, now + periods * TOTP_PERIOD_MS) === code);
    const mark = `${id} ${code}`;
    if (!fits || (this.#used.get(mark) ?? 0) > now) return false;
    this.#used.set(mark, now + 3 * TOTP_PERIOD_MS);
    return true;
  }
}

/** As it is written where there is no token. */
const NO_TOKEN = {
  client_token: '',
  accessor: '',
  policies: null,
  metadata: null,
  lease_duration: 0,
  renewable: false,
  entity_id: '',
  token_type: 'default',
  orphan: false,
  num_uses: 0,
};

/** Vault leaves out what is false. */
function described({ type, id, name, key }: MfaMethod) {
  return { type, id, ...(key === undefined ? {} : { uses_passcode: true }), name };
}

function reasons(methods: readonly MfaMethod[], tried: readonly MfaMethod[]): string {
  const [first] = methods;
  if (tried.length === 0) {
    return `failed to sanitize MFA creds, 1 error occurred:\n\t* failed to find MFA credentials associated with an MFA method ID ${first?.id}, method name ${first?.name}\n\n`;
  }
  const each = tried.map(({ key }) => (key === undefined ? 'push declined' : 'failed to validate TOTP passcode'));
  return `2 errors occurred:\n\t* ${each.join('\n\t* ')}\n\t* login MFA validation failed for methodID: [${methods.map(({ id }) => id).join(' ')}]\n\n`;
}

export const TOTP_PERIOD_MS = 30_000;

/** The six digits of a moment (RFC 6238, SHA-1), as every authenticator app shows them. */
export function totpAt(key: Buffer, nowMs: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(nowMs / TOTP_PERIOD_MS)));
  const digest = createHmac('sha1', key).update(counter).digest();
  const offset = (digest.at(-1) ?? 0) & 0x0f;
  const truncated = digest.readUInt32BE(offset) & 0x7fffffff;
  return String(truncated % 1_000_000).padStart(6, '0');
}
