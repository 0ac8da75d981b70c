import type { SecretBytes } from '../../credential/secret-bytes.ts';
import { ProviderError } from '../../errors.ts';
import type { Clock } from '../../platform/clock.ts';
import { pause } from '../pause.ts';
import { errorsOf, objectAt, textAt } from './answer.ts';
import type { VaultClient, VaultReply } from './client.ts';
import { failureOf, notVault, tokenOver, withoutSecret } from './failures.ts';
import type { HeldLogin } from './login-book.ts';
import type { LoginDesk } from './login-desk.ts';
import type { LoginSession } from './login-session.ts';
import type { VaultSource } from './options.ts';
import { unwrap } from './unwrap.ts';

/** A performance standby may not know a token, or what it may read, for so long after the login. */
const STANDBY_LAG_MS = 5_000;
const PAUSES_MS = [300, 900];

export interface Reading {
  readonly reply: VaultReply;
  /** The login it was read with. */
  readonly held: HeldLogin;
}

/** Reads one path with the session's login; a login that Vault has lost is replaced once. */
export class Reader {
  readonly #clock: Clock;
  readonly #session: LoginSession;
  readonly #desk: LoginDesk;

  constructor(clock: Clock, session: LoginSession, desk: LoginDesk) {
    this.#clock = clock;
    this.#session = session;
    this.#desk = desk;
  }

  async read(source: VaultSource, wantedLifeMs: number, client: VaultClient, signal: AbortSignal): Promise<Reading> {
    const first = await this.#session.forRead(wantedLifeMs, client, signal);
    const reading = await this.#readWith(first, source, client, signal);
    if (!(reading instanceof ProviderError)) return reading;
    const next = await this.#session.replace(first, client, signal);
    const second = await this.#readWith(next, source, client, signal);
    if (!(second instanceof ProviderError)) return second;
    // A login granted a moment ago lives, whatever its policy lets lookup-self say: this is a denial.
    throw next.source === undefined ? second : tokenOver(next.source, client.place);
  }

  /** The denial itself, not thrown, if Vault does not know the token any more. */
  async #readWith(
    held: HeldLogin,
    source: VaultSource,
    client: VaultClient,
    signal: AbortSignal,
  ): Promise<Reading | ProviderError> {
    using token = held.token.copy();
    const reply = await this.#sendPatiently(held, token, source, client, signal);
    if (reply.status === 200 && reply.json !== undefined) {
      return { reply: await unwrapped(reply, client, signal), held };
    }
    if (reply.status >= 200 && reply.status < 300) throw reply.isEmpty ? withoutSecret(reply) : notVault(reply);
    const failure = failureOf(reply);
    if (failure.kind !== 'denied' || (await this.#desk.isAlive(token, client, signal))) throw failure;
    return failure;
  }

  async #sendPatiently(
    held: HeldLogin,
    token: SecretBytes,
    source: VaultSource,
    client: VaultClient,
    signal: AbortSignal,
  ): Promise<VaultReply> {
    for (const pauseMs of PAUSES_MS) {
      const reply = await client.send(requestFor(source, token), signal);
      if (!this.#mayBeLag(reply, held)) return reply;
      await pause(pauseMs, this.#clock, signal);
    }
    return await client.send(requestFor(source, token), signal);
  }

  /** 412 says so itself; a 403, or a 404 without any word, says it only right after a login. */
  #mayBeLag(reply: VaultReply, { acquiredAtMs }: HeldLogin): boolean {
    if (reply.status === 412) return true;
    const isFresh = acquiredAtMs !== undefined && this.#clock.now() - acquiredAtMs < STANDBY_LAG_MS;
    return isFresh && (reply.status === 403 || (reply.status === 404 && errorsOf(reply)?.length === 0));
  }
}

function requestFor(source: VaultSource, token: SecretBytes) {
  const { path, method, params, namespace, wrap_ttl: wrapTtlMs } = source;
  const common = { what: 'read', method, path: encodePath(path), token, namespace, wrapTtlMs } as const;
  if (method === 'POST') return { ...common, body: params };
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const each of Array.isArray(value) ? value : [value]) query.append(name, String(each));
  }
  return { ...common, query: query.toString() };
}

/** What is encoded already stays as it is. */
function encodePath(path: string): string {
  return path.replaceAll(/%(?![0-9A-Fa-f]{2})|[^\w/.~!$&'()*+,;=:@%-]/g, (character) => encodeURIComponent(character));
}

async function unwrapped(reply: VaultReply, client: VaultClient, signal: AbortSignal): Promise<VaultReply> {
  const wrappingToken = textAt(objectAt(reply.json, 'wrap_info'), 'token');
  if (wrappingToken === '') return reply;
  const inner = await unwrap(wrappingToken, client, signal);
  if (inner.status !== 200) throw failureOf(inner);
  if (inner.json === undefined) throw notVault(inner);
  return { ...inner, asked: reply.asked };
}
