import { type FailureKind, ProviderError, type ProviderErrorOptions } from '../../errors.ts';
import { printable, redact } from '../../platform/text.ts';
import {
  type Asked,
  errorsOf,
  type HttpReply,
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

type Parts = readonly [kind: FailureKind, message: string, remedy: string];

/**
 * Sorts an answer that is not a success, as https://developer.hashicorp.com/vault/api-docs#http-status-codes and
 * `sys/health` document the statuses. Only Vault's own words can take a key away: the same status on the page of
 * something else (a proxy) is transient. 403 to a read is `denied` here; whether the login still lives is the caller's to find out.
 */
export function failureOf({ asked, ...answer }: VaultReply): ProviderError {
  const errors = errorsOf(answer) ?? [];
  const said = asked.what === 'second-factor' ? reasonsOf(errors) : errors;
  const words = serverWords([...said, ...warningsOf(answer.json)], asked.secrets);
  const [kind, message, remedy] = sort(answer, asked, words);
  const retryAfterMs = retryAfterOf(answer);
  const isOverloaded = answer.status === 429 || answer.status >= 500;
  const options = { remedy, isOverloaded, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  const repeated = words === undefined || words.includes(VERSIONED) ? '' : `: ${words}`;
  return new ProviderError(kind, `${message}${repeated}`, options);
}

/** The reply itself if it is a success. @throws ProviderError if it is not, or not from Vault. */
export function grantIn(reply: VaultReply): VaultReply {
  if (reply.status !== 200) throw failureOf(reply);
  if (reply.json === undefined) throw notVault(reply);
  return reply;
}

/** A success that holds nothing that could be it. */
export function notVault({ asked, ...answer }: VaultReply): ProviderError {
  const message = `what answers at ${asked.address} is not Vault (${answer.status} without Vault's JSON to ${asked.path})`;
  return new ProviderError('transient', message, {
    remedy: `check address in [providers.${asked.provider}]; a proxy or a sign-in page may be answering`,
  });
}

/** Nothing came within the time limit. */
export function tooSlow({ address }: VaultPlace, limitMs: number, remedy: string): ProviderError {
  return new ProviderError('transient', `Vault at ${address} did not answer within ${limitMs / 1000} s`, { remedy });
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
  });
}

function sort(answer: HttpReply, asked: Asked, words: string | undefined): Parts {
  const { status } = answer;
  const table = `[providers.${asked.provider}]`;
  if (isRedirect(answer)) return redirected(answer, asked);
  const unavailable = UNAVAILABLE[status];
  if (unavailable !== undefined) {
    const [what, remedy] = words?.includes('sealed') ? SEALED : unavailable;
    return ['transient', `Vault at ${asked.address} ${what} (${status})`, remedy];
  }
  if (asked.what === 'login' && words?.includes('failed to determine alias name') === true) return noSuchName(asked);
  if (status >= 500) return ['transient', `Vault at ${asked.address} failed (${status})`, 'see its health and its log'];
  if (!speaksVault(answer) && status === 400) {
    return [
      'misconfigured',
      `what answers at ${asked.address} refuses the request (400)`,
      `write https:// in address in ${table}`,
    ];
  }
  if (!speaksVault(answer)) {
    const message = `what answers at ${asked.address} is not Vault (${status} without Vault's JSON)`;
    return ['transient', message, `check address in ${table}; a proxy or a sign-in page may be answering`];
  }
  if (words?.includes('namespace not found')) return withoutNamespace(asked);
  if (words !== undefined && asked.what !== 'login' && UNMOUNTED.test(words)) return unmounted(asked);
  return OF_PURPOSE[asked.what](answer, asked, words ?? '');
}

const SEALED = ['is sealed', "have Vault's operators unseal it"] as const;

const UNAVAILABLE: Readonly<Record<number, readonly [what: string, remedy: string]>> = {
  412: ['lags behind our last request', 'wait a moment; if it goes on, ask the Vault administrator'],
  429: ['is asked too often, or is a standby', 'wait; if it lasts, ask its operators for a higher rate or lease quota'],
  472: ['is a disaster-recovery secondary', 'correct address to the primary, or have the secondary promoted'],
  473: ['is a performance standby that does not forward', 'correct address to the active node, or wait'],
  474: ['is a standby without an active node', 'have its operators look at the cluster'],
  501: ['is not initialized', "have Vault's operators initialize it"],
  502: ['could not reach what it needs for this', 'have its operators check the backend of this engine'],
  503: ['is sealed or in maintenance', "have Vault's operators look at it"],
  530: ['was removed from its cluster', 'correct address to a live node'],
};

function redirected(answer: HttpReply, asked: Asked): Parts {
  const target = redirectTarget(answer, asked.address);
  const where = target === undefined ? 'nowhere' : `${target.protocol}//${target.host}`.slice(0, 100);
  const message = `${asked.address} redirects to ${where} (${answer.status}), where the token is not sent`;
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
    `have a new one issued for [providers.${asked.provider}]; if nobody here has used it, somebody else has`,
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
  if (status === 403) {
    const hint = path.split('/')[1] === 'data' ? '' : '; if it is KV v2, data/ is missing after its mount';
    return ['denied', `Vault denies ${path} to this login (403)`, `allow read on ${path} in its policy${hint}`];
  }
  if (status === 404) return missing(answer, path, words);
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

function missing(answer: HttpReply, path: string, words: string): Parts {
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
