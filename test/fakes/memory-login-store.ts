import type { Login } from '../../src/credential/life.ts';
import type { SecretBytes } from '../../src/credential/secret.ts';
import type { LoginStore, StoredLogin } from '../../src/providers/provider.ts';

/** A login store that forgets everything with the process; keep one over two providers to play a restart. */
export class MemoryLoginStore implements LoginStore {
  readonly #logins = new Map<string, StoredLogin>();

  load(): readonly StoredLogin[] {
    return [...this.#logins.values()].map(({ login, token }) => ({ login, token: token.copy() }));
  }

  save(login: Login, token: SecretBytes): void {
    this.remove(login.id);
    this.#logins.set(login.id, { login, token: token.copy() });
  }

  remove(loginId: string): void {
    this.#logins.get(loginId)?.token.wipe();
    this.#logins.delete(loginId);
  }
}
