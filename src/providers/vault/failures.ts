import { type FailureConcern, type FailureKind, ProviderError, type ProviderErrorOptions } from '../../errors.ts';
import { printable, redact } from '../../platform/text.ts';
import {
  type Asked,
  errorsOf,
  type HttpReply,
  isEnvelope,
  isObject,
  objectAt,
  retryAfterOf,
  speaksVault,
  type VaultPlace,
  type VaultReply,
  warningsOf,
} from './answer.ts';
import { isRedirect, redirectTarget } from './transport.ts';

/** In a warning of three lines that says nothing more than our own remedy. */
const VERSIONED = 'versioned K/V';

/** Without `concerns`: what the request was for. */
type Parts = readonly [kind: FailureKind, message: string, remedy: string, concerns?: FailureConcern];

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
  return new ProviderError('transient', message, { remedy, concerns });
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
    remedy: `run: vault login, or hand in a valid token (${source})`,
    concerns: 'login',
    isRefusedLogin: true,
  });
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
  if (words?.includes('namespace not found')) return withoutNamespace(asked);
  if (words !== undefined && asked.what !== 'login' && UNMOUNTED.test(words)) return unmounted(asked);
  if (!JUDGES.has(status) || (status === 400 && NOT_NOW.test(words ?? ''))) {
    return [
      'transient',
      `Vault at ${address} cannot answer this now ${where}`,
      'wait a moment; if it lasts, see its log',
    ];
  }
  return OF_PURPOSE[asked.what](answer, asked, words ?? '');
}

function otherServer({ provider }: VaultPlace): string {
  return `check address in [providers.${provider}]; a proxy, a gateway or a sign-in page may be answering`;
}

/** The statuses with which Vault judges a request; the others of 4xx are those of proxies, or of Vault in some trouble. */
const JUDGES: ReadonlySet<number> = new Set([400, 403, 404, 405]);

/**
 * What passes although the status says that the request is wrong: KV v1 while it becomes v2 (Vault, and secondaries that wait
 * for their primary), and engines and logins that could not reach what they ask.
 */
const NOT_NOW =
  /from non-versioned to versioned|unavailable for a brief period|context (?:deadline exceeded|canceled)|connection (?:refused|reset)|i\/o timeout|no such host|network error|throttl/i;

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
  const where = target === undefined ? 'nowhere' : `${target.protocol}//${target.host}`.slice(0, 100);
  const message = `${asked.address} redirects to ${where} (${answer.status} to ${asked.path}), where the token is not sent`;
  return ['transient', message, `if that is your Vault, write it as address in [providers.${asked.provider}]`];
}

const UNMOUNTED = /no handler for route|unsupported path/;

function unmounted({ provider, path, namespace }: Asked): Parts {
  const where = namespace === undefined ? '' : ` in namespace ${namespace}`;
  const remedy = `correct the path or mount, or namespace in [providers.${provider}]`;
  return ['misconfigured', `nothing is mounted at ${path}${where}`, remedy];
}

/** Vault answers 500 to a name that no user can have (with a blank in it, say); OpenBao and older versions answer 404. */
function noSuchName({ path, provider }: Asked): Parts {
  return ['misconfigured', `Vault rejects the username at ${path}`, `correct username in [providers.${provider}.auth]`];
}

/** OpenBao says so; Vault Enterprise finds no route. The key is not gone: Vault never looked for it. */
function withoutNamespace({ provider, path, namespace = 'asked for' }: Asked): Parts {
  const remedy = `correct namespace in [providers.${provider}] or in the credential`;
  return ['misconfigured', `the namespace ${namespace} does not exist (404 to ${path})`, remedy];
}

const OF_PURPOSE: Readonly<Record<Asked['what'], (answer: HttpReply, asked: Asked, words: string) => Parts>> = {
  read: readFailure,
  login: loginFailure,
  'second-factor': ({ status }, { provider }, words) => refusedFactor(status, provider, words),
  unwrap: (answer, asked) => [
    'login-expired',
    `the wrapping token is spent, expired or forged (${answer.status})`,
    `have a new one issued for [providers.${asked.provider}]: each is good once; if no daemon of yours has used it, somebody else has`,
  ],
  lease: (answer, asked) =>
    answer.status === 403
      ? [
          'denied',
          `the policy of this login does not allow ${asked.path} (403)`,
          `allow update on ${asked.path} in its policy`,
        ]
      : ['gone', `the lease is gone (${answer.status})`, 'nothing: a new one is issued when it is needed'],
  token: (answer, asked) => [
    'login-expired',
    `the login token is over (${answer.status} to ${asked.path})`,
    `log in again for [providers.${asked.provider}]`,
  ],
};

