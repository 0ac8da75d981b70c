import type { Login } from '../../credential/life.ts';
import { parseObject, SecretBytes } from '../../credential/secret.ts';
import { ProviderError } from '../../errors.ts';
import { abortable, type TimeLimit, within } from '../../platform/waiting.ts';
import type { ProviderHost } from '../provider.ts';
import type { GrantedTokens } from './client.ts';
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
  return SecretBytes.fromString(Buffer.from(JSON.stringify(login)).toString('base64url'));
}

function opened(token: SecretBytes): HandedOver | undefined {
  const login = parseObject(Buffer.from(token.reveal(), 'base64url').toString('utf8')) as HandedOver | undefined;
  const isWhole = typeof login?.refreshToken === 'string' || typeof login?.accessToken === 'string';
  return isWhole ? login : undefined;
}

/** There is one person to a provider. */
const LOGIN_ID = 'person';

/**
 * The login of a person: a refresh token, which most servers replace at every use. Used twice it logs the person out. So there
 * is one use at a time, which no asker who gives up cuts short, and the token that comes back is on the disk before anything
 * else is done with the answer.
 */
export class PersonSession {
  readonly #host: ProviderHost;
  readonly #limit: TimeLimit;
  /** The last use that was begun; never rejects. */
  #last: Promise<void> = Promise.resolve();
  #held: SecretBytes | undefined;
  #isLoaded = false;

  /** @param limit of one use. */
  constructor(host: ProviderHost, limit: TimeLimit) {
    this.#host = host;
    this.#limit = limit;
  }

  /** The tokens of this login. @param use sends the refresh token. @throws ProviderError login-expired if nobody is logged in. */
  tokens(
    use: (refreshToken: string, signal: AbortSignal) => Promise<GrantedTokens>,
    signal: AbortSignal,
  ): Promise<GrantedTokens> {
    return this.#inTurn(signal, async () => {
      const login = this.#login();
      if (login === undefined) throw nobodyLoggedIn(this.#host.name);
      if (login.refreshToken === undefined) return this.#asTheyAre(login);
      return await this.#use(login.refreshToken, use);
    });
  }

  /** A person has logged in: what they got is tried, and from then on it is their login. The former one is forgotten. */
  adopt(
    token: SecretBytes,
    use: (refreshToken: string, signal: AbortSignal) => Promise<GrantedTokens>,
    signal: AbortSignal,
  ): Promise<Login> {
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

  /** Resolves when no refresh token is on its way any more. */
  get settled(): Promise<void> {
    return this.#last;
  }

  /** Memory only: the store outlives the provider. */
  wipe(): void {
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

  async #use(
    refreshToken: string,
    use: (refreshToken: string, signal: AbortSignal) => Promise<GrantedTokens>,
  ): Promise<GrantedTokens> {
    const { attempts } = this.#host.logins;
    attempts.check();
    try {
      return await within([], this.#limit, async (signal) => {
        const tokens = await use(refreshToken, signal);
        // RFC 6749 section 6: without a new one the old one goes on.
        this.#keep({ refreshToken: tokens.refreshToken ?? refreshToken }, tokens.refreshLastsMs);
        attempts.accepted();
        return tokens;
      });
    } catch (error) {
      if (error instanceof ProviderError && error.isRefusedLogin) attempts.refused(error);
      throw error;
    }
  }

  /** Nothing is awaited between the answer and here. */
  #keep(handedOver: HandedOver, lastsMs: number | undefined): Login {
    const login = this.#loginFor(lastsMs);
    const token = sealable(handedOver);
    this.#host.logins.save(login, token);
    this.#held?.wipe();
    this.#held = token;
    this.#isLoaded = true;
    return login;
  }

  #loginFor(lastsMs: number | undefined): Login {
    const issuedAtMs = this.#host.clock.now();
    return {
      id: LOGIN_ID,
      issuedAtMs,
      expiresAtMs: lastsMs === undefined ? undefined : issuedAtMs + lastsMs,
      grantedMs: lastsMs,
      renewable: true,
      maxExpiresAtMs: undefined,
      ours: true,
    };
  }

  #login(): HandedOver | undefined {
    if (!this.#isLoaded) {
      this.#isLoaded = true;
      for (const { login, token } of this.#host.logins.load()) {
        if (login.id === LOGIN_ID) this.#held = token;
        else token.wipe();
      }
    }
    return this.#held === undefined ? undefined : opened(this.#held);
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
