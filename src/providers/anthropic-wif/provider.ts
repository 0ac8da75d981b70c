import { createHash } from 'node:crypto';
import { ENDLESS_SECONDS } from '../../credential/expiry.ts';
import { parseObject, SecretBytes } from '../../credential/secret.ts';
import { ProviderError } from '../../errors.ts';
import type { TimeLimit } from '../../platform/waiting.ts';
import { CallScope } from '../call-scope.ts';
import { HttpConnection, type JsonAnswer, timeOf } from '../http.ts';
import { type ReadInput, readLoginInput } from '../login-input-reader.ts';
import type { Call, IssuedSecret, IssueRequest, Provider, ProviderHost } from '../provider.ts';
import { type AskedExchange, failureOf, notAnAssertion, notAToken, tooSlow } from './failures.ts';
import { filesOf, type WifOptions, type WifSource } from './options.ts';

/** https://platform.claude.com/docs/en/manage-claude/wif-reference, and what @anthropic-ai/sdk sends. */
const PATH = '/v1/oauth/token';
const GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const HEADERS = {
  'content-type': 'application/json',
  'anthropic-beta': 'oauth-2025-04-20,oidc-federation-2026-04-01',
} as const;

/** Exchanges an identity token for a token of minutes. Opens no connection and reads no file before it is asked. */
export class WifProvider implements Provider {
  readonly callLimitMs: number;
  readonly #options: WifOptions;
  readonly #host: ProviderHost;
  readonly #calls: CallScope;
  readonly #http: HttpConnection;
  readonly #url: string;
  readonly #limit: TimeLimit;
  /** The one that was exchanged last. Anthropic takes each of them once (anthropics/claude-code#89095). */
  #spent: { readonly digest: string; readonly version: string | undefined } | undefined;

  constructor(options: WifOptions, host: ProviderHost) {
    this.callLimitMs = options.timeout;
    this.#options = options;
    this.#host = host;
    this.#calls = new CallScope(host.name);
    this.#http = new HttpConnection(options, host, `the token endpoint of provider "${host.name}"`);
    this.#url = `${options.base_url.replace(/\/+$/, '')}${PATH}`;
    this.#limit = {
      clock: host.clock,
      limitMs: options.timeout,
      late: () => tooSlow(this.#asked(''), options.timeout),
    };
  }

  issue(request: IssueRequest, call: Call): Promise<IssuedSecret> {
    const source = request.source as WifSource;
    return this.#calls.run(call, this.#limit, async (signal) => {
      const spent = this.#spent?.version;
      const input = await this.#read(signal, spent);
      try {
        return await this.#exchange(input, source, signal);
      } catch (error) {
        // Another credential's token may have been exchanged before the last restart.
        if (input.version === undefined || spent !== undefined || !wasRefused(error)) throw error;
        return await this.#exchange(await this.#read(signal, input.version), source, signal);
      }
    });
  }

  loginInputs(): readonly string[] {
    return filesOf(this.#options);
  }

  forgetLogin(): void {
    this.#http.reconnect();
  }

  close(): void {
    this.#calls.close();
    this.#http.close();
  }

  #read(signal: AbortSignal, refused: string | undefined): Promise<ReadInput> {
    return readLoginInput(this.#options.identity, 'identity token', this.#host, signal, refused);
  }

  async #exchange(input: ReadInput, source: WifSource, signal: AbortSignal): Promise<IssuedSecret> {
    using secret = input.secret;
    const assertion = secret.reveal();
    const asked = this.#asked(input.origin, assertion);
    const refusal = notAnAssertion(asked);
    if (refusal !== undefined) throw refusal;
    const digest = createHash('sha256').update(assertion).digest('base64');
    const body = JSON.stringify(this.#form(assertion, source));
    const answer = await this.#http.send(this.#url, { method: 'POST', headers: HEADERS, body }, signal);
    const reply: JsonAnswer = { ...answer, json: parseObject(answer.body.toString('utf8')) };
    answer.body.fill(0);
    if (reply.status < 200 || reply.status >= 300) {
      throw failureOf(reply, { ...asked, wasUsed: digest === this.#spent?.digest }, this.#host.clock.wall());
    }
    const { access_token, token_type, expires_in } = reply.json ?? {};
    const isBearer = token_type === undefined || /^bearer$/i.test(String(token_type));
    const seconds = Number(expires_in);
    if (typeof access_token !== 'string' || access_token === '' || !isBearer || !(seconds > 0)) {
      throw notAToken(reply, asked);
    }
    this.#spent = { digest, version: input.version };
    const serverTimeMs = timeOf(reply);
    return {
      content: { kind: 'text', text: SecretBytes.fromString(access_token) },
      version: undefined,
      lease: undefined,
      ttlHintMs: undefined,
      expiresAtServerMs: (serverTimeMs ?? this.#host.clock.wall()) + Math.min(seconds, ENDLESS_SECONDS) * 1000,
      serverTimeMs,
    };
  }

  /** In the order of the reference. */
  #form(assertion: string, source: WifSource): Readonly<Record<string, string>> {
    const { federation_rule_id, organization_id, service_account_id } = this.#options;
    const workspace_id = source.workspace_id ?? this.#options.workspace_id;
    const form = { grant_type: GRANT, assertion, federation_rule_id, organization_id, service_account_id };
    return workspace_id === undefined ? form : { ...form, workspace_id };
  }

  #asked(origin: string, assertion = ''): AskedExchange {
    return { provider: this.#host.name, where: this.#url, origin, assertion, options: this.#options, wasUsed: false };
  }
}

function wasRefused(error: unknown): boolean {
  return error instanceof ProviderError && error.kind === 'login-expired';
}
