import { decodeJwt, type JwtClaims } from '../../credential/expiry.ts';
import { ProviderError } from '../../errors.ts';
import { printable, redact } from '../../platform/text.ts';
import { type JsonAnswer, retryAfterIn, timeOf } from '../http.ts';
import type { WifOptions } from './options.ts';

/** What was asked, as far as a message may tell it. */
export interface AskedExchange {
  readonly provider: string;
  readonly options: WifOptions;
  /** The URL of the exchange. */
  readonly where: string;
  /** Where the identity token is from: `the file /run/token`. */
  readonly origin: string;
  /** The identity token itself, of which its claims may be told. */
  readonly assertion: string;
  /** It was exchanged before. */
  readonly wasUsed: boolean;
}

/** The endpoint refuses longer ones, and so does @anthropic-ai/sdk. */
const LONGEST_ASSERTION = 16 * 1024;

/** Why this need not be sent; undefined: it may be an identity token. */
export function notAnAssertion(asked: AskedExchange): ProviderError | undefined {
  const { assertion, origin, provider } = asked;
  const remedy = `let identity in [providers.${provider}] name the JWT that your identity provider issues`;
  if (assertion.length > LONGEST_ASSERTION) {
    const kib = Math.ceil(assertion.length / 1024);
    const message = `the identity token from ${origin} has ${kib} KiB, and Anthropic takes at most 16`;
    return new ProviderError('misconfigured', message, {
      remedy: 'have it issued with fewer claims',
      concerns: 'login',
    });
  }
  if (claimsOf(asked) !== undefined) return undefined;
  const message = `what ${origin} holds is not a JWT, so not an identity token`;
  return new ProviderError('misconfigured', message, { remedy, concerns: 'login' });
}

/**
 * Sorts an answer that is not a success. None counts as a refused login, after which only a changed input is tried: no account is
 * locked there, and a rule is corrected in the Console without anything changing here. Only an error object of Anthropic's (`error.type`) or of OAuth (RFC 6749 section 5.2)
 * with a word that is known says anything about token or configuration; whatever else stands in its place is transient. The
 * endpoint tells little (`Authentication failed`): the token's own claims tell more.
 */
export function failureOf(reply: JsonAnswer, asked: AskedExchange, wallMs: number): ProviderError {
  const { word, words } = errorIn(reply, asked);
  const { status } = reply;
  if (status === 429 || status >= 500 || (word !== undefined && PASSING.has(word)))
    return overloaded(reply, asked, words);
  const said = words === '' ? '' : `: ${words}`;
  const refusal = (kind: 'login-expired' | 'denied' | 'misconfigured', what: string, remedy: string) => {
    return new ProviderError(kind, `Anthropic ${what} (${status} ${word})${said}`, { remedy, concerns: 'login' });
  };
  if (word === undefined || !KNOWN.has(word)) return notAnthropic(reply, asked);
  const table = `[providers.${asked.provider}]`;
  if (word === 'permission_error' || word === 'unauthorized_client' || word === 'access_denied') {
    return refusal(
      'denied',
      'denies this service account a token',
      'have an administrator of the organization allow it',
    );
  }
  const claims = claimsOf(asked);
  const nowMs = timeOf(reply) ?? wallMs;
  const renew = `let ${asked.origin} have a new one`;
  if (word === 'authentication_error' || word === 'invalid_grant') {
    if (/\bnot (?:yet )?valid yet|not yet valid|\bnbf\b|issued in the future/i.test(words) || starts(claims, nowMs)) {
      const message = `Anthropic finds that the identity token is not valid yet (${status} ${word})${said}`;
      const remedy = 'set the clock of the machine that issues it';
      return new ProviderError('transient', message, { remedy, concerns: 'login' });
    }
    if (/\bexpired\b/i.test(words) || (claims?.expiresAtMs ?? Number.POSITIVE_INFINITY) <= nowMs) {
      return refusal('login-expired', 'says that the identity token has expired', renew);
    }
    if (asked.wasUsed) {
      const what = 'does not take the identity token again, with which a token was issued before';
      return refusal('login-expired', what, `${renew}: each can be exchanged once`);
    }
  }
  if (
    NO_SUCH.test(words) ||
    word === 'not_found_error' ||
    word.startsWith('invalid_request') ||
    word.startsWith('unsup')
  ) {
    const ids = 'federation_rule_id, organization_id, service_account_id and workspace_id';
    return refusal('misconfigured', 'does not know what was asked for', `check ${ids} in ${table}`);
  }
  return refusal('login-expired', 'does not accept the identity token', compare(asked));
}

