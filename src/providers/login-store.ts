import type { Login } from '../credential/lease.ts';
import type { SecretBytes } from '../credential/secret-bytes.ts';

/**
 * Where a provider keeps login tokens over a restart, sealed like keys. One store belongs to one configured provider
 * with one configuration: tokens of a changed configuration are not handed out.
 */
export interface LoginStore {
  /** Every stored login with its token; the caller owns and wipes the tokens. Empty if they cannot be opened now. */
  load(): readonly StoredLogin[];
  /** Adds or replaces by `login.id`. Copies the token. */
  save(login: Login, token: SecretBytes): void;
  remove(loginId: string): void;
}

export interface StoredLogin {
  readonly login: Login;
  readonly token: SecretBytes;
}
