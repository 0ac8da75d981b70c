import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { FailureKind } from '../../../src/errors.ts';
import { oauth2Definition } from '../../../src/providers/oauth2/options.ts';
import { sealable } from '../../../src/providers/oauth2/session.ts';
import { lendsNothing, type Provider } from '../../../src/providers/provider.ts';
import { page } from '../../fakes/aws-json-server.ts';
import { realClock } from '../../fakes/real-clock.ts';
import { refuseToken, type TokenBehaviour, TokenServer } from '../../fakes/token-server.ts';
import type { ConnectParts, Fault, InjectedFault, ProviderHarness } from '../provider-harness.ts';

/** An identity provider, asked by a machine with a client secret or for a person who has logged in. */
export class OAuth2Harness implements ProviderHarness {
  readonly capabilities = {
    contents: [],
    issues: true,
    versions: false,
    serverTime: true,
    missing: 'misconfigured' as FailureKind,
    leases: false,
    logins: false,
  };
  readonly #server = new TokenServer();
  readonly #grant: 'client_credentials' | 'device_code';
  #folder = '';
  #canary = '';

  constructor(grant: 'client_credentials' | 'device_code') {
    this.#grant = grant;
    if (grant === 'device_code') return;
    this.loginChange = {
      spoil: () => this.#writeSecret('wrong'),
      fix: () => this.#writeSecret(`secret-${this.#canary}`),
    };
  }

  readonly loginChange?: NonNullable<ProviderHarness['loginChange']>;

  get faults(): Partial<Record<Fault, () => Promise<InjectedFault>>> {
    const canary = () => this.#canary;
    const behaviours: Partial<Record<Fault, TokenBehaviour>> = {
      unavailable: ({ response }) => refuseToken(response, 503, 'temporarily_unavailable', `no ${canary()}`),
      throttled: ({ response }) =>
        refuseToken(response, 429, 'slow_down', `too many of ${canary()}`, { 'retry-after': '7' }),
      misconfigured: ({ response }) => refuseToken(response, 400, 'invalid_scope', `no scope ${canary()}`),
      'login-expired': ({ response }) => refuseToken(response, 400, 'invalid_grant', `token ${canary()} is over`),
      html: ({ response }) => page(response, 502, `<html><body>502 ${canary()}</body></html>`),
      reset: ({ response }) => void response.socket?.resetAndDestroy(),
      'cut-off': ({ response }) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': 10_000 });
        response.write(`{"access_token":"${canary()}`, () => response.socket?.destroy());
      },
      oversized: ({ response }) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        Readable.from(endless(`{"access_token":"${canary()}`)).pipe(response);
      },
      hang: () => {},
      'slow-drip': ({ response }) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        const timer = setInterval(() => response.write(' '), 20);
        response.on('close', () => clearInterval(timer));
      },
      ...(this.#grant === 'device_code'
        ? {}
        : { denied: ({ response }) => refuseToken(response, 403, 'access_denied', `not for ${canary()}`) }),
    };
    const entries = Object.entries(behaviours) as [Fault, TokenBehaviour][];
    return {
      refused: () => this.#refuse(),
      ...Object.fromEntries(entries.map(([fault, behaviour]) => [fault, async () => this.#behave(behaviour)])),
    };
  }

  async start(canary: string): Promise<void> {
    this.#canary = canary;
    this.#server.mark = canary;
    this.#server.clientSecret = `secret-${canary}`;
    this.#folder = await mkdtemp(join(tmpdir(), 'broker-oauth2-'));
    await this.#writeSecret(`secret-${canary}`);
    await this.#server.start();
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async connect(parts: ConnectParts): Promise<Provider> {
    const create = await oauth2Definition.load();
    const options = oauth2Definition.providerSchema.parse({
      issuer: this.#server.url,
      grant: this.#grant,
      client_id: 'broker',
      client_secret_file: join(this.#folder, 'client-secret'),
    });
    const host = {
      ...parts,
      name: 'under-test',
      clock: realClock,
      homeDir: this.#folder,
      env: {},
      credentials: lendsNothing,
    };
    const provider = create(options, host);
    if (this.#grant === 'device_code') {
      using login = sealable({ refreshToken: this.#server.logIn() });
      await provider.takeLogin?.(login, { signal: new AbortController().signal });
    }
    return provider;
  }

  async store(): Promise<unknown> {
    return oauth2Definition.credentialSchema.parse({});
  }

  async rotate(): Promise<void> {
    throw new Error('it makes its secrets itself');
  }

  async remove(): Promise<void> {
    throw new Error('it makes its secrets itself');
  }

  #writeSecret(secret: string): Promise<void> {
    return writeFile(join(this.#folder, 'client-secret'), secret, { mode: 0o600 });
  }

  #behave(behaviour: TokenBehaviour): InjectedFault {
    const held = new Set<Parameters<TokenBehaviour>[0]['response']>();
    const { promise: reached, resolve: arrive } = Promise.withResolvers<void>();
    this.#server.behaviour = (exchange) => {
      held.add(exchange.response);
      behaviour(exchange);
      arrive();
    };
    return {
      reached,
      clear: async () => {
        this.#server.behaviour = undefined;
        for (const response of held) response.destroy();
      },
    };
  }

  async #refuse(): Promise<InjectedFault> {
    await this.#server.stop();
    return { reached: Promise.resolve(), clear: () => this.#server.start() };
  }
}

function* endless(start: string): Generator<string> {
  yield start;
  for (;;) yield 'x'.repeat(65_536);
}
