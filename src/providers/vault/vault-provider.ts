import type { Lease, Login } from '../../credential/lease.ts';
import type { SecretBytes } from '../../credential/secret-bytes.ts';
import { ProviderError } from '../../errors.ts';
import type { ProviderHost } from '../definition.ts';
import type { Call, IssuedSecret, IssueRequest, Provider, RenewedLease } from '../provider.ts';
import { type Bounds, Underway } from '../underway.ts';
import { mayBeMadeByAPerson } from './auth-schema.ts';
import { VaultClient } from './client.ts';
import { openConnection } from './connection.ts';
import { issuedSecret } from './issued-secret.ts';
import { LeaseDesk } from './lease-desk.ts';
import { type HeldLogin, LoginBook } from './login-book.ts';
import { LoginDesk } from './login-desk.ts';
import { LoginSession } from './login-session.ts';
import { authInputs, logsInByItself } from './logins/methods.ts';
import type { VaultOptions, VaultSource } from './options.ts';
import { Reader } from './reader.ts';
import { expandHome } from './secret-file.ts';

/** Vault and OpenBao. Opens no connection and reads no file before it is asked for something. */
export class VaultProvider implements Provider {
  readonly #options: VaultOptions;
  readonly #host: ProviderHost;
  readonly #bounds: Bounds;
  readonly #underway: Underway;
  readonly #book: LoginBook;
  readonly #desk: LoginDesk;
  readonly #session: LoginSession;
  readonly #reader: Reader;
  readonly #leases: LeaseDesk;
  #client: VaultClient | undefined;

  constructor(options: VaultOptions, host: ProviderHost) {
    this.#options = options;
    this.#host = host;
    this.#bounds = { clock: host.clock, limitMs: options.timeout, late: () => this.#late() };
    this.#underway = new Underway(host.name);
    this.#book = new LoginBook(host.logins);
    this.#desk = new LoginDesk(host, options.auth, this.#book, this.#underway, this.#bounds);
    this.#session = new LoginSession(host, this.#book, this.#desk);
    this.#reader = new Reader(host.clock, this.#session, this.#desk);
    this.#leases = new LeaseDesk(host, this.#book, this.#session, this.#desk);
  }

  issue({ source, wantedLifeMs }: IssueRequest, call: Call): Promise<IssuedSecret> {
    return this.#run(call, async (client, signal) => {
      const { expires_metadata, ...where } = source as VaultSource;
      const { reply, held } = await this.#reader.read(where, wantedLifeMs, client, signal);
      const issued = issuedSecret(reply, held.login.id, expires_metadata);
      if (issued.lease !== undefined) this.#book.bearsLease(held.login.id);
      return issued;
    });
  }

  renew(lease: Lease, call: Call): Promise<RenewedLease> {
    return this.#run(call, (client, signal) => this.#leases.renew(lease, client, signal));
  }

  revoke(lease: Lease, call: Call): Promise<void> {
    return this.#run(call, (client, signal) => this.#leases.revoke(lease, client, signal));
  }

  login(loginId: string): Login | undefined {
    return this.#known(loginId)?.login;
  }

  renewLogin(loginId: string, call: Call): Promise<Login> {
    return this.#run(call, async (client, signal) => {
      const held = this.#known(loginId);
      if (held === undefined) throw unknownLogin();
      try {
        return (await this.#session.renew(held, client, signal)).login;
      } catch (error) {
        if (error instanceof ProviderError && error.kind === 'gone') this.#session.lost(loginId);
        throw error;
      }
    });
  }

  takeLogin(token: SecretBytes, call: Call): Promise<Login> {
    return this.#run(call, async (client, signal) => {
      const { auth } = this.#options;
      if (!mayBeMadeByAPerson(auth)) throw logsInByItself(this.#host.name, auth);
      return (await this.#session.adopt(token, client, signal)).login;
    });
  }

  retireLogin(loginId: string, call: Call): Promise<void> {
    return this.#run(call, async (client, signal) => {
      const held = this.#known(loginId);
      if (held === undefined || this.#session.isCurrent(loginId)) return;
      if (held.login.ours) await this.#desk.revoke(held, client, signal);
      this.#book.drop(loginId);
    });
  }

  loginInputs(): readonly string[] {
    const { ca_file, client_cert_file, client_key_file, auth } = this.#options;
    const files = [ca_file, client_cert_file, client_key_file].filter((file) => file !== undefined);
    return [...authInputs(auth, this.#host), ...files].map((input) => expandHome(input, this.#host));
  }

  forgetLogin(): void {
    this.#session.forget();
    this.#client?.close();
    this.#client = undefined;
  }

  close(): void {
    this.#underway.close();
    this.#client?.close();
    this.#client = undefined;
    this.#book.wipe();
  }

  #known(loginId: string): HeldLogin | undefined {
    this.#book.load(this.#host.clock.now());
    return this.#book.get(loginId);
  }

  #run<T>(call: Call, work: (client: VaultClient, signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.#underway.run(call, this.#bounds, (signal) => work(this.#connected(), signal));
  }

  #connected(): VaultClient {
    const { address, namespace } = this.#options;
    this.#client ??= new VaultClient(
      () => openConnection(this.#options, this.#host),
      { provider: this.#host.name, address },
      namespace,
    );
    return this.#client;
  }

  #late(): ProviderError {
    const { address, timeout } = this.#options;
    return new ProviderError('transient', `Vault at ${address} did not answer within ${timeout / 1000} s`, {
      remedy: `see whether it is up and reachable; timeout in [providers.${this.#host.name}] sets the limit`,
    });
  }
}

function unknownLogin(): ProviderError {
  return new ProviderError('gone', 'this login is not known any more', {
    remedy: 'nothing: a new one is taken when needed',
  });
}
