import { expandHome } from '../../config/paths.ts';
import type { Lease, Login } from '../../credential/life.ts';
import type { SecretBytes } from '../../credential/secret.ts';
import { ProviderError } from '../../errors.ts';
import { sleep, type TimeLimit } from '../../platform/waiting.ts';
import { CallScope } from '../call-scope.ts';
import type { Call, IssuedSecret, IssueRequest, Provider, ProviderHost, RenewedLease } from '../provider.ts';
import { errorsOf, objectAt, textAt, type VaultReply } from './answer.ts';
import { unwrap, VaultClient, type VaultRequest } from './client.ts';
import { CurrentLogin } from './current-login.ts';
import { refusalIn, successIn, tokenOver, tooSlow, withoutSecret } from './failures.ts';
import { issuedSecret, LeaseApi } from './lease-api.ts';
import { authInputs, logsInUnattended } from './logins/prepare.ts';
import { mayBeMadeByAPerson, type VaultOptions, type VaultSource } from './options.ts';
import { TokenApi } from './token-api.ts';
import { type HeldLogin, TokenStore } from './token-store.ts';

/** A performance standby may not know a token, or what it may read, for so long after the login. */
const STANDBY_LAG_MS = 5_000;
const PAUSES_MS = [300, 900];

/** Vault and OpenBao. Opens no connection and reads no file before it is asked for something. */
export class VaultProvider implements Provider {
  readonly callLimitMs: number;
  readonly #options: VaultOptions;
  readonly #host: ProviderHost;
  readonly #limit: TimeLimit;
  readonly #calls: CallScope;
  readonly #client: VaultClient;
  readonly #store: TokenStore;
  readonly #tokens: TokenApi;
  readonly #current: CurrentLogin;
  readonly #leases: LeaseApi;
  #loginInputs: readonly string[] | undefined;

  constructor(options: VaultOptions, host: ProviderHost) {
    this.callLimitMs = options.timeout;
    this.#options = options;
    this.#host = host;
    this.#calls = new CallScope(host.name);
    this.#client = new VaultClient(options, host);
    this.#limit = { clock: host.clock, limitMs: options.timeout, late: () => this.#tooSlow() };
    this.#store = new TokenStore(host.logins);
    this.#tokens = new TokenApi(host, options.auth, this.#client, this.#store);
    this.#current = new CurrentLogin(host, this.#store, this.#tokens, this.#limit);
    this.#leases = new LeaseApi(host, this.#client, this.#store, this.#current, this.#tokens);
  }

  issue(request: IssueRequest, call: Call): Promise<IssuedSecret> {
    const { expires_metadata, ...where } = request.source as VaultSource;
    const read = async (signal: AbortSignal) => {
      const { reply, held } = await this.#read(where, request, signal);
      const issued = issuedSecret(reply, held.login.id, expires_metadata);
      if (issued.lease?.loginId !== undefined) this.#store.bearsLease(held.login.id);
      return issued;
    };
    return this.#run(call, read, where.path);
  }

  renew(lease: Lease, call: Call): Promise<RenewedLease> {
    return this.#run(call, (signal) => this.#leases.renew(lease, signal));
  }

  revoke(lease: Lease, call: Call): Promise<void> {
    return this.#run(call, (signal) => this.#leases.revoke(lease, signal));
  }

  login(loginId: string): Login | undefined {
    return this.#known(loginId)?.login;
  }

