/** Below the ports that systems hand out, so that no other test is found there. */
export const PORT = 17_643;

/** What is asked of the helper: one of everything that a database can hold. */
export const ASKS = ['', 'static', '--format aws pair', 'dated', 'leased', 'token', 'command'] as const;

export interface Expected {
  readonly wroteAtMs: number;
  /** By what was asked. */
  readonly stdout: Readonly<Record<string, string>>;
}

/** No path in it: those of a login are part of what a stored key is bound to, and every home is another. */
export const config = (roleId: string): string => `default = "static"

[providers.vault]
type = "vault"
address = "http://127.0.0.1:${PORT}"
[providers.vault.auth]
method = "approle"
role_id = "${roleId}"

[providers.command]
type = "exec"

[credentials.static]
provider = "vault"
path = "secret/data/claude"
field = "api_key"
ttl = "15m"
max_stale = "24h"

[credentials.pair]
provider = "vault"
path = "secret/data/claude"
fields = { access_key = "access", secret_key = "secret", session_token = "session" }

[credentials.dated]
provider = "vault"
path = "secret/data/dated"
field = "api_key"
expires_field = "expires"

[credentials.leased]
provider = "vault"
path = "apikeys/creds/dev"
field = "api_key"

[credentials.token]
provider = "vault"
path = "identity/oidc/token/dev"
field = "token"

[credentials.command]
provider = "command"
command = ["sh", "-c", "exec cat \\"$HOME/key\\""]

[daemon]
turn_margin = "2m"
idle_after = "1h"
revoke_on_exit = false
log_level = "info"
`;
