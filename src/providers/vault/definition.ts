import type { ProviderDefinition } from '../definition.ts';
import { proxyRule } from '../proxies.ts';
import { isInteractive } from './auth-schema.ts';
import { type VaultOptions, type VaultSource, vaultCredentialSchema, vaultProviderSchema } from './options.ts';

/** HashiCorp Vault and OpenBao. docs/providers/vault.md tells every key. */
export const vaultDefinition: ProviderDefinition<VaultOptions, VaultSource> = {
  type: 'vault',
  summary: 'HashiCorp Vault or OpenBao: KV, dynamic engines with leases, OIDC tokens',
  providerSchema: vaultProviderSchema,
  credentialSchema: vaultCredentialSchema,
  environmentDefaults: {
    address: ['VAULT_ADDR', 'BAO_ADDR'],
    namespace: ['VAULT_NAMESPACE', 'BAO_NAMESPACE'],
    ca_file: ['VAULT_CACERT', 'BAO_CACERT'],
    tls_server_name: ['VAULT_TLS_SERVER_NAME', 'BAO_TLS_SERVER_NAME'],
    client_cert_file: ['VAULT_CLIENT_CERT', 'BAO_CLIENT_CERT'],
    client_key_file: ['VAULT_CLIENT_KEY', 'BAO_CLIENT_KEY'],
    skip_verify: ['VAULT_SKIP_VERIFY', 'BAO_SKIP_VERIFY'],
    proxy: proxyRule(({ address }) => (typeof address === 'string' ? address : undefined)),
  },
  identify: ({ path, method, params, namespace, wrap_ttl, expires_metadata }) => {
    const sorted = Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1));
    // What came later is there only where it is used: else an upgrade would lose every key to a new identity.
    const later = expires_metadata === undefined ? [] : [expires_metadata];
    return JSON.stringify([namespace ?? null, method, path, sorted, wrap_ttl ?? null, ...later]);
  },
  describe: ({ path }) => path,
  interactive: {
    isNeeded: ({ auth }) => isInteractive(auth),
    async load() {
      const { logInInteractively } = await import('./logins/interactive.ts');
      return logInInteractively;
    },
  },
  async load() {
    const { VaultProvider } = await import('./vault-provider.ts');
    return (options, host) => new VaultProvider(options, host);
  },
};
