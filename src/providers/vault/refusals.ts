import type { FailureConcern, FailureKind } from '../../errors.ts';
import { type Asked, type HttpReply, isObject, objectAt, type VaultPlace } from './answer.ts';

/** In a warning of three lines that says nothing more than our own remedy. */
export const VERSIONED = 'versioned K/V';

/** Without `concerns`: what the request was for. */
export type Parts = readonly [kind: FailureKind, message: string, remedy: string, concerns?: FailureConcern];

/** What Vault's own refusal (4xx) means for what was asked; `words` are its errors and warnings. */
export function judge(answer: HttpReply, asked: Asked, words: string): Parts {
  const { status } = answer;
  if (words.includes('namespace not found')) return withoutNamespace(asked);
  if (asked.what !== 'login' && UNMOUNTED.test(words)) return unmounted(asked);
  if (!JUDGES.has(status) || (status === 400 && NOT_NOW.test(words))) {
    const message = `Vault at ${asked.address} cannot answer this now (${status} to ${asked.path})`;
    return ['transient', message, 'wait a moment; if it lasts, see its log'];
  }
  return isForeign(answer, asked, words) ? somebodyElse(answer, asked) : OF_PURPOSE[asked.what](answer, asked, words);
}

/** The statuses with which Vault judges a request; the others of 4xx are those of proxies, or of Vault in some trouble. */
const JUDGES: ReadonlySet<number> = new Set([400, 403, 404, 405]);

/**
 * What passes although the status says that the request is wrong: KV v1 while it becomes v2 (Vault, and secondaries that wait
 * for their primary), and engines and logins that could not reach what they ask.
 */
const NOT_NOW =
  /from non-versioned to versioned|unavailable for a brief period|context (?:deadline exceeded|canceled)|connection (?:refused|reset)|i\/o timeout|no such host|network error|throttl/i;

const UNMOUNTED = /no handler for route|unsupported path/;

function unmounted({ provider, path, namespace }: Asked): Parts {
  const where = namespace === undefined ? '' : ` in namespace ${namespace}`;
  const remedy = `correct the path or mount, or namespace in [providers.${provider}]`;
  return ['misconfigured', `nothing is mounted at ${path}${where}`, remedy];
}

/** Vault answers 500 to a name that no user can have (with a blank in it, say); OpenBao and older versions answer 404. */
export function noSuchName({ path, provider }: Asked): Parts {
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

/** Vault's own 404 is without words, within its envelope, or about a route or a lease. */
const OWN_404 = /no handler for route|unsupported path|lease not found/;

/** A gateway's refusal in a shape that Vault's could have. Logins refuse in many words. */
function isForeign({ status, json }: HttpReply, { what }: Asked, words: string): boolean {
  if (status === 403) return (what === 'read' || what === 'lease' || what === 'token') && !DENIAL.test(words);
  return status === 404 && words !== '' && json?.['request_id'] === undefined && !OWN_404.test(words);
}

export function somebodyElse({ status }: HttpReply, asked: Asked): Parts {
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
    return ['gone', `this version of ${path} was deleted`, 'have it restored (vault kv undelete) or a new one written'];
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
    const isOidc = /\/oidc\/\w+$/.test(asked.path);
    return [
      'login-expired',
      `Vault refuses the login at ${asked.path} (403)`,
      `${unmountedLogin(asked.path)}: vault auth list shows what is; else set mount in ${table}${isOidc ? '' : ', or renew its secret'}`,
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

/** `auth/team/oidc/oidc/auth_url` → what has to be mounted where. */
function unmountedLogin(path: string): string {
  const [, mount = path] = /^auth\/(.+?)(?:\/oidc\/\w+|\/login(?:\/[^/]*)?)$/.exec(path) ?? [];
  return `check that a login is mounted at ${mount}/`;
}

/** Vault names enforcement and methods around what a person wants to know: which of their factors failed, and why. */
export function reasonsOf(errors: readonly string[]): readonly string[] {
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

export function otherServer({ provider }: VaultPlace): string {
  return `check address in [providers.${provider}]; a proxy, a gateway or a sign-in page may be answering`;
}
