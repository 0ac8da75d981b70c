import { wifDefinition } from './anthropic-wif/options.ts';
import { awsSecretsManagerDefinition, awsSsmDefinition } from './aws/options.ts';
import { execDefinition } from './exec/options.ts';
import { keychainDefinition } from './keychain/options.ts';
import { oauth2Definition } from './oauth2/options.ts';
import type { ProviderDefinition } from './provider.ts';
import { vaultDefinition } from './vault/options.ts';

/** A definition without the types that only its folder knows: its schemas parse what its functions take. */
export type AnyProviderDefinition = ProviderDefinition<unknown, unknown>;

/** Every provider there is. A new one adds its import and its line here, and nothing elsewhere. */
export const providerDefinitions: readonly AnyProviderDefinition[] = [
  register(vaultDefinition),
  register(awsSecretsManagerDefinition),
  register(awsSsmDefinition),
  register(execDefinition),
  register(oauth2Definition),
  register(keychainDefinition),
  register(wifDefinition),
];

/** The definition for the `type` of a provider table; undefined if there is none. */
export function findDefinition(type: string): AnyProviderDefinition | undefined {
  return providerDefinitions.find((definition) => definition.type === type);
}

/** Sound as long as options and sources come from the definition's own schemas, which is what the configuration does. */
function register<Options, Source>(definition: ProviderDefinition<Options, Source>): AnyProviderDefinition {
  return definition as unknown as AnyProviderDefinition;
}
