import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../fakes/loopback.ts';
import { until } from '../fakes/processes.ts';

/** The program of OpenBao or Vault, to be started beside the client, which reaches no other network; undefined: none is named. */
export const OPEN_BAO = process.env['BROKER_TEST_BAO'];

const ROOT_TOKEN = 'root-of-the-tests';
const POLICY = 'path "identity/oidc/token/claude" { capabilities = ["read"] }';

/** A development server that issues identity tokens of ten minutes to whoever logs in by AppRole. */
export class OpenBao {
  readonly address: string;
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(address: string, process: ChildProcess, folder: string) {
    this.address = address;
    this.#process = process;
    this.#folder = folder;
  }

  static async start(program: string): Promise<OpenBao> {
    const port = await freePort();
    const folder = mkdtempSync(join(tmpdir(), 'broker-bao-'));
    const flags = [`-dev-root-token-id=${ROOT_TOKEN}`, `-dev-listen-address=127.0.0.1:${port}`, '-dev-no-store-token'];
    const child = spawn(program, ['server', '-dev', ...flags], { env: { HOME: folder }, stdio: 'ignore' });
    const bao = new OpenBao(`http://127.0.0.1:${port}`, child, folder);
    await until(() => bao.#isUp());
    await bao.#setUp();
    return bao;
  }

  /** What the identity tokens have as `iss`. */
  get issuer(): string {
    return `${this.address}/v1/identity/oidc`;
  }

  /** The provider `bao` and the credential `identity`, for a configuration. */
  get tables(): string {
    return `[providers.bao]
type = "vault"
address = "${this.address}"
[providers.bao.auth]
method = "approle"
role_id_file = "${this.#folder}/role-id"
secret_id_file = "${this.#folder}/secret-id"
[credentials.identity]
provider = "bao"
path = "identity/oidc/token/claude"
field = "token"
`;
  }

  async stop(): Promise<void> {
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #setUp(): Promise<void> {
    await this.#write('sys/policies/acl/claude', { policy: POLICY });
    await this.#write('sys/auth/approle', { type: 'approle' });
    await this.#write('auth/approle/role/laptop', { token_policies: 'claude', token_ttl: '1h' });
    await this.#write('identity/oidc/key/claude', { allowed_client_ids: '*', algorithm: 'ES256' });
    await this.#write('identity/oidc/role/claude', { key: 'claude', ttl: '10m' });
    const role = await this.#ask('GET', 'auth/approle/role/laptop/role-id');
    const secret = await this.#write('auth/approle/role/laptop/secret-id', {});
    writeFileSync(join(this.#folder, 'role-id'), String(role['role_id']), { mode: 0o600 });
    writeFileSync(join(this.#folder, 'secret-id'), String(secret['secret_id']), { mode: 0o600 });
  }

  #write(path: string, body: unknown): Promise<Record<string, unknown>> {
    return this.#ask('POST', path, body);
  }

  async #ask(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.address}/v1/${path}`, {
      method,
      headers: { 'x-vault-token': ROOT_TOKEN },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? {} : (JSON.parse(text).data ?? {});
  }

  async #isUp(): Promise<boolean> {
    if (this.#process.exitCode !== null) throw new Error(`OpenBao ended with ${this.#process.exitCode}`);
    return await fetch(`${this.address}/v1/sys/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  }
}
