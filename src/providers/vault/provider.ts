import type { Lease, Login } from '../../credential/life.ts';
import type { SecretBytes } from '../../credential/secret.ts';
import { ProviderError } from '../../errors.ts';
import type { Clock } from '../../platform/clock.ts';
import { type Bounds, CallScope, pause } from '../call-scope.ts';
import type { Call, IssuedSecret, IssueRequest, Provider, ProviderHost, RenewedLease } from '../provider.ts';
import { errorsOf, objectAt, textAt } from './answer.ts';
import { unwrap, VaultClient, type VaultReply } from './client.ts';
import { CurrentLogin } from './current-login.ts';
import { failureOf, notVault, tokenOver, withoutSecret } from './failures.ts';
import { issuedSecret, LeaseApi } from './lease-api.ts';
import { authInputs, logsInByItself } from './logins/method.ts';
import { mayBeMadeByAPerson, type VaultOptions, type VaultSource } from './options.ts';
import { expandHome } from './secret-file.ts';
import { TokenApi } from './token-api.ts';
import { type HeldLogin, TokenStore } from './token-store.ts';
import { openConnection } from './transport.ts';

/** Vault and OpenBao. Opens no connection and reads no file before it is asked for something. */
export class VaultProvider implements Provider {
  readonly #options: VaultOptions;
  readonly #host: ProviderHost;
  readonly #bounds: Bounds;
  readonly #underway: CallScope;
  readonly #book: TokenStore;
  readonly #desk: TokenApi;
  readonly #session: CurrentLogin;
  readonly #reader: Reader;
  readonly #leases: LeaseApi;
  #client: VaultClient | undefined;

  constructor(options: VaultOptions, host: ProviderHost) {
    this.#options = options;
    this.#host = host;
    this.#bounds = { clock: host.clock, limitMs: options.timeout, late: () => this.#late() };
    this.#underway = new CallScope(host.name);
    this.#book = new TokenStore(host.logins);
    this.#desk = new TokenApi(host, options.auth, this.#book, this.#underway, this.#bounds);
    this.#session = new CurrentLogin(host, this.#book, this.#desk);
    this.#reader = new Reader(host.clock, this.#session, this.#desk);
    this.#leases = new LeaseApi(host, this.#book, this.#session, this.#desk);
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

/** A performance standby may not know a token, or what it may read, for so long after the login. */
const STANDBY_LAG_MS = 5_000;
const PAUSES_MS = [300, 900];

export interface Reading {
  readonly reply: VaultReply;
  /** The login it was read with. */
  readonly held: HeldLogin;
}

/** Reads one path with the session's login; a login that Vault has lost is replaced once. */
export class Reader {
  readonly #clock: Clock;
  readonly #session: CurrentLogin;
  readonly #desk: TokenApi;

  constructor(clock: Clock, session: CurrentLogin, desk: TokenApi) {
    this.#clock = clock;
    this.#session = session;
    this.#desk = desk;
  }

  async read(source: VaultSource, wantedLifeMs: number, client: VaultClient, signal: AbortSignal): Promise<Reading> {
    const first = await this.#session.forRead(wantedLifeMs, client, signal);
    const reading = await this.#readWith(first, source, client, signal);
    if (!(reading instanceof ProviderError)) return reading;
    const next = await this.#session.replace(first, client, signal);
    const second = await this.#readWith(next, source, client, signal);
    if (!(second instanceof ProviderError)) return second;
    // A login granted a moment ago lives, whatever its policy lets lookup-self say: this is a denial.
    throw next.source === undefined ? second : tokenOver(next.source, client.place);
  }

  /** The denial itself, not thrown, if Vault does not know the token any more. */
  async #readWith(
    held: HeldLogin,
    source: VaultSource,
    client: VaultClient,
    signal: AbortSignal,
  ): Promise<Reading | ProviderError> {
    using token = held.token.copy();
    const reply = await this.#sendPatiently(held, token, source, client, signal);
    if (reply.status === 200 && reply.json !== undefined) {
      return { reply: await unwrapped(reply, client, signal), held };
    }
    if (reply.status >= 200 && reply.status < 300) throw reply.isEmpty ? withoutSecret(reply) : notVault(reply);
    const failure = failureOf(reply);
    if (failure.kind !== 'denied' || (await this.#desk.isAlive(token, client, signal))) throw failure;
    return failure;
  }

  async #sendPatiently(
    held: HeldLogin,
    token: SecretBytes,
    source: VaultSource,
    client: VaultClient,
    signal: AbortSignal,
  ): Promise<VaultReply> {
    for (const pauseMs of PAUSES_MS) {
      const reply = await client.send(requestFor(source, token), signal);
      if (!this.#mayBeLag(reply, held)) return reply;
      await pause(pauseMs, this.#clock, signal);
    }
    return await client.send(requestFor(source, token), signal);
  }

  /** 412 says so itself; a 403, or a 404 without any word, says it only right after a login. */
  #mayBeLag(reply: VaultReply, { acquiredAtMs }: HeldLogin): boolean {
    if (reply.status === 412) return true;
    const isFresh = acquiredAtMs !== undefined && this.#clock.now() - acquiredAtMs < STANDBY_LAG_MS;
    return isFresh && (reply.status === 403 || (reply.status === 404 && errorsOf(reply)?.length === 0));
  }
}

function requestFor(source: VaultSource, token: SecretBytes) {
  const { path, method, params, namespace, wrap_ttl: wrapTtlMs } = source;
  const common = { what: 'read', method, path: encodePath(path), token, namespace, wrapTtlMs } as const;
  if (method === 'POST') return { ...common, body: params };
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const each of Array.isArray(value) ? value : [value]) query.append(name, String(each));
  }
  return { ...common, query: query.toString() };
}

/** What is encoded already stays as it is. */
function encodePath(path: string): string {
  return path.replaceAll(/%(?![0-9A-Fa-f]{2})|[^\w/.~!$&'()*+,;=:@%-]/g, (character) => encodeURIComponent(character));
}

async function unwrapped(reply: VaultReply, client: VaultClient, signal: AbortSignal): Promise<VaultReply> {
  const wrappingToken = textAt(objectAt(reply.json, 'wrap_info'), 'token');
  if (wrappingToken === '') return reply;
  const inner = await unwrap(wrappingToken, client, signal);
  if (inner.status !== 200) throw failureOf(inner);
  if (inner.json === undefined) throw notVault(inner);
  return { ...inner, asked: reply.asked };
}