  renewLogin(loginId: string, call: Call): Promise<Login> {
    return this.#run(call, async (signal) => {
      const held = this.#known(loginId);
      if (held === undefined) throw unknownLogin();
      return (await this.#current.renew(held, signal)).login;
    });
  }

  takeLogin(token: SecretBytes, call: Call): Promise<Login> {
    return this.#run(call, async (signal) => {
      const { auth } = this.#options;
      if (!mayBeMadeByAPerson(auth)) throw logsInUnattended(this.#host.name, auth);
      return (await this.#current.adopt(token, signal)).login;
    });
  }

  dropLogin(call: Call): Promise<void> {
    return this.#run(call, async (signal) => {
      const { auth } = this.#options;
      if (!mayBeMadeByAPerson(auth)) throw logsInUnattended(this.#host.name, auth);
      this.#store.load(this.#host.clock.now());
      for (let held = this.#store.longestLived(); held !== undefined; held = this.#store.longestLived()) {
        await this.#tokens.revoke(held, signal);
        this.#current.lost(held.login.id);
      }
    });
  }

  retireLogin(loginId: string, call: Call): Promise<void> {
    return this.#run(call, async (signal) => {
      const held = this.#known(loginId);
      if (held === undefined || this.#current.isCurrent(loginId)) return;
      if (held.login.ours) await this.#tokens.revoke(held, signal);
      this.#store.drop(loginId);
    });
  }

  loginInputs(): readonly string[] {
    this.#loginInputs ??= inputsOf(this.#options, this.#host);
    return this.#loginInputs;
  }

  forgetLogin(): void {
    this.#current.forget();
    this.#client.reconnect();
  }

  close(): void {
    this.#calls.close();
    this.#client.close();
    this.#store.wipe();
  }

  #known(loginId: string): HeldLogin | undefined {
    this.#store.load(this.#host.clock.now());
    return this.#store.get(loginId);
  }

  /** `path`: of a secret, whose engine may be slow while the address answers others. */
  #run<T>(call: Call, work: (signal: AbortSignal) => Promise<T>, path?: string): Promise<T> {
    const { clock } = this.#host;
    const isUp = () => this.#client.hasAnsweredSince(clock.now() - this.#options.timeout / 2);
    const late = () => this.#tooSlow(isUp() ? path : undefined);
    return this.#calls.run(call, { ...this.#limit, late }, work);
  }

  #tooSlow(path?: string): ProviderError {
    const { timeout } = this.#options;
    const remedy = `see whether it is up and reachable; timeout in [providers.${this.#host.name}] sets the limit`;
    return tooSlow(this.#client.place, timeout, remedy, path);
  }

  /** Reads one path with the current login; a login that Vault has lost is replaced once. */
  async #read(source: VaultSource, { wantedLifeMs, wasPlain }: IssueRequest, signal: AbortSignal): Promise<Reading> {
    const isRepeatable = mayBeAskedTwice(source, wasPlain);
    const first = await this.#current.forRead(wantedLifeMs, signal);
    const reading = await this.#readWith(first, source, isRepeatable, signal);
    if (!(reading instanceof ProviderError)) return reading;
    const next = await this.#current.replace(first, signal);
    const second = await this.#readWith(next, source, isRepeatable, signal);
    if (!(second instanceof ProviderError)) return second;
    // A login granted a moment ago lives, whatever its policy lets lookup-self say: this is a denial.
    throw next.source === undefined ? second : tokenOver(next.source, this.#client.place);
  }

  /** The denial itself, not thrown, if Vault does not know the token any more. */
  async #readWith(
    held: HeldLogin,
    source: VaultSource,
    mayBeRepeated: boolean,
    signal: AbortSignal,
  ): Promise<Reading | ProviderError> {
    using token = held.token.copy();
    const isRepeatable = mayBeRepeated && held.login.hasLimitedUses !== true;
    const reply = await this.#sendPatiently({ ...requestFor(source, token), isRepeatable }, held, signal);
    // Vault's own answer to a write that returns nothing. To a GET it never says that, but many a portal does.
    if (reply.status === 204 && source.method === 'POST') throw withoutSecret(reply);
    const failure = refusalIn(reply);
    if (failure === undefined) {
      const isWrapped = objectAt(reply.json, 'wrap_info') !== undefined;
      return { reply: isWrapped ? await unwrapped(reply, this.#client, signal) : reply, held };
    }
    if (failure.kind !== 'denied' || (await this.#tokens.isAlive(token, signal))) throw failure;
    return failure;
  }

  async #sendPatiently(request: VaultRequest, held: HeldLogin, signal: AbortSignal): Promise<VaultReply> {
    for (const pauseMs of PAUSES_MS) {
      const reply = await this.#client.send(request, signal);
      if (reply.status < 400 || !this.#mayBeLag(reply, held)) return reply;
      await sleep(pauseMs, this.#host.clock, signal);
    }
    return await this.#client.send(request, signal);
  }

  /** 412 says so itself; a 403, or a 404 without any word, says it only right after a login. */
  #mayBeLag(reply: VaultReply, { acquiredAtMs }: HeldLogin): boolean {
    if (reply.status === 412) return true;
    const isFresh = acquiredAtMs !== undefined && this.#host.clock.now() - acquiredAtMs < STANDBY_LAG_MS;
    return isFresh && (reply.status === 403 || (reply.status === 404 && errorsOf(reply)?.length === 0));
  }
}

/** Files and folders whose change may fix a login. */
function inputsOf({ ca_file, client_cert_file, client_key_file, auth }: VaultOptions, host: ProviderHost): string[] {
  const files = [ca_file, client_cert_file, client_key_file].filter((file) => file !== undefined);
  return [...authInputs(auth, host), ...files].map((input) => expandHome(input, host.homeDir));
}

interface Reading {
  readonly reply: VaultReply;
  /** The login it was read with. */
  readonly held: HeldLogin;
}

/** What dynamic engines call that which issues: behind any mount, even one named `data`. */
const ISSUES = /(?:^|\/)(?:creds|static-creds|sts|issue|sign|token)\//;
const KEY_VALUE_2 = /^[^/]+\/(?:.*\/)?data\//;

/** A GET that issues nothing: of what gave a plain secret before, and of KV v2 from the start. */
function mayBeAskedTwice({ method, path, wrap_ttl }: VaultSource, wasPlain = false): boolean {
  if (method !== 'GET' || wrap_ttl !== undefined || ISSUES.test(path)) return false;
  return wasPlain || KEY_VALUE_2.test(path);
}

function unknownLogin(): ProviderError {
  return new ProviderError('gone', 'this login is not known any more', {
    remedy: 'nothing: a new one is taken when needed',
  });
}

function requestFor(source: VaultSource, token: SecretBytes): VaultRequest {
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
  return { ...successIn(inner), asked: reply.asked };
}
