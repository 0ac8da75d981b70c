import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AwsHome, PROFILE } from '../conformance/aws/aws-home.ts';
import { AwsJsonServer } from './aws-json-server.ts';
import { BrokerHome, type RunningDaemon } from './daemon-process.ts';
import { DevVault } from './dev-vault/dev-vault.ts';

/** The credentials of a FetchingHome, one for each kind of provider that fetches by itself. */
export const FETCHED = ['vault', 'secrets', 'parameters', 'command'] as const;

export type Fetched = (typeof FETCHED)[number];

interface FetchingOptions {
  /** What is stored for each; the key is its `api_key`. */
  readonly secretOf: (name: Fetched) => { readonly api_key: string };
  /** What the broker logs in to Vault with. */
  readonly vaultToken: string;
  readonly awsSecretKey: string;
  /** More of the configuration. */
  readonly more?: (vaultAddress: string) => string;
}

/** The home of a broker that fetches from Vault, from both of AWS's stores and from a command, all with canaries of a test. */
export class FetchingHome {
  readonly home = new BrokerHome('');
  readonly vault: DevVault;
  readonly #aws = new AwsJsonServer();
  readonly #awsHome = new AwsHome();

  private constructor(vault: DevVault) {
    this.vault = vault;
  }

  static async open(options: FetchingOptions): Promise<FetchingHome> {
    const opened = new FetchingHome(await DevVault.start({ nowMs: Date.now, rootToken: options.vaultToken }));
    await opened.#furnish(options);
    return opened;
  }

  start(nodeArgs: readonly string[] = []): Promise<RunningDaemon> {
    return this.home.start(this.#awsHome.env, { nodeArgs });
  }

  async close(): Promise<void> {
    await this.home.close();
    await this.vault.stop();
    await this.#aws.stop();
    await this.#awsHome.remove();
  }

  async #furnish({ secretOf, vaultToken, awsSecretKey, more }: FetchingOptions): Promise<void> {
    this.vault.kv.writeV2('secret/claude', secretOf('vault'));
    await this.#aws.start();
    await this.#awsHome.create('AKIDEXAMPLE', awsSecretKey);
    this.#aws.put('prod/claude', JSON.stringify(secretOf('secrets')));
    this.#aws.put('/prod/claude', JSON.stringify(secretOf('parameters')));
    const { address } = this.vault;
    const amazon = `endpoint = "${this.#aws.url}"\nregion = "eu-west-1"\nprofile = "${PROFILE}"`;
    this.home.configure(`default = "vault"
[providers.vault]
type = "vault"
address = "${address}"
auth = { method = "token", token_file = "${this.#file('token', vaultToken)}" }
[credentials.vault]
provider = "vault"
path = "secret/data/claude"
field = "api_key"
[providers.secrets]
type = "aws-secrets-manager"
${amazon}
[credentials.secrets]
provider = "secrets"
secret_id = "prod/claude"
field = "api_key"
[providers.parameters]
type = "aws-ssm"
${amazon}
[credentials.parameters]
provider = "parameters"
parameter = "/prod/claude"
field = "api_key"
[providers.command]
type = "exec"
command = ["/bin/cat", "${this.#file('key', JSON.stringify(secretOf('command')))}"]
[credentials.command]
provider = "command"
field = "api_key"
${more?.(address) ?? ''}`);
  }

  #file(name: string, content: string): string {
    const path = join(this.home.folder, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  }
}
