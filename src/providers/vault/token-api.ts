import { randomUUID } from 'node:crypto';
import type { Login } from '../../credential/life.ts';
import { type Json, SecretBytes } from '../../credential/secret.ts';
import { ProviderError } from '../../errors.ts';
import type { ProviderHost } from '../provider.ts';
import { errorsOf, type HttpReply, millisecondsAt, objectAt, serverTimeOf, textAt, warningsOf } from './answer.ts';
import type { VaultClient } from './client.ts';
import { refusalIn, successIn, tokenOver } from './failures.ts';
import type { PrepareLogin } from './logins/method.ts';
import { prepareLogin } from './logins/prepare.ts';
import { type FoundToken, findToken } from './logins/simple.ts';
import { isInteractive, mayBeMadeByAPerson, type VaultAuth } from './options.ts';
import { heldBackIn, secondFactorWanted } from './second-factor.ts';
import type { HeldLogin, TokenStore } from './token-store.ts';

const LOOKUP = { what: 'token', method: 'GET', path: 'auth/token/lookup-self' } as const;
const RENEW = { what: 'token', method: 'POST', path: 'auth/token/renew-self', body: {} } as const;
const REVOKE = { what: 'token', method: 'POST', path: 'auth/token/revoke-self', body: {} } as const;

/** Vault's API of tokens: logs in, and looks up, renews and gives back what it got. */
export class TokenApi {
  readonly #host: ProviderHost;
  readonly #auth: VaultAuth;
  readonly #client: VaultClient;
  readonly #store: TokenStore;
  readonly #prepare: PrepareLogin | undefined;
  /** Only a person can give what Vault asks for: known from the configuration, or from what Vault said. */
  #needsAPerson: boolean;

  constructor(host: ProviderHost, auth: VaultAuth, client: VaultClient, store: TokenStore) {
    this.#host = host;
    this.#auth = auth;
    this.#client = client;
    this.#store = store;
    this.#prepare = prepareLogin(auth);
    this.#needsAPerson = isInteractive(auth);
  }

