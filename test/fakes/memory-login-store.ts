import type { Login } from '../../src/credential/life.ts';
import type { SecretBytes } from '../../src/credential/secret.ts';
import { LoginAttempts } from '../../src/providers/login-attempts.ts';
import type { LoginStore, StoredLogin } from '../../src/providers/provider.ts';
import { FakeClock } from './fake-clock.ts';

/** A login store that forgets everything with the process; keep one over two providers to play a restart. */
export class MemoryLoginStore implements LoginStore {
  readonly attempts = new LoginAttempts(new FakeClock());
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
