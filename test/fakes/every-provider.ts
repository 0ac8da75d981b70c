/**
 * A configuration with a provider of every type, each with a credential, and with nothing in it that has to be warned of.
 * `vaultAddress`: of a Vault that may be asked. */
export function everyProvider(vaultAddress = 'https://vault.invalid:8200', vaultToken?: string): string {
  return `default = "from-vault"
[providers.vault]
type = "vault"
address = "${vaultAddress}"
[providers.vault.auth]
method = "token"
${vaultToken === undefined ? '' : `token = "${vaultToken}"`}
[credentials.from-vault]
provider = "vault"
path = "secret/data/claude"
field = "api_key"
[providers.secrets]
type = "aws-secrets-manager"
region = "eu-west-1"
[credentials.from-secrets]
provider = "secrets"
secret_id = "prod/claude"
[providers.parameters]
type = "aws-ssm"
region = "eu-west-1"
[credentials.from-parameters]
provider = "parameters"
parameter = "/prod/claude"
[providers.tool]
type = "exec"
command = ["/bin/echo", "sk-from-tool"]
[credentials.from-tool]
provider = "tool"
[providers.identity]
type = "oauth2"
issuer = "https://login.invalid"
client_id = "broker"
client_secret = { env = "CLIENT_SECRET" }
[credentials.from-identity]
provider = "identity"
[providers.desk]
type = "keychain"
[credentials.from-desk]
provider = "desk"
item = "claude"
[providers.federation]
type = "anthropic-wif"
federation_rule_id = "fdrl_01Test"
organization_id = "11111111-2222-3333-4444-555555555555"
service_account_id = "svac_01Test"
identity = { credential = "from-vault" }
[credentials.from-federation]
provider = "federation"
`;
}