function readFailure(answer: HttpReply, asked: Asked, words: string): Parts {
  const { status } = answer;
  const { path } = asked;
  if (status === 403 && !DENIAL.test(words)) return somebodyElse(answer, asked);
  if (status === 403) {
    const hint = path.split('/')[1] === 'data' ? '' : '; if it is KV v2, data/ is missing after its mount';
    return ['denied', `Vault denies ${path} to this login (403)`, `allow read on ${path} in its policy${hint}`];
  }
  if (status === 404) return missing(answer, asked, words);
  if (status === 405 || words.includes('unsupported operation')) {
    return [
      'misconfigured',
      `${path} does not answer this method (${status})`,
      'set method to POST, or back to GET, in the credential',
    ];
  }
  if (words.includes('no entity')) {
    return [
      'misconfigured',
      `${path} is only for logins that have an identity (${status})`,
      `log in with approle, jwt, kubernetes or the like in [providers.${asked.provider}.auth], not with a bare token`,
    ];
  }
  return [
    'misconfigured',
    `Vault refuses the request for ${path} (${status})`,
    'correct path, method or params of the credential',
  ];
}

/** How Vault, its policies and its tokens say no; a gateway that happens to list its errors as texts says it otherwise. */
const DENIAL = /denied|denial|(?:invalid|bad) token|not (?:authorized|allowed)/i;

function somebodyElse({ status }: HttpReply, asked: Asked): Parts {
  return [
    'transient',
    `what answers at ${asked.address} is not Vault (${status} to ${asked.path})`,
    otherServer(asked),
  ];
}

function missing(answer: HttpReply, asked: Asked, words: string): Parts {
  const { path } = asked;
  if (words.includes(VERSIONED)) {
    const [mount, ...rest] = path.split('/');
    const right = `${mount}/data/${rest.join('/')}`;
    return [
      'misconfigured',
      `${path} lacks the data/ of a KV v2 path (404)`,
      `write path = "${right}" (data/ comes right after the mount)`,
    ];
  }
  const data = answer.json?.['data'];
  const metadata = isObject(data) ? objectAt(data, 'metadata') : undefined;
  if (metadata?.['destroyed'] === true) {
    return ['gone', `this version of ${path} was destroyed`, 'have a new one written: it cannot be restored'];
  }
  if (metadata !== undefined) {
    return [
      'gone',
      `the newest version of ${path} was deleted`,
      'have it restored (vault kv undelete) or a new one written',
    ];
  }
  // Vault's own 404 is without words, or within its envelope.
  if (words !== '' && answer.json?.['request_id'] === undefined) return somebodyElse(answer, asked);
  return ['gone', `there is no secret at ${path} (404)`, 'correct path, or have the secret written'];
}

/** A person who can change its inputs fixes a refused login; until then a stale key may be served. */
function loginFailure(answer: HttpReply, asked: Asked, words: string): Parts {
  const table = `[providers.${asked.provider}.auth]`;
  if (answer.status === 404 || answer.status === 405) {
    return [
      'misconfigured',
      `there is no login at ${asked.path} (${answer.status})`,
      `correct method, mount and names in ${table}`,
    ];
  }
  // A mount that does not exist is answered like this, too: Vault does not tell a stranger what is mounted.
  if (answer.status === 403) {
    return [
      'login-expired',
      `Vault refuses the login at ${asked.path} (403)`,
      `check that method and mount in ${table} are right; else renew its secret`,
    ];
  }
  if (/missing \w+|role .*(?:not be found|not found|does not exist)|invalid role name/.test(words)) {
    return [
      'misconfigured',
      `Vault refuses the login at ${asked.path} (${answer.status})`,
      `correct the role in ${table}`,
    ];
  }
  return [
    'login-expired',
    `Vault refuses the login at ${asked.path} (${answer.status})`,
    `renew the secret of ${table}`,
  ];
}

/** Vault names enforcement and methods around what a person wants to know: which of their factors failed, and why. */
function reasonsOf(errors: readonly string[]): readonly string[] {
  return errors
    .map((error) => error.replace(/^failed to satisfy enforcement .*?\. error: /s, ''))
    .map((error) => error.replace(/\n\s*\* login MFA validation failed for methodID: \[[^\]]*\]/, ''));
}

/** How Vault refuses a second factor, and what the person can do about it. */
function refusedFactor(
  status: number,
  provider: string,
  words: string,
): readonly [kind: FailureKind, message: string, remedy: string] {
  const message = `Vault does not accept the second factor (${status})`;
  return ['login-expired', message, remedyFor(status, `broker login ${provider}`, words)];
}

function remedyFor(status: number, command: string, words: string): string {
  if (status !== 403) return `start again: ${command}`;
  if (/not present in entity/.test(words)) {
    return `have Vault's operators enrol you (identity/mfa/method/totp/admin-generate); then: ${command}`;
  }
  if (/maximum TOTP validation attempts/.test(words)) return `wait a minute, then try again: ${command}`;
  const isCode = /passcode|credentials/.test(words);
  return `try again${isCode ? ', with a code that was not used yet' : ''}: ${command}`;
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