  /** handed-in: method token, there is nothing to log in with · interactive: a person logs in, and hands the token over. */
  get mode(): 'handed-in' | 'unattended' | 'interactive' {
    if (this.#prepare === undefined) return 'handed-in';
    return this.#needsAPerson ? 'interactive' : 'unattended';
  }

  /**
   * Takes over the token of a login that a person made for us: from now on it is as one of our own.
   *
   * @throws ProviderError login-expired if Vault does not know it.
   */
  async adopt(token: SecretBytes, signal: AbortSignal): Promise<HeldLogin> {
    const held = await this.#lookUp({ token: token.reveal(), source: 'broker login' }, signal);
    this.#needsAPerson = true;
    this.#host.log.info({ method: this.#auth.method, login: held.login.id }, 'took over a login to Vault');
    return { ...held, login: { ...held.login, ours: true }, acquiredAtMs: this.#host.clock.now(), source: undefined };
  }

  async acquire(signal: AbortSignal): Promise<HeldLogin> {
    const prepare = this.#prepare;
    return prepare === undefined ? await this.#takeOver(signal) : await this.#logIn(prepare, signal);
  }

  /** @throws ProviderError gone if Vault no longer knows the token. */
  async renew(held: HeldLogin, signal: AbortSignal): Promise<HeldLogin> {
    const startedAtMs = this.#host.clock.now();
    using token = held.token.copy();
    const reply = await this.#client.send({ ...RENEW, token }, signal);
    const failure = refusalIn(reply);
    if (failure === undefined) return { ...held, login: grantedByRenewal(reply, startedAtMs, held.login) };
    if (failure.kind !== 'login-expired') throw failure;
    if (!(await this.isAlive(token, signal))) {
      throw new ProviderError('gone', failure.message, { remedy: failure.remedy ?? 'log in again' });
    }
    return { ...held, login: { ...held.login, renewable: false, maxExpiresAtMs: held.login.expiresAtMs } };
  }

  /** @throws ProviderError if Vault cannot be asked. */
  async isAlive(token: SecretBytes, signal: AbortSignal): Promise<boolean> {
    const reply = await this.#client.send({ ...LOOKUP, token }, signal);
    const failure = refusalIn(reply);
    if (failure === undefined) return true;
    if (failure.kind === 'login-expired') return false;
    throw failure;
  }

  /** Resolves if the token is gone already. */
  async revoke(held: HeldLogin, signal: AbortSignal): Promise<void> {
    const reply = await this.#client.send({ ...REVOKE, token: held.token }, signal);
    const failure = isEnded(reply) ? undefined : refusalIn(reply);
    if (failure === undefined) return;
    if (failure.kind === 'transient') throw failure;
    this.#host.log.debug({ status: reply.status }, 'a login was over before it was given back');
  }

  async #logIn(prepare: PrepareLogin, signal: AbortSignal): Promise<HeldLogin> {
    const startedAtMs = this.#host.clock.now();
    const request = await prepare({ host: this.#host, client: this.#client, signal });
    const reply = await this.#client.send({ what: 'login', method: 'POST', ...request }, signal);
    if (heldBackIn(successIn(reply).json) !== undefined) {
      this.#needsAPerson ||= mayBeMadeByAPerson(this.#auth);
      throw secondFactorWanted(this.#host.name, this.#auth);
    }
    const granted = grantedByLogin(reply, startedAtMs, this.#host.name);
    this.#needsAPerson = false;
    this.#host.log.info({ method: this.#auth.method, login: granted.login.id }, 'logged in to Vault');
    return { ...granted, acquiredAtMs: this.#host.clock.now(), source: undefined };
  }

  async #takeOver(signal: AbortSignal): Promise<HeldLogin> {
    if (this.#auth.method !== 'token') throw new TypeError('only method token hands in a token');
    const found = findToken(this.#auth, this.#host);
    const known = this.#store.withToken(found.token);
    return known === undefined ? await this.#lookUp(found, signal) : { ...known, source: found.source };
  }

  /** A policy without `default` may deny lookup-self to a good token: whether it is one, the read itself will show. */
  async #lookUp({ token, source }: FoundToken, signal: AbortSignal): Promise<HeldLogin> {
    const startedAtMs = this.#host.clock.now();
    const bytes = SecretBytes.fromString(token);
    const reply = await this.#client.send({ ...LOOKUP, token: bytes, isRepeatable: true }, signal);
    const failure = refusalIn(reply);
    if (failure !== undefined && failure.kind !== 'login-expired') throw failure;
    if (errorsOf(reply)?.some((words) => /invalid token|bad token/.test(words))) throw tokenOver(source, reply.asked);
    const login = grantedByLookup(failure === undefined ? reply : undefined, startedAtMs);
    return { login, token: bytes, acquiredAtMs: undefined, source };
  }
}

/** Vault's answer to a revocation: it is done, or goes on without us. */
export function isEnded({ status }: HttpReply): boolean {
  return status === 204 || status === 202;
}

/** Renewals that grant this much less than before have met the token's max TTL. */
const ROUNDING_MS = 2_000;

/**
 * The login that a login endpoint granted, with its token, which the caller wipes.
 *
 * @throws ProviderError misconfigured if there is no token in it.
 */
export function grantedByLogin(
  answer: HttpReply,
  startedAtMs: number,
  provider: string,
): Pick<HeldLogin, 'login' | 'token'> {
  const auth = objectAt(answer.json, 'auth');
  const token = textAt(auth, 'client_token');
  if (auth === undefined || token === '') {
    throw new ProviderError('misconfigured', 'Vault answered the login without a token', {
      remedy: `check method and mount in [providers.${provider}.auth]`,
    });
  }
  const grantedMs = millisecondsAt(auth, 'lease_duration') || undefined;
  const renewable = auth['renewable'] === true;
  const expiresAtMs = grantedMs === undefined ? undefined : startedAtMs + grantedMs;
  const login: Login = {
    id: loginIdOf(textAt(auth, 'accessor')),
    issuedAtMs: startedAtMs,
    expiresAtMs,
    grantedMs,
    renewable,
    maxExpiresAtMs: renewable ? undefined : expiresAtMs,
    ...limitOfUses(auth),
    ours: true,
  };
  return { login, token: SecretBytes.fromString(token) };
}

/** The login behind a token that was handed in, as lookup-self tells it; without an answer nothing is known of its life. */
export function grantedByLookup(answer: HttpReply | undefined, startedAtMs: number): Login {
  const data = answer === undefined ? undefined : objectAt(answer.json, 'data');
  const ttlMs = millisecondsAt(data, 'ttl') || undefined;
  const renewable = data?.['renewable'] === true;
  const expiresAtMs = ttlMs === undefined ? undefined : startedAtMs + ttlMs;
  const grantedMs = millisecondsAt(data, 'period') || millisecondsAt(data, 'creation_ttl') || ttlMs;
  return {
    id: loginIdOf(textAt(data, 'accessor')),
    issuedAtMs: startedAtMs,
    expiresAtMs,
    grantedMs: ttlMs === undefined ? undefined : grantedMs,
    renewable,
    maxExpiresAtMs: renewable ? explicitEnd(data, answer, startedAtMs) : expiresAtMs,
    ...limitOfUses(data),
    ours: false,
  };
}

/** The login after renew-self. A grant that falls short of the former one shows where the max TTL is. */
export function grantedByRenewal(answer: HttpReply, startedAtMs: number, former: Login): Login {
  const auth = objectAt(answer.json, 'auth');
  const grantedMs = millisecondsAt(auth, 'lease_duration') || undefined;
  if (grantedMs === undefined) return former;
  const renewable = auth?.['renewable'] === true;
  const expiresAtMs = startedAtMs + grantedMs;
  const fellShort = former.grantedMs !== undefined && grantedMs < former.grantedMs - ROUNDING_MS;
  const capped = fellShort || warningsOf(answer.json).some((warning) => /max_ttl|capped/i.test(warning));
  const maxExpiresAtMs = capped || !renewable ? expiresAtMs : former.maxExpiresAtMs;
  return { ...former, expiresAtMs, grantedMs: former.grantedMs ?? grantedMs, renewable, maxExpiresAtMs };
}

/** When the login ends at the latest, however often it is renewed; undefined: never, as far as is known. */
export function lastMomentOf(login: Login): number | undefined {
  return login.renewable ? login.maxExpiresAtMs : login.expiresAtMs;
}

function limitOfUses(grant: Json | undefined): Pick<Login, 'hasLimitedUses'> {
  return Number(grant?.['num_uses'] ?? 0) > 0 ? { hasLimitedUses: true } : {};
}

/** The accessor names a token without being one; batch tokens have none. No digest: names are stored in the open. */
function loginIdOf(accessor: string): string {
  return accessor === '' ? `token-${randomUUID()}` : accessor;
}

function explicitEnd(data: Json | undefined, answer: HttpReply | undefined, startedAtMs: number): number | undefined {
  const explicitMaxMs = millisecondsAt(data, 'explicit_max_ttl');
  const createdMs = millisecondsAt(data, 'creation_time');
  if (explicitMaxMs === 0 || createdMs === 0 || answer === undefined) return undefined;
  const ageMs = Math.max(0, (serverTimeOf(answer) ?? startedAtMs) - createdMs);
  return startedAtMs + Math.max(0, explicitMaxMs - ageMs);
}