/** A rule, an account, a workspace that is not there, or that is needed and not named. */
const NO_SUCH =
  /\b(?:federation.?rule|service.?account|organi[sz]ation|workspace|fdrl_\w*|svac_\w*|wrkspc_\w*)\b.*\b(?:not found|does not exist|unknown|invalid|archived|disabled|required|missing)|\bno (?:such|matching) (?:federation )?rule/i;

/** https://platform.claude.com/docs/en/api/errors, and RFC 6749 section 5.2. */
const PASSING = new Set([
  'rate_limit_error',
  'overloaded_error',
  'api_error',
  'timeout_error',
  'temporarily_unavailable',
]);
const KNOWN = new Set([
  'authentication_error',
  'permission_error',
  'not_found_error',
  'invalid_request_error',
  'invalid_grant',
  'invalid_request',
  'invalid_client',
  'unauthorized_client',
  'unsupported_grant_type',
  'access_denied',
]);

/** What a person compares with the rule in the Console: its issuer, subject and audience, none of which is secret. */
function compare({ assertion }: AskedExchange): string {
  const claims = Object.entries(payloadOf(assertion) ?? {});
  const shown = ['iss', 'sub', 'aud'].flatMap((name) => {
    const value = claims.find(([key]) => key === name)?.[1];
    return value === undefined ? [] : `${name} ${printable(redact(String(value)), 60)}`;
  });
  const has = shown.length === 0 ? '' : ` (${shown.join(', ')})`;
  return `compare its claims${has} with the federation rule; Console, Workload identity, lists every attempt`;
}

function payloadOf(jwt: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}

function claimsOf({ assertion }: AskedExchange): JwtClaims | undefined {
  return decodeJwt(Buffer.from(assertion, 'latin1'));
}

/** So much later than now that the clocks differ. */
const SKEW_MS = 1_000;

function starts(claims: JwtClaims | undefined, nowMs: number): boolean {
  return (claims?.notBeforeMs ?? Number.NEGATIVE_INFINITY) > nowMs + SKEW_MS;
}

/** Both shapes: `{"error": {"type", "message"}}` and `{"error": "…", "error_description": "…"}`. */
function errorIn(
  { json }: JsonAnswer,
  { assertion }: AskedExchange,
): { readonly word: string | undefined; readonly words: string } {
  const { error, error_description } = json ?? {};
  const inner = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>;
  const word = typeof error === 'string' ? error : inner['type'];
  const text = typeof error === 'string' ? error_description : inner['message'];
  return {
    word: typeof word === 'string' && /^[a-z_]{1,40}$/.test(word) ? word : undefined,
    words: typeof text === 'string' ? printable(redact(text, [assertion]), 120) : '',
  };
}

function overloaded(reply: JsonAnswer, { where }: AskedExchange, words: string): ProviderError {
  const { status } = reply;
  const retryAfterMs = retryAfterIn(reply);
  const what = status === 429 ? 'is asked too often for tokens' : 'cannot exchange tokens now';
  const message = `Anthropic ${what} (${status} from ${where})${words === '' ? '' : `: ${words}`}`;
  return new ProviderError('transient', message, {
    remedy: status === 429 ? 'wait; if it lasts, ask Anthropic for a higher limit' : 'wait; see status.claude.com',
    concerns: 'address',
    isOverloaded: true,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

function notAnthropic({ status, headers }: JsonAnswer, { provider, where }: AskedExchange): ProviderError {
  if (status >= 300 && status < 400) {
    const target = URL.parse(headers['location'] ?? '', where);
    const to = target === null ? 'nowhere' : printable(target.origin, 100);
    return new ProviderError('transient', `${where} redirects to ${to} (${status}), where nothing is sent`, {
      remedy: `if that is the right server, write it as base_url in [providers.${provider}]`,
      concerns: 'address',
    });
  }
  return new ProviderError('transient', `what answers at ${where} is not Anthropic (${status})`, {
    remedy: `check base_url in [providers.${provider}]; a proxy, a gateway or a sign-in page may be answering`,
    concerns: 'address',
  });
}

/** A success without a token in it. */
export function notAToken(reply: JsonAnswer, asked: AskedExchange): ProviderError {
  return notAnthropic(reply, asked);
}

export function tooSlow({ where, provider }: AskedExchange, limitMs: number): ProviderError {
  return new ProviderError('transient', `no token came from ${where} within ${limitMs / 1000} s`, {
    remedy: `see whether it is reachable; timeout in [providers.${provider}] sets the limit`,
    concerns: 'address',
    waitedMs: limitMs,
  });
}
