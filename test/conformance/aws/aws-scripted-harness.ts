import type { FailureKind } from '../../../src/errors.ts';
import type { Provider, ProviderDefinition } from '../../../src/providers/provider.ts';
import { AwsJsonServer } from '../../fakes/aws-json-server.ts';
import type { ConnectParts, ProviderHarness, StoredContent } from '../provider-harness.ts';
import { awsFaults } from './aws-faults.ts';
import { AwsHome, PROFILE } from './aws-home.ts';

/** An AWS provider against the scripted server, with every fault there is. */
export class AwsScriptedHarness<Options, Source> implements ProviderHarness {
  readonly capabilities = {
    contents: ['text', 'json'] as const,
    versions: true,
    serverTime: true,
    missing: 'gone' as FailureKind,
    leases: false,
    logins: false,
  };
  readonly #server = new AwsJsonServer();
  readonly #home = new AwsHome();
  readonly #definition: ProviderDefinition<Options, Source>;
  readonly #sourceOf: (name: string) => object;
  #canary = '';
  readonly faults = awsFaults(this.#server, () => this.#canary);
  readonly loginChange = {
    spoil: () => this.#home.writeCredentials(''),
    fix: () => this.#writeLogin(),
  };

  constructor(definition: ProviderDefinition<Options, Source>, sourceOf: (name: string) => object) {
    this.#definition = definition;
    this.#sourceOf = sourceOf;
  }

  async start(canary: string): Promise<void> {
    this.#canary = canary;
    await this.#server.start();
    await this.#home.create(`AK${canary}`, `SK${canary}`);
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    await this.#home.remove();
  }

  async connect(parts: ConnectParts): Promise<Provider> {
    const create = await this.#definition.load();
    const options = this.#definition.providerSchema.parse({ profile: PROFILE, endpoint: this.#server.url });
    return create(options, this.#home.host(parts));
  }

  async store(name: string, content: StoredContent): Promise<Source> {
    await this.rotate(name, content);
    return this.#definition.credentialSchema.parse(this.#sourceOf(name));
  }

  async rotate(name: string, content: StoredContent): Promise<void> {
    this.#server.put(name, typeof content === 'string' ? content : JSON.stringify(content));
  }

  async remove(name: string): Promise<void> {
    this.#server.secrets.delete(name);
  }

  async #writeLogin(): Promise<void> {
    const [id, secret] = [`AK${this.#canary}`, `SK${this.#canary}`];
    await this.#home.writeCredentials(`[${PROFILE}]\naws_access_key_id=${id}\naws_secret_access_key=${secret}\n`);
  }
}
