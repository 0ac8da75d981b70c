import type { SecretBytes } from '../credential/secret-bytes.ts';

/** The login that a person makes on the way: once, however often is tried, and then for the daemon. */
export class Session {
  #token: SecretBytes | undefined;

  get token(): SecretBytes | undefined {
    return this.#token;
  }

  set(token: SecretBytes): void {
    this.end();
    this.#token = token;
  }

  end(): void {
    this.#token?.wipe();
    this.#token = undefined;
  }
}
