import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FailureKind } from '../../../src/errors.ts';
import { wifDefinition } from '../../../src/providers/anthropic-wif/options.ts';
import { lendsNothing, type Provider } from '../../../src/providers/provider.ts';
import { realClock } from '../../fakes/real-clock.ts';
import { ACCOUNT, IdentityIssuer, ORGANIZATION, RULE, TokenExchangeServer } from '../../fakes/token-exchange.ts';
import type { ConnectParts, Fault, InjectedFault, ProviderHarness } from '../provider-harness.ts';

/** The token endpoint in a process of ours, and an identity token in a file. */
export class WifHarness implements ProviderHarness {
  readonly capabilities = {
    contents: [] as const,
    issues: true,
    versions: false,
    serverTime: true,
    missing: 'gone' as FailureKind,
    leases: false,
    logins: false,
  };
  readonly #issuer = new IdentityIssuer();
  #server: TokenExchangeServer | undefined;
  #folder = '';
  #canary = '';

  readonly faults: Readonly<Partial<Record<Fault, () => Promise<InjectedFault>>>> = {
    unavailable: () => this.#answering(503, this.#problem('api_error')),
    throttled: () => this.#answering(429, this.#problem('rate_limit_error'), { 'retry-after': '7' }),
    denied: () => this.#answering(403, this.#problem('permission_error')),
    misconfigured: () => this.#answering(404, this.#problem('not_found_error')),
    'login-expired': () => this.#answering(401, this.#problem('authentication_error')),
    html: () => this.#answering(502, `<html>${this.#canary}</html>`, { 'content-type': 'text/html' }),
    reset: () => this.#inject((request) => request.socket.destroy()),
    'cut-off': () =>
      this.#inject((request, response) => {
        response.writeHead(200, { 'content-length': '1000' });
        response.write('{"access_token":"', () => request.socket.destroy());
      }),
    oversized: () =>
      this.#inject((_request, response) => {
        response.writeHead(200);
        const more = () => {
          while (!response.destroyed && response.write('x'.repeat(65_536)));
        };
        response.on('drain', more);
        more();
      }),
    hang: () => this.#inject(() => {}),
    'slow-drip': () =>
      this.#inject((_request, response) => {
        response.writeHead(200);
        const timer = setInterval(() => response.write(' '), 20);
        response.on('close', () => clearInterval(timer));
      }),
  };

  get #exchange() {
    if (this.#server === undefined) throw new Error('not started');
    return this.#server.exchange;
  }

  async start(canary: string): Promise<void> {
    this.#canary = canary;
    this.#server = await TokenExchangeServer.start();
    this.#exchange.prefix = `sk-ant-oat01-${canary}-`;
    this.#exchange.takesOnce = false;
    this.#folder = mkdtempSync(join(tmpdir(), 'broker-wif-'));
    this.#present(this.#issuer.token({ canary }));
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  readonly loginChange = {
    spoil: async () => this.#present(this.#issuer.token({ canary: this.#canary, exp: 1_700_000_000 })),
    fix: async () => this.#present(this.#issuer.token({ canary: this.#canary })),
  };

  async connect(parts: ConnectParts): Promise<Provider> {
    const create = await wifDefinition.load();
    const options = wifDefinition.providerSchema.parse({
      federation_rule_id: RULE,
      organization_id: ORGANIZATION,
      service_account_id: ACCOUNT,
      identity: { file: join(this.#folder, 'token') },
      base_url: this.#server?.url,
    });
    const host = { ...parts, name: 'under-test', clock: realClock, credentials: lendsNothing, env: {} };
    return create(options, { ...host, homeDir: this.#folder });
  }

  async store(): Promise<unknown> {
    return wifDefinition.credentialSchema.parse({});
  }

  async rotate(): Promise<void> {}
  async remove(): Promise<void> {}

  #present(token: string): void {
    writeFileSync(join(this.#folder, 'token'), token, { mode: 0o600 });
  }

  #problem(type: string): string {
    return JSON.stringify({ type: 'error', error: { type, message: `no: sk-ant-${this.#canary}` } });
  }

  #answering(status: number, body: string, headers: Readonly<Record<string, string>> = {}): Promise<InjectedFault> {
    return this.#inject((_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(body);
    });
  }

  async #inject(fault: (request: IncomingMessage, response: ServerResponse) => void): Promise<InjectedFault> {
    const { promise: reached, resolve } = Promise.withResolvers<void>();
    this.#exchange.fault = (request, response) => {
      resolve();
      fault(request, response);
    };
    return {
      reached,
      clear: async () => {
        this.#exchange.fault = undefined;
      },
    };
  }
}
