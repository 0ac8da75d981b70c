import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DevVault } from './dev-vault/dev-vault.ts';

/** What a laptop with an AppRole has in its configuration: one credential, `anthropic`, from KV v2. */
export function laptopConfig(vaultAddress: string, extra = ''): string {
  return `default = "anthropic"
[providers.vault]
type = "vault"
address = "${vaultAddress}"
[providers.vault.auth]
method = "approle"
role_id_file = "~/role-id"
secret_id_file = "~/secret-id"
[credentials.anthropic]
provider = "vault"
path = "secret/data/claude"
field = "api_key"
${extra}`;
}

/** The same for a person who logs in: the provider is `corp`, `auth` the lines of its login. */
export function personConfig(vaultAddress: string, auth: string): string {
  return `default = "anthropic"
[providers.corp]
type = "vault"
address = "${vaultAddress}"
[providers.corp.auth]
${auth}
[credentials.anthropic]
provider = "corp"
path = "secret/data/claude"
field = "api_key"
`;
}

/** Lets it log in with the policy `claude`: the two files that the configuration names. */
export function enrolLaptop(vault: DevVault, home: string): void {
  const roleId = vault.logins.appRole('laptop', { policies: ['claude'], ttlMs: 3_600_000 });
  writeFileSync(join(home, 'role-id'), roleId, { mode: 0o600 });
  writeFileSync(join(home, 'secret-id'), vault.logins.secretId('laptop'), { mode: 0o600 });
}
