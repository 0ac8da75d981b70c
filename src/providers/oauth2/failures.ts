import { type FailureKind, ProviderError, type ProviderErrorOptions } from '../../errors.ts';
import { printable, redact } from '../../platform/text.ts';
import { type JsonAnswer, retryAfterIn } from '../http.ts';
import { isInteractive, type OAuth2Options } from './options.ts';

/** What was asked, as far as a message may tell it. */
export interface OAuthAsked {
  readonly provider: string;
  readonly options: OAuth2Options;
  readonly what: 'discovery' | 'token' | 'device' | 'login page';
  /** Origin and path. */
  readonly where: string;
  /** Which token was handed in with it; undefined: none. */
  readonly handedIn?: string | undefined;
  /** Where the client's own secret is from. */
  readonly shownBy?: string | undefined;
  /** Whatever of the request a server could repeat. */
  readonly secrets: readonly string[];
}

/**
 * Sorts an answer that is not a success. Only an OAuth error object (RFC 6749 section 5.2) with a word that is known says that
 * a login is over or that something is wrong with the configuration; whatever else stands in a server's place is transient.
 */
export function failureOf(reply: JsonAnswer, asked: OAuthAsked): ProviderError {
  const { status } = reply;
  const error = wordIn(reply);
  const said = wordsOf(reply, asked);
  const where = `(${status} from ${asked.where})`;
  const isOverloaded = status === 429 || status >= 500;
  const retryAfterMs = retryAfterIn(reply);
  const waits = { isOverloaded, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  const known = error === undefined || isOverloaded ? undefined : ERRORS[error];
  if (known !== undefined) {
    const sorted = known(asked);
    const { kind, what, remedy, concerns = 'login', isRefusedLogin } = sorted;
    const options: ProviderErrorOptions = { remedy, concerns, ...waits, ...(isRefusedLogin ? { isRefusedLogin } : {}) };
    return new ProviderError(kind, `${what} (${error})${said}`, options);
  }
  if (isOverloaded || error !== undefined) {
    const what = status === 429 ? 'is asked too often' : 'cannot answer this now';
    const named = error === undefined ? '' : `: ${error}`;
    const message = `the identity provider of "${asked.provider}" ${what} ${where}${named}${said}`;
    // An HTML page or an empty body behind a 5xx is as much of the address as the server's own word.
    return new ProviderError('transient', message, {
      remedy:
        status === 429
          ? 'wait; if it lasts, ask its operators for a higher limit'
          : 'wait; if it lasts, see its status page',
      concerns: 'address',
      ...waits,
    });
  }
  return notOAuth(reply, asked);
}

/** Neither tokens nor an error of OAuth: a sign-in page, a gateway, a wrong address. */
export function notOAuth({ status, headers }: JsonAnswer, { provider, where, what }: OAuthAsked): ProviderError {
  if (status >= 300 && status < 400) {
    const target = URL.parse(headers['location'] ?? '', where);
    const to = target === null ? 'nowhere' : target.origin.slice(0, 100);
    return new ProviderError('transient', `${where} redirects to ${to} (${status}), where nothing is sent`, {
      remedy: `if that is the right server, write its address in [providers.${provider}]`,
      concerns: 'address',
    });
  }
  const kind = /\bhtml\b/i.test(headers['content-type'] ?? '') ? 'a web page' : "no OAuth server's answer";
  const key = what === 'discovery' ? 'issuer' : 'the addresses';
  return new ProviderError('transient', `what answers at ${where} sent ${kind} (${status})`, {
    remedy: `check ${key} in [providers.${provider}]; a proxy, a gateway or a sign-in page may be answering`,
    concerns: 'address',
  });
}

export function nobodyLoggedIn(provider: string): ProviderError {
  return new ProviderError('login-expired', `nobody is logged in to provider "${provider}"`, {
    remedy: `run: broker login ${provider}`,
    concerns: 'login',
  });
}

interface Sorted {
  readonly kind: FailureKind;
  readonly what: string;
  readonly remedy: string;
  /** Default: the login. */
  readonly concerns?: 'secret' | 'address';
  /** Tried again with the same inputs it fails again. */
  readonly isRefusedLogin?: true;
}

/** RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628 section 3.5, RFC 8693 section 2.2.2, RFC 8707 section 2, OpenID Connect Core 3.1.2.6. */
const ERRORS: Readonly<Record<string, (asked: OAuthAsked) => Sorted>> = {
  invalid_grant: refusedGrant,
  invalid_client: refusedClient,
  interaction_required: wantsAPerson,
  login_required: wantsAPerson,
  consent_required: wantsAPerson,
  account_selection_required: wantsAPerson,
  access_denied: refused,
  expired_token: notCompleted,
  // Entra ID's and GitHub's words at a device login.
  authorization_declined: refused,
  bad_verification_code: notCompleted,
  incorrect_device_code: notCompleted,
  incorrect_client_credentials: refusedClient,
  device_flow_disabled: notAllowed,
  unauthorized_client: notAllowed,
  unsupported_grant_type: notAllowed,
  unsupported_response_type: notAllowed,
  invalid_scope: refusedScope,
  // Keycloak, to offline_access for those who may not have it.
  not_allowed: refusedScope,
  invalid_target: (asked) => ({
    kind: 'misconfigured',
    what: `the identity provider of "${asked.provider}" knows no such audience or resource`,
    remedy: `correct audience or resource of the credential, or in [providers.${asked.provider}]`,
    concerns: 'secret',
  }),
  invalid_request: (asked) => ({
    kind: 'misconfigured',
    what: `the identity provider of "${asked.provider}" does not understand the request`,
    remedy: `correct grant, params and the like in [providers.${asked.provider}] or the credential`,
    concerns: 'secret',
  }),
};

function refused({ options, provider }: OAuthAsked): Sorted {
  return isInteractive(options)
    ? {
        kind: 'login-expired',
        what: `the login to provider "${provider}" was refused`,
        remedy: `log in as a user who may, and allow it: broker login ${provider}`,
      }
    : {
        kind: 'denied',
        what: `the identity provider of "${provider}" refuses the broker this token`,
        remedy: 'have its administrators grant the client what it asks for',
        concerns: 'secret',
      };
}

function notCompleted({ provider }: Pick<OAuthAsked, 'provider'>): Sorted {
  return {
    kind: 'login-expired',
    what: 'nobody completed the login in time',
    remedy: `try again: broker login ${provider}`,
  };
}

/** The code of a device login is over, whatever the server says of it. */
export function codeIsOver(provider: string): ProviderError {
  const { kind, what, remedy } = notCompleted({ provider });
  return new ProviderError(kind, what, { remedy, concerns: 'login' });
}

function refusedGrant({ provider, options, handedIn }: OAuthAsked): Sorted {
  if (isInteractive(options)) {
    return {
      kind: 'login-expired',
      what: `the login to provider "${provider}" is over`,
      remedy: `run: broker login ${provider}`,
      isRefusedLogin: true,
    };
  }
  if (handedIn === undefined) {
    const what = `the identity provider of "${provider}" refuses the broker`;
    return { kind: 'login-expired', what, remedy: 'have its administrators look at the client', isRefusedLogin: true };
  }
  return {
    kind: 'login-expired',
    what: `the identity provider of "${provider}" does not accept the assertion from ${handedIn}`,
    remedy: `hand in one that is valid and meant for it: assertion in [providers.${provider}]; or have its issuer trusted there`,
    isRefusedLogin: true,
  };
}

function refusedClient({ provider, shownBy }: OAuthAsked): Sorted {
  const by = shownBy === undefined ? '' : `, which shows itself with ${shownBy}`;
  return {
    kind: 'login-expired',
    what: `the identity provider of "${provider}" does not accept this client${by}`,
    remedy:
      shownBy === undefined
        ? `correct client_id in [providers.${provider}]; if the client has a secret, name that`
        : `renew it, or correct client_id and client_auth in [providers.${provider}]`,
    isRefusedLogin: true,
  };
}

function wantsAPerson({ provider, options }: OAuthAsked): Sorted {
  const what = `the identity provider of "${provider}" wants a person`;
  if (!isInteractive(options)) {
    return {
      kind: 'misconfigured',
      what,
      remedy: 'have its administrators consent for the client, or use a grant with broker login',
    };
  }
  return { kind: 'login-expired', what, remedy: `run: broker login ${provider}`, isRefusedLogin: true };
}

function refusedScope({ provider }: OAuthAsked): Sorted {
  return {
    kind: 'misconfigured',
    what: `the identity provider of "${provider}" does not give these scopes`,
    remedy: `correct scope in [providers.${provider}], or scopes of the credential; or have the client registered for them`,
    concerns: 'secret',
  };
}

function notAllowed({ provider, options }: OAuthAsked): Sorted {
  return {
    kind: 'misconfigured',
    what: `the client of provider "${provider}" may not use grant ${options.grant}`,
    remedy: `have it allowed for the client there, or correct grant in [providers.${provider}]`,
  };
}

/** The server's `error`, if it could be one. */
export function wordIn({ json }: JsonAnswer): string | undefined {
  const error = json?.['error'];
  return typeof error === 'string' && /^[a-z_]{1,60}$/.test(error) ? error : undefined;
}

/** As much of a server's words as a message has room for. */
const LONGEST = 160;

function wordsOf({ json }: JsonAnswer, { secrets }: OAuthAsked): string {
  const description = json?.['error_description'];
  if (typeof description !== 'string') return '';
  // Entra ID goes on with ids and times that nobody reads.
  const telling = description.split(/\s*(?:Trace ID:|[\r\n])/)[0] ?? '';
  const line = printable(redact(telling.replaceAll(/[^\x20-\x7e]+/g, ' '), secrets).replace(/\.$/, ''), LONGEST);
  return line === '' ? '' : `: ${line}`;
}
