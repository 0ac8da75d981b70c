import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { helperLines } from '../../src/claude/install/enrol.ts';
import { writeEnrolment } from '../../src/platform/enrolment.ts';
import { helperPath } from '../../src/platform/native.ts';
import type { BrokerEvent } from '../../src/protocol/reports.ts';
import { BrokerHome, type RunningDaemon } from './daemon-process.ts';
import { DevVault } from './dev-vault/dev-vault.ts';
import { enrolLaptop, laptopConfig } from './laptop.ts';
import { MessagesApi } from './messages-api.ts';
import { shellWord } from './processes.ts';

export const FIRST = 'sk-ant-canary-first-0123456789';
export const SECOND = 'sk-ant-canary-second-0123456789';

export interface BenchOptions {
  readonly check?: boolean;
  /** `allow` of the credential. */
  readonly allow?: readonly string[];
  /** More credentials with the same key and `allow`, so that the events say who asked. */
  readonly callers?: readonly string[];
  /** More tables of the configuration. */
  readonly more?: string;
  /** More variables of the daemon. */
  readonly env?: Readonly<Record<string, string>>;
}

/** For the client's other helpers: one secret, as a token and as temporary AWS credentials. */
const OTHERS = `
[credentials.other]
provider = "vault"
path = "secret/data/other"
field = "key"
[credentials.aws]
provider = "vault"
path = "secret/data/other"
fields = { access_key = "key", secret_key = "secret", session_token = "session" }
`;

/** The real daemon and helper between a development Vault and a Messages API: what a client needs for its turns. */
export class ClientBench {
  readonly vault: DevVault;
  readonly api: MessagesApi;
  readonly home: BrokerHome;
  #daemon: RunningDaemon | undefined;

  private constructor(vault: DevVault, api: MessagesApi, extra: string) {
    this.vault = vault;
    this.api = api;
    this.home = new BrokerHome(laptopConfig(vault.address, extra));
  }

  /**
   * With FIRST in Vault and accepted by the API.
   * @param options `check`: the API is asked about keys as well, and has shown that it can be.
   */
  static async start(options: BenchOptions = {}): Promise<ClientBench> {
    const vault = await DevVault.start({ nowMs: () => Date.now() });
    vault.policies.write('claude', ['secret/data/claude', 'secret/data/other', 'identity/oidc/token/claude']);
    vault.engines.oidcRole('claude', 600_000);
    vault.kv.writeV2('secret/claude', { api_key: FIRST });
    const api = await MessagesApi.start(FIRST);
    const check = `[credentials.anthropic.check]\nurl = "${api.url}/v1/models?limit=1"\n`;
    const allow = options.allow === undefined ? '' : `allow = ${JSON.stringify(options.allow)}\n`;
    const callers = (options.callers ?? []).map(
      (name) => `[credentials.${name}]\nprovider = "vault"\npath = "secret/data/claude"\nfield = "api_key"\n${allow}`,
    );
    const tables = [allow, options.check ? check : '', ...callers, OTHERS, options.more ?? ''];
    const bench = new ClientBench(vault, api, tables.join(''));
    enrolLaptop(vault, bench.home.folder);
    bench.#daemon = await bench.home.start(options.env);
    if (options.check) await bench.home.broker('check');
    return bench;
  }

  /** `apiKeyHelper` as `broker claude install` writes it. */
  get helper(): string {
    return shellWord(helperPath() ?? '');
  }

  /** As `broker claude install` records the lines that it writes. */
  enrol(...lines: string[]): void {
    const file = join(this.home.folder, 'claude', 'settings.json');
    const additions = lines.map((value) => ({ path: ['apiKeyHelper'], value }));
    writeEnrolment(this.home.stateDir, process.getuid?.() ?? 0, {
      lines: helperLines(additions, file, 'api-key'),
      clients: [],
    });
  }

  write(name: string, content: string): string {
    const path = join(this.home.folder, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  }

  /** A user's own script around the helper. */
  script(name: string, content: string): string {
    const path = this.write(name, content);
    chmodSync(path, 0o700);
    return `'${path}'`;
  }

  /** A new key in Vault; the API goes on accepting what it accepted. */
  store(key: string): void {
    this.vault.kv.writeV2('secret/claude', { api_key: key });
  }

  /** The same for the client's other helpers. */
  storeOther(key: string): void {
    this.vault.kv.writeV2('secret/other', { key, secret: 'aws-secret-0123456789', session: 'aws-session-0123456789' });
  }

  async kill(): Promise<void> {
    await this.#daemon?.end('SIGKILL');
  }

  async restart(): Promise<void> {
    this.#daemon = await this.home.start();
  }

  /** Oldest first. */
  async events(kind?: string): Promise<readonly BrokerEvent[]> {
    const { body } = await this.home.get('/v1/events?limit=10000');
    const events = body.split('\n').filter(Boolean);
    return events
      .map((line) => JSON.parse(line) as BrokerEvent)
      .filter((event) => kind === undefined || event.kind === kind);
  }

  /** How often something of each of these kinds happened. */
  async count<Kind extends string>(...kinds: Kind[]): Promise<Record<Kind, number>> {
    const events = await this.events();
    const count = (kind: Kind) => events.filter((event) => event.kind === kind).length;
    return Object.fromEntries(kinds.map((kind) => [kind, count(kind)])) as Record<Kind, number>;
  }

  async close(): Promise<void> {
    await this.home.close();
    await this.api.stop();
    await this.vault.stop();
  }
}
