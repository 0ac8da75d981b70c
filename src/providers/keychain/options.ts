import { z } from 'zod';
import { text } from '../../config/schema.ts';
import type { ProviderDefinition } from '../provider.ts';

const keychainProviderSchema = z.strictObject({});

const keychainCredentialSchema = z.strictObject({
  item: text()
    .regex(/^[\x21-\x7e]{1,128}$/, 'an item is named with up to 128 letters, digits and signs')
    .describe('Under which name the value is kept: as its account in Keychain Access, or its username in Seahorse.')
    .meta({ examples: ['anthropic'] }),
});

export type KeychainOptions = z.output<typeof keychainProviderSchema>;
export type KeychainSource = z.output<typeof keychainCredentialSchema>;

/** Of the items that `broker set` makes; the key of the cache has another, so that no credential can name it. */
export const ITEMS_SERVICE = 'apikey-broker-keys';

export const keychainDefinition: ProviderDefinition<KeychainOptions, KeychainSource> = {
  type: 'keychain',
  summary: 'The macOS Keychain or the Secret Service of a Linux desktop; values come from broker set',
  providerSchema: keychainProviderSchema,
  credentialSchema: keychainCredentialSchema,
  environmentDefaults: {},
  identify: ({ item }) => item,
  describe: ({ item }) => `item ${item}`,
  async load() {
    const { KeychainProvider } = await import('./provider.ts');
    return (_options, host) => new KeychainProvider(host);
  },
};
