import type { FailureKind } from '../../../src/errors.ts';
import type { Provider, ProviderDefinition } from '../../../src/providers/provider.ts';
import type { ConnectParts, ProviderHarness, StoredContent } from '../provider-harness.ts';
import { AwsHome, PROFILE } from './aws-home.ts';

/** How secrets get into a service, by its own API. */
export interface Keeper {
  create(name: string, text: string): Promise<void>;
  replace(name: string, text: string): Promise<void>;
  delete(name: string): Promise<void>;
}

/** An AWS provider against moto: no faults, but an implementation of the API that is not ours. */
export class AwsMotoHarness<Options, Source> implements ProviderHarness {
  readonly capabilities = {
    contents: ['text', 'json'] as const,
    versions: true,
    serverTime: true,
    missing: 'gone' as FailureKind,
    leases: false,
    logins: false,
  };
  readonly faults = {};
  readonly #home = new AwsHome();
  readonly #definition: ProviderDefinition<Options, Source>;
  readonly #options: object;
  readonly #sourceOf: (name: string) => object;
  readonly #keeper: Keeper;

  constructor(
    definition: ProviderDefinition<Options, Source>,
    options: object,
    sourceOf: (name: string) => object,
    keeper: Keeper,
  ) {
    this.#definition = definition;
    this.#options = options;
    this.#sourceOf = sourceOf;
    this.#keeper = keeper;
  }

  async start(canary: string): Promise<void> {
    await this.#home.create(`AK${canary}`, `SK${canary}`);
  }

  async stop(): Promise<void> {
    await this.#home.remove();
  }

  async connect(parts: ConnectParts): Promise<Provider> {
    const create = await this.#definition.load();
    const options = this.#definition.providerSchema.parse({ profile: PROFILE, ...this.#options });
    return create(options, this.#home.host(parts));
  }

  async store(name: string, content: StoredContent): Promise<Source> {
    await this.#keeper.create(name, textOf(content));
    return this.#definition.credentialSchema.parse(this.#sourceOf(name));
  }

  async rotate(name: string, content: StoredContent): Promise<void> {
    await this.#keeper.replace(name, textOf(content));
  }

  async remove(name: string): Promise<void> {
    await this.#keeper.delete(name);
  }
}

function textOf(content: StoredContent): string {
  return typeof content === 'string' ? content : JSON.stringify(content);
}
