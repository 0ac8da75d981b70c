import type { Login } from '../../credential/life.ts';
import { type Json, parseObject, SecretBytes } from '../../credential/secret.ts';
import { ProviderError } from '../../errors.ts';
import { abortable, type TimeLimit, within } from '../../platform/waiting.ts';
import type { ProviderHost } from '../provider.ts';
import { type RefreshGrant, refreshGrantIn } from './answer.ts';
import type { GrantedTokens, HandedIn } from './client.ts';
import type { Courier, Receipt } from './courier.ts';
import { nobodyLoggedIn } from './failures.ts';

/** What `broker login` hands over: a refresh token, or where the server gives none the tokens themselves. */
export interface HandedOver {
  readonly refreshToken?: string | undefined;
  readonly accessToken?: string | undefined;
  readonly idToken?: string | undefined;
  /** Of the access token, by the server's clock. */
  readonly expiresAtServerMs?: number | undefined;
}

/** As one word of ASCII, which is what a login is on its way to the daemon and in the store. */
export function sealable(login: HandedOver): SecretBytes {
  return sealed(login);
}

function sealed(content: object): SecretBytes {
  return SecretBytes.fromString(Buffer.from(JSON.stringify(content)).toString('base64url'));
}

function objectIn(token: SecretBytes): Json | undefined {
  return parseObject(Buffer.from(token.reveal(), 'base64url').toString('utf8'));
}

function opened(token: SecretBytes): HandedOver | undefined {
  const login = objectIn(token) as HandedOver | undefined;
  const isWhole = typeof login?.refreshToken === 'string' || typeof login?.accessToken === 'string';
  return isWhole ? login : undefined;
}

/** There is one person to a provider. */
const LOGIN_ID = 'person';
/** How to find the answer to the refresh token that is on its way. */
const RECEIPT_ID = 'under-way';

/** Sends the refresh token; with a receipt by a process that outlives this one. */
export type RefreshTokenUse = (
  refreshToken: string,
  signal: AbortSignal,
  errand: Pick<HandedIn, 'receipt' | 'keep'>,
) => Promise<GrantedTokens>;

/**
 * The login of a person: a refresh token, which most servers replace at every use. Used twice it logs the person out. So there
 * is one use at a time, which neither an asker who gives up nor the end of this process cuts short, and the token that comes back
 * is on the disk before anything else is done with the answer.
 */
export class PersonSession {
  readonly #host: ProviderHost;
  readonly #limit: TimeLimit;
  readonly #courier: Courier;
  /** The last use that was begun; never rejects. */
  #last: Promise<void> = Promise.resolve();
  #held: SecretBytes | undefined;
  #isLoaded = false;
  readonly #closing = new AbortController();

  /** @param limit of one use. */
  constructor(host: ProviderHost, limit: TimeLimit, courier: Courier) {
    this.#host = host;
    this.#limit = limit;
    this.#courier = courier;
  }

