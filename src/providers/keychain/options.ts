import { z } from 'zod';
import { once, text } from '../../config/schema.ts';
import type { ProviderDefinition } from '../provider.ts';

const keychainProviderSchema = once(() => z.strictObject({}));

const keychainCredentialSchema = once(() =>
  z.strictObject({
    item: text()
      .regex(/^[\x21-\x7e]{1,128}$/, 'an item is named with up to 128 letters, digits and signs')
      .meta({
        description:
          'Under which name the value is kept: as its account in Keychain Access, or its username in Seahorse.',
        examples: ['anthropic'],
      }),
  }),
);

export type KeychainOptions = z.output<ReturnType<typeof keychainProviderSchema>>;
export type KeychainSource = z.output<ReturnType<typeof keychainCredentialSchema>>;

/** Of the items that `broker set` makes; the key of the cache has another, so that no credential can name it. */
export const ITEMS_SERVICE = 'apikey-broker-keys';

export const keychainDefinition: ProviderDefinition<KeychainOptions, KeychainSource> = {
  type: 'keychain',
  nicknames: { keyring: '', secretservice: '', libsecret: '', gnomekeyring: '', macos: '' },
  summary: 'The macOS Keychain or the Secret Service of a Linux desktop; values come from broker set',
  get providerSchema() {
    return keychainProviderSchema();
  },
  get credentialSchema() {
    return keychainCredentialSchema();
  },
  environmentDefaults: {},
  identify: ({ item }) => item,
  describe: ({ item }) => `item ${item}`,
  async load() {
    const { KeychainProvider } = await import('./provider.ts');
    return (_options, host) => new KeychainProvider(host);
  },
};
