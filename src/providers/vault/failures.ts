import { type FailureConcern, ProviderError, type ProviderErrorOptions } from '../../errors.ts';
import { foreignName, printable, redact } from '../../platform/text.ts';
import {
  type Asked,
  errorsOf,
  type HttpReply,
  isEnvelope,
  retryAfterOf,
  speaksVault,
  type VaultPlace,
  type VaultReply,
  warningsOf,
} from './answer.ts';
import { judge, noSuchName, otherServer, type Parts, reasonsOf, somebodyElse, VERSIONED } from './refusals.ts';
import { isRedirect, redirectTarget } from './transport.ts';

/** Whom a failure concerns that is not one of the whole address. */
const CONCERN: Readonly<Record<Asked['what'], FailureConcern>> = {
  read: 'secret',
  lease: 'secret',
  unwrap: 'secret',
  login: 'login',
  'second-factor': 'login',
  token: 'login',
};

/** Tried again with the same inputs they fail again, and count as wrong logins. */
const LOGS_IN: ReadonlySet<Asked['what']> = new Set(['login', 'second-factor', 'unwrap']);

/**
 * Sorts an answer that is not a success, as https://developer.hashicorp.com/vault/api-docs#http-status-codes and
 * `sys/health` document the statuses. Only Vault's own words can take a key away: the same status from
 * something else (a proxy, a gateway) is transient. 403 to a read is `denied` here; whether the login still lives is the caller's to find out.
 */