  /** The tokens of this login. @param use sends the refresh token. @throws ProviderError login-expired if nobody is logged in. */
  tokens(use: RefreshTokenUse, signal: AbortSignal): Promise<GrantedTokens> {
    return this.#inTurn(signal, async () => {
      const login = await this.#login();
      if (login === undefined) throw nobodyLoggedIn(this.#host.name);
      if (login.refreshToken === undefined) return this.#asTheyAre(login);
      return await this.#use(login.refreshToken, use);
    });
  }

  /** A person has logged in: what they got is tried, and from then on it is their login. The former one is forgotten. */
  adopt(token: SecretBytes, use: RefreshTokenUse, signal: AbortSignal): Promise<Login> {
    return this.#inTurn(signal, async () => {
      const login = opened(token);
      if (login === undefined) throw notALogin(this.#host.name);
      const { attempts } = this.#host.logins;
      attempts.allow();
      if (login.refreshToken === undefined) return this.#keep(login, undefined);
      const { refreshLastsMs } = await this.#use(login.refreshToken, use);
      return this.#loginFor(refreshLastsMs);
    });
  }

  /** The person logs out. @param revoke tells the server (RFC 7009); the login is forgotten whatever that says. */
  end(revoke: (refreshToken: string, signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    return this.#inTurn(signal, async () => {
      const login = await this.#login();
      this.#host.logins.remove(LOGIN_ID);
      this.#held?.wipe();
      this.#held = undefined;
      if (login?.refreshToken === undefined) return;
      try {
        await within([this.#closing.signal], this.#limit, (own) => revoke(login.refreshToken ?? '', own));
      } catch (error) {
        if (!(error instanceof ProviderError)) throw error;
        this.#host.log.warn(
          { reason: error.message },
          'the login is forgotten, but the identity provider could not be told',
        );
      }
    });
  }

  /** Memory only: the store outlives the provider. */
  close(): void {
    this.#closing.abort(nobodyWaits(this.#host.name));
    this.#held?.wipe();
    this.#held = undefined;
  }

  /** The work goes on when its asker has given up: what it brings back must not be lost. */
  async #inTurn<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const turn = this.#last.then(() => {
      signal.throwIfAborted();
      return work();
    });
    this.#last = turn.then(
      () => undefined,
      () => undefined,
    );
    return await abortable(signal, () => turn);
  }

  async #use(refreshToken: string, use: RefreshTokenUse): Promise<GrantedTokens> {
    const { logins } = this.#host;
    logins.attempts.check();
    const receipt = this.#courier.prepare();
    // Before it is on its way: who finds this has to look for the answer.
    if (receipt !== undefined) logins.save(this.#loginFor(undefined, RECEIPT_ID), sealed(receipt));
    let isAnswered = false;
    try {
      // A provider that is closed meanwhile leaves the answer to its successor.
      return await within([this.#closing.signal], this.#limit, async (signal) => {
        const keep = (granted: RefreshGrant) => void this.#keep(granted, granted.lastsMs);
        const tokens = await use(refreshToken, signal, { receipt, keep }).finally(() => {
          isAnswered = !signal.aborted;
        });
        signal.throwIfAborted();
        if (tokens.refreshToken === undefined) this.#keep({ refreshToken }, tokens.refreshLastsMs);
        logins.attempts.accepted();
        return tokens;
      });
    } catch (error) {
      if (error instanceof ProviderError && error.isRefusedLogin) logins.attempts.refused(error);
      throw error;
    } finally {
      if (receipt !== undefined && isAnswered) this.#forget(receipt);
      // It may still be on its way: whoever comes next looks for the answer first.
      if (!isAnswered) this.#isLoaded = false;
    }
  }

  #forget(receipt: Receipt): void {
    this.#host.logins.remove(RECEIPT_ID);
    this.#courier.forget(receipt);
  }

  /** Nothing is awaited between the answer and here. */
  #keep({ refreshToken, accessToken, idToken, expiresAtServerMs }: HandedOver, lastsMs: number | undefined): Login {
    const login = this.#loginFor(lastsMs);
    const token = sealed({ refreshToken, accessToken, idToken, expiresAtServerMs });
    this.#host.logins.save(login, token);
    this.#held?.wipe();
    this.#held = token;
    this.#isLoaded = true;
    return login;
  }

  #loginFor(lastsMs: number | undefined, id = LOGIN_ID): Login {
    const issuedAtMs = this.#host.clock.now();
    return {
      id,
      issuedAtMs,
      expiresAtMs: lastsMs === undefined ? undefined : issuedAtMs + lastsMs,
      grantedMs: lastsMs,
      renewable: true,
      maxExpiresAtMs: undefined,
      ours: true,
    };
  }

  async #login(): Promise<HandedOver | undefined> {
    if (!this.#isLoaded) await this.#load();
    return this.#held === undefined ? undefined : opened(this.#held);
  }

  /** What the last process left, an answer that came after its end included. */
  async #load(): Promise<void> {
    let receipt: Receipt | undefined;
    for (const { login, token } of this.#host.logins.load()) {
      if (login.id === LOGIN_ID) {
        this.#held?.wipe();
        this.#held = token;
      } else {
        if (login.id === RECEIPT_ID) receipt = objectIn(token) as Receipt | undefined;
        token.wipe();
      }
    }
    this.#isLoaded = true;
    if (receipt === undefined) return;
    const answer = await this.#courier.collect(receipt);
    const granted = answer === undefined ? undefined : refreshGrantIn(parseObject(answer.body.toString('utf8')));
    answer?.body.fill(0);
    if (granted !== undefined) this.#keep(granted, granted.lastsMs);
    this.#forget(receipt);
  }

  #asTheyAre({ accessToken = '', idToken, expiresAtServerMs }: HandedOver): GrantedTokens {
    if (expiresAtServerMs !== undefined && expiresAtServerMs <= this.#host.clock.wall()) {
      throw new ProviderError(
        'login-expired',
        `the login to provider "${this.#host.name}" is over: it had no refresh token`,
        {
          remedy: `run: broker login ${this.#host.name}; with offline_access in scope it lasts longer, if the server allows it`,
          concerns: 'login',
        },
      );
    }
    return {
      accessToken,
      idToken,
      expiresAtServerMs,
      refreshToken: undefined,
      refreshLastsMs: undefined,
      serverTimeMs: undefined,
    };
  }
}

function notALogin(provider: string): ProviderError {
  return new ProviderError('login-expired', `this is not a login to provider "${provider}"`, {
    remedy: `run: broker login ${provider}`,
    concerns: 'login',
  });
}

function nobodyWaits(provider: string): ProviderError {
  return new ProviderError('transient', `the provider "${provider}" was closed`, { concerns: 'address' });
}
