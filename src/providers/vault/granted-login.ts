import { createHash } from 'node:crypto';
import type { Login } from '../../credential/lease.ts';
import { SecretBytes } from '../../credential/secret-bytes.ts';
import { ProviderError } from '../../errors.ts';
import { type Json, millisecondsAt, objectAt, serverTimeOf, textAt, type VaultAnswer, warningsOf } from './answer.ts';

/** Renewals that grant this much less than before have met the token's max TTL. */
const ROUNDING_MS = 2_000;

export interface Granted {
  readonly login: Login;
  /** How long the latest grant lasts; undefined for a token that does not expire. */
  readonly grantedMs: number | undefined;
}

/**
 * The login that a login endpoint granted, with its token, which the caller wipes.
 *
 * @throws ProviderError misconfigured if there is no token in it.
 */
export function grantedByLogin(
  answer: VaultAnswer,
  startedAtMs: number,
  provider: string,
): Granted & { token: SecretBytes } {
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
    id: loginIdOf(token, textAt(auth, 'accessor')),
    issuedAtMs: startedAtMs,
    expiresAtMs,
    renewable,
    maxExpiresAtMs: renewable ? undefined : expiresAtMs,
    ours: true,
  };
  return { login, grantedMs, token: SecretBytes.fromString(token) };
}

/** The login behind a token that was handed in, as lookup-self tells it; without an answer nothing is known of its life. */
export function grantedByLookup(token: string, answer: VaultAnswer | undefined, startedAtMs: number): Granted {
  const data = answer === undefined ? undefined : objectAt(answer.json, 'data');
  const ttlMs = millisecondsAt(data, 'ttl') || undefined;
  const renewable = data?.['renewable'] === true;
  const expiresAtMs = ttlMs === undefined ? undefined : startedAtMs + ttlMs;
  const login: Login = {
    id: loginIdOf(token, textAt(data, 'accessor')),
    issuedAtMs: startedAtMs,
    expiresAtMs,
    renewable,
    maxExpiresAtMs: renewable ? explicitEnd(data, answer, startedAtMs) : expiresAtMs,
    ours: false,
  };
  const grantedMs = millisecondsAt(data, 'period') || millisecondsAt(data, 'creation_ttl') || ttlMs;
  return { login, grantedMs: ttlMs === undefined ? undefined : grantedMs };
}

/** The login after renew-self. A grant that falls short of the former one shows where the max TTL lies. */
export function grantedByRenewal(answer: VaultAnswer, startedAtMs: number, former: Granted): Granted {
  const auth = objectAt(answer.json, 'auth');
  const grantedMs = millisecondsAt(auth, 'lease_duration') || undefined;
  if (grantedMs === undefined) return former;
  const renewable = auth?.['renewable'] === true;
  const expiresAtMs = startedAtMs + grantedMs;
  const fellShort = former.grantedMs !== undefined && grantedMs < former.grantedMs - ROUNDING_MS;
  const capped = fellShort || warningsOf(answer.json).some((warning) => /max_ttl|capped/i.test(warning));
  const maxExpiresAtMs = capped || !renewable ? expiresAtMs : former.login.maxExpiresAtMs;
  return {
    login: { ...former.login, expiresAtMs, renewable, maxExpiresAtMs },
    grantedMs: former.grantedMs ?? grantedMs,
  };
}

/** When the login ends at the latest, however often it is renewed; undefined: never, as far as is known. */
export function lastMomentOf(login: Login): number | undefined {
  return login.renewable ? login.maxExpiresAtMs : login.expiresAtMs;
}

/** The accessor names a token without being one; batch tokens have none, so a digest stands for it. */
function loginIdOf(token: string, accessor: string): string {
  return accessor === ''
    ? `token-${createHash('sha256').update(`login:${token}`).digest('hex').slice(0, 24)}`
    : accessor;
}

function explicitEnd(data: Json | undefined, answer: VaultAnswer | undefined, startedAtMs: number): number | undefined {
  const explicitMaxMs = millisecondsAt(data, 'explicit_max_ttl');
  const createdMs = millisecondsAt(data, 'creation_time');
  if (explicitMaxMs === 0 || createdMs === 0 || answer === undefined) return undefined;
  const ageMs = Math.max(0, (serverTimeOf(answer) ?? startedAtMs) - createdMs);
  return startedAtMs + Math.max(0, explicitMaxMs - ageMs);
}