export function failureOf({ asked, ...answer }: VaultReply): ProviderError {
  const errors = errorsOf(answer) ?? [];
  const said = asked.what === 'second-factor' ? reasonsOf(errors) : errors;
  const words = serverWords([...said, ...warningsOf(answer.json)], asked.secrets);
  const [kind, message, remedy, concerns = CONCERN[asked.what]] = sort(answer, asked, words);
  const retryAfterMs = retryAfterOf(answer);
  const options: ProviderErrorOptions = {
    remedy,
    concerns,
    isOverloaded: answer.status === 429 || answer.status >= 500,
    ...(LOGS_IN.has(asked.what) && kind !== 'transient' ? { isRefusedLogin: true } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
  const repeated = words === undefined || words.includes(VERSIONED) ? '' : `: ${words}`;
  return new ProviderError(kind, `${message}${repeated}`, options);
}

/** What Vault refuses with; undefined if it is a success of Vault's. @throws ProviderError if it is one of somebody else's. */
export function refusalIn(reply: VaultReply): ProviderError | undefined {
  if (reply.status < 200 || reply.status > 299) return failureOf(reply);
  if (!isEnvelope(reply)) throw notVault(reply);
  return undefined;
}

/** The reply itself. @throws ProviderError if it is not a success that comes from Vault. */
export function successIn(reply: VaultReply): VaultReply {
  const refusal = refusalIn(reply);
  if (refusal !== undefined) throw refusal;
  return reply;
}

/** A success that holds nothing that could be it: a sign-in page, a gateway. */
export function notVault({ asked, ...answer }: VaultReply): ProviderError {
  const message = `what answers at ${asked.address} is not Vault (${answer.status} without Vault's JSON)`;
  return new ProviderError('transient', message, { remedy: otherServer(asked), concerns: 'address' });
}

/** Nothing came within the time limit; with a `path`, nothing about that, although the address answers. */
export function tooSlow({ address }: VaultPlace, limitMs: number, remedy: string, path?: string): ProviderError {
  const about = path === undefined ? '' : ` about ${path}`;
  const concerns = path === undefined ? 'address' : 'secret';
  const message = `Vault at ${address} did not answer within ${limitMs / 1000} s${about}`;
  return new ProviderError('transient', message, { remedy, concerns, waitedMs: limitMs });
}

/** Vault's own success, with nothing in it. */
export function withoutSecret({ asked, status }: VaultReply): ProviderError {
  return new ProviderError('misconfigured', `${asked.path} answers without a secret (${status})`, {
    remedy: 'correct path and method of the credential',
  });
}

/** Vault does not know the token that was handed in, or no longer: a person has to hand in another. */
export function tokenOver(source: string, { address }: VaultPlace): ProviderError {
  const message = `Vault at ${address} does not accept the token from ${source}: expired, revoked, or of another namespace`;
  return new ProviderError('login-expired', message, {
    remedy: tokenRemedy(source),
    concerns: 'login',
    isRefusedLogin: true,
  });
}

/** `vault login` writes ~/.vault-token and nothing else. */
function tokenRemedy(source: string): string {
  if (source === '~/.vault-token') return 'run: vault login';
  return source.includes('/') ? `write a valid token to ${source}` : `put a valid token there: ${source}`;
}

function sort(answer: HttpReply, asked: Asked, words: string | undefined): Parts {
  const { status } = answer;
  const { address, path } = asked;
  const where = `(${status} to ${path})`;
  if (isRedirect(answer)) return redirected(answer, asked);
  const isVault = speaksVault(answer);
  const ofTheWhole = OF_THE_WHOLE[status];
  if (status >= 500 && words?.includes('sealed')) {
    return ['transient', `Vault at ${address} is sealed (${status})`, SEALED, 'address'];
  }
  if (ofTheWhole !== undefined) {
    const [what, remedy] = ofTheWhole;
    return ['transient', `Vault at ${address} ${what} (${status})`, remedy, 'address'];
  }
  const ofThis = OF_THIS_REQUEST[status];
  if (ofThis !== undefined && isVault) return ['transient', `Vault at ${address} ${ofThis[0]} ${where}`, ofThis[1]];
  if (asked.what === 'login' && words?.includes('failed to determine alias name') === true) return noSuchName(asked);
  if (status >= 500 && isVault && !LEADERLESS.test(words ?? '')) {
    return ['transient', `Vault at ${address} failed ${where}`, 'see its health and its log'];
  }
  if (status >= 500) {
    return ['transient', `Vault at ${address} failed (${status})`, 'see its health and its log', 'address'];
  }
  if (answer.wantsTls) {
    const remedy = `write https:// in address in [providers.${asked.provider}]`;
    return ['misconfigured', `what answers at ${address} wants TLS (${status})`, remedy, 'address'];
  }
  if (!isVault) return somebodyElse(answer, asked);
  return judge(answer, asked, words ?? '');
}

const LEADERLESS = /active cluster node|not active/;

const SEALED = "have Vault's operators unseal it";

type WhatAndRemedy = readonly [what: string, remedy: string];

/** Whatever was asked, and whoever answered with it. */
const OF_THE_WHOLE: Readonly<Record<number, WhatAndRemedy>> = {
  472: ['is a disaster-recovery secondary', 'correct address to the primary, or have the secondary promoted'],
  473: ['is a performance standby that does not forward', 'correct address to the active node, or wait'],
  474: ['is a standby without an active node', 'have its operators look at the cluster'],
  501: ['is not initialized', "have Vault's operators initialize it"],
  503: ['is sealed or in maintenance', "have Vault's operators look at it"],
  530: ['was removed from its cluster', 'correct address to a live node'],
};

/** Of this path, as quotas and engines are; another may be answered. */
const OF_THIS_REQUEST: Readonly<Record<number, WhatAndRemedy>> = {
  412: ['lags behind our last request', 'wait a moment; if it goes on, ask the Vault administrator'],
  429: ['is asked too often, or is a standby', 'wait; if it lasts, ask its operators for a higher rate or lease quota'],
  502: ['could not reach what it needs for this', 'have its operators check the backend of this engine'],
};

function redirected(answer: HttpReply, asked: Asked): Parts {
  const target = redirectTarget(answer, asked.address);
  const where = target === undefined ? 'nowhere' : foreignName(`${target.protocol}//${target.host}`, 100);
  const message = `${asked.address} redirects to ${where} (${answer.status} to ${asked.path}), where the token is not sent`;
  return ['transient', message, `if that is your Vault, write it as address in [providers.${asked.provider}]`];
}

/** As much of a server's words as a message has room for. */
const LONGEST = 160;

/**
 * Vault's own `errors` (or `warnings`) as one harmless line: printable ASCII, bounded, and without anything that the request
 * held as a secret or that looks like one. Undefined if there is nothing to say.
 */
export function serverWords(messages: readonly string[], secrets: readonly string[]): string | undefined {
  const plain = messages
    .flatMap((message) => message.replace(/^\d+ errors? occurred:/, '').split(/\n\s*\*\s*/))
    .map((part) => part.replaceAll(/[^\x20-\x7e]+/g, ' ').trim())
    .filter((part) => part !== '');
  const line = printable(redact([...new Set(plain)].join('; '), secrets).replace(/\.$/, ''), LONGEST);
  return line === '' ? undefined : line;
}
