import type { SecretBytes } from '../credential/secret-bytes.ts';
import type { LoginStore, StoredLogin } from '../providers/login-store.ts';

/** A store that lives as long as the trial. */
export class TrialLogins implements LoginStore {
  readonly #stored = new Map<string, StoredLogin>();

  get ids(): readonly string[] {
    return [...this.#stored.keys()];
  }

  load(): readonly StoredLogin[] {
    return [...this.#stored.values()].map(({ login, token }) => ({ login, token: token.copy() }));
  }

  save(login: StoredLogin['login'], token: SecretBytes): void {
    this.remove(login.id);
    this.#stored.set(login.id, { login, token: token.copy() });
  }

  remove(id: string): void {
    this.#stored.get(id)?.token.wipe();
    this.#stored.delete(id);
  }

  wipe(): void {
    for (const id of this.ids) this.remove(id);
  }
}
