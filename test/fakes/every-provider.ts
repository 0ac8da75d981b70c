/** A configuration with a provider of every type, each with a credential. `vaultAddress`: of a Vault that may be asked. */
export function everyProvider(vaultAddress = 'https://vault.invalid:8200', vaultToken = 'hvs.none'): string {
  return `default = "from-vault"
[providers.vault]
type = "vault"
address = "${vaultAddress}"
[providers.vault.auth]
method = "token"
token = "${vaultToken}"
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
[providers.desk]
type = "keychain"
[credentials.from-desk]
provider = "desk"
item = "claude"
`;
}
