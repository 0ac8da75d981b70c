/**
 * Shapes of other people's config.toml, as they lie in public repositories: tables, comments, quoting and line ends are theirs,
 * every name, path and value is made up. `provider` is what `--provider` has to say where the shape is about one that is there.
 */
interface CodexSample {
  readonly name: string;
  readonly text: string;
  readonly provider?: string;
  /** Somebody's own selection or key is in the way. */
  readonly force?: true;
}

const PLAIN: readonly CodexSample[] = [
  { name: 'no byte at all', text: '' },
  { name: 'a byte order mark alone', text: '\uFEFF' },
  { name: 'blank lines', text: '\n\n\n' },
  { name: 'a comment alone', text: '# nothing here yet\n' },
  { name: 'a comment without a line break', text: '# nothing here yet' },
  { name: 'one key', text: 'model = "m-1"\n' },
  { name: 'one key without a line break', text: 'model = "m-1"' },
  { name: 'one key, blanks behind it', text: 'model = "m-1"   \n\n' },
  {
    name: 'policy and features',
    text: 'approval_policy = "on-request"\nweb_search = "cached"\ndefault_permissions = ":workspace"\n\n[features]\nhooks = true\nfast_mode = false\n',
  },
  {
    name: 'trusted projects with quoted keys',
    text: 'model = "m-1"\n\n[sandbox_workspace_write]\nnetwork_access = true\n\n[projects."/home/somebody"]\ntrust_level = "trusted"\n\n[projects."/home/somebody/a b.c/\\u00e4"]\ntrust_level = "trusted"\n\n[notice.model_migrations]\n"m-1.1" = "m-2"\n',
  },
  {
    name: 'servers with lists over several lines',
    text: '[mcp_servers.one]\ncommand = "npx"\nargs = [\n    "-y",\n    "@scope/one", # the newest\n]\n\n[mcp_servers.two]\ncommand = "npx"\nargs = ["-y", "two",]\n\n[mcp_servers.two.env]\nTWO = "2"\n',
  },
  {
    name: 'only tables, a comment on top',
    text: '# Made by a generator. Do not edit.\n\n[mcp_servers.web]\nurl = "https://web.example/mcp/"\nbearer_token_env_var = "WEB_TOKEN"\n',
  },
  { name: 'comments between keys', text: '[agents]\nenabled = true\n# The first one does not count.\nmax = 3\n' },
  {
    name: 'commented alternatives',
    text: '# model = "m-1"\n# model_provider = "other"\nmodel = "m-2" # the large one\n# [model_providers.other]\n# base_url = "https://other.example"\n',
  },
  { name: 'indented tables', text: '[tui]\n  theme = "dark"\n  [tui.keys]\n    quit = "q"\n' },
  { name: 'tabs', text: '[tui]\n\ttheme\t=\t"dark"\t# tabs\n' },
  { name: 'CRLF', text: 'model = "m-1"\r\n\r\n[tui]\r\ntheme = "dark"\r\n' },
  { name: 'CRLF without a last one', text: 'model = "m-1"\r\n[tui]\r\ntheme = "dark"' },
  { name: 'mixed line ends', text: 'model = "m-1"\r\n[tui]\ntheme = "dark"\r\n' },
  { name: 'a byte order mark and keys', text: '\uFEFFmodel = "m-1"\n[tui]\ntheme = "dark"\n' },
  { name: 'a byte order mark and a table', text: '\uFEFF[tui]\r\ntheme = "dark"\r\n' },
  { name: 'dotted keys at the root', text: 'tui.theme = "dark"\ntui.keys.quit = "q"\nmodel = "m-1"\n' },
  {
    name: 'text over several lines, with what looks like a table',
    text: 'developer_instructions = """\nSay it.\n[model_providers.broker]\nmodel_provider = "x"\n"""\nmodel = \'m-1\'\n',
  },
  { name: 'a literal over several lines', text: "notes = '''\na = 1\n'''\n\n[tui]\n" },
  {
    name: 'arrays of tables',
    text: '[[hooks.before]]\nrun = "a"\n\n[[hooks.before]]\nrun = "b"\n[hooks.before.env]\nA = "1"\n',
  },
  { name: 'arrays of inline tables', text: 'hooks = [{ run = "a" }, { run = "b", env = { A = "1" } }]\n' },
  {
    name: 'dates, floats and large numbers',
    text: 'a = 1979-05-27T07:32:00Z\nb = 1e3\nc = 0xff\nd = 1_000\ne = inf\nf = 9007199254740993\ng = 07:32:00\n',
  },
  { name: 'an empty table at the end', text: 'model = "m-1"\n[features]' },
  {
    name: 'an inline table at the end',
    text: 'model = "m-1"\nshell_environment_policy = { inherit = "core", exclude = ["*KEY*"] }',
  },
  {
    name: 'old profiles',
    text: 'model = "m-1"\n\n[profiles.fast]\nmodel = "m-2"\nmodel_provider = "broker"\n\n[profiles."very fast"]\nmodel = "m-3"\n',
  },
  {
    name: 'our own words in somebody’s comment',
    text: '# model_provider = "broker"\n# [model_providers.broker.auth]\nmodel = "m-1"\n',
  },
  { name: 'other letters', text: 'name = "héllo — 日本語 🚀" # ünï\n["tä.ble"]\nx = "🚀"\n' },
];

const WITH_PROVIDERS: readonly CodexSample[] = [
  {
    name: 'another provider with a key of its own',
    text: 'model = "m-1"\nmodel_provider = "corp"\n\n[model_providers.corp]\nname = "Corp"\nbase_url = "https://corp.example/v1"\nenv_key = "CORP_KEY"\nwire_api = "responses"\n',
    provider: 'broker',
    force: true,
  },
  {
    name: 'the key’s variable is taken out',
    text: 'model_provider = "corp" # ours\n\n[model_providers.corp]\nname = "Corp"\nenv_key = "CORP_KEY" # from the vault\nbase_url = "https://corp.example/v1"\n',
    provider: 'corp',
    force: true,
  },
  {
    name: 'the last line of the file is taken out',
    text: 'model_provider = "corp"\r\n[model_providers.corp]\r\nname = "Corp"\r\nbase_url = "https://corp.example/v1"\r\nrequires_openai_auth = true',
    provider: 'corp',
    force: true,
  },
  {
    name: 'a provider without a key, tables behind it',
    text: 'model_provider = "gate"\n[model_providers.gate]\nname = "Gate"\nbase_url = "http://localhost:9/v1"\n# env_key = "GATE"\n\n# --- servers ---\n[mcp_servers.one]\ncommand = "one"\n',
    provider: 'gate',
  },
  {
    name: 'a provider with tables of its own',
    text: '[model_providers.gate]\nname = "Gate"\nbase_url = "http://localhost:9/v1"\n[model_providers.gate.http_headers]\n"X-Team" = "a"\n[model_providers.gate.query_params]\napi-version = "2026"\n',
    provider: 'gate',
  },
  {
    name: 'a provider with a quoted key',
    text: 'model_provider = "my.gate"\n[model_providers."my.gate"]\nname = "Gate"\nbase_url = "http://localhost:9/v1"\n',
    provider: 'my.gate',
  },
  {
    name: 'all providers in one table, as inline tables',
    text: 'model = "m-1"\n[model_providers]\ngate = { name = "Gate", base_url = "http://localhost:9/v1" }\nother = { name = "Other", base_url = "http://localhost:8/v1" } # spare\n',
    provider: 'gate',
  },
  {
    name: 'an inline provider with an inline table at its end',
    text: '[model_providers]\ngate = { name = "Gate", base_url = "http://localhost:9/v1", http_headers = { "X-Team" = "a" } }',
    provider: 'gate',
  },
  { name: 'an empty inline provider', text: 'model_providers.gate = {}\nmodel = "m-1"\n', provider: 'gate' },
  {
    name: 'everything in one inline table',
    text: 'model_providers = { gate = { name = "Gate", base_url = "http://localhost:9/v1" } }\nmodel = "m-1"\n',
    provider: 'gate',
  },
  {
    name: 'everything in one inline table, and a new one',
    text: 'model_providers = { gate = { name = "Gate", base_url = "http://localhost:9/v1" } }\n',
    provider: 'broker',
  },
  {
    name: 'a provider as dotted keys of the root',
    text: 'model_providers.gate.name = "Gate"\nmodel_providers.gate.base_url = "http://localhost:9/v1" # here\nmodel = "m-1"\n\n[tui]\ntheme = "dark"\n',
    provider: 'gate',
  },
  {
    name: 'dotted keys of the root, and a new one',
    text: 'model_providers.gate.name = "Gate"\nmodel_providers.gate.base_url = "http://localhost:9/v1"\n',
    provider: 'broker',
  },
  {
    name: 'a provider as dotted keys of a table',
    text: '[model_providers]\n  gate.name = "Gate"\n  gate.base_url = "http://localhost:9/v1"\n\n[tui]\n',
    provider: 'gate',
  },
  {
    name: 'a provider as dotted keys, no last line break',
    text: '[model_providers]\ngate.name = "Gate"\ngate.base_url = "http://localhost:9/v1"',
    provider: 'gate',
  },
  {
    name: 'somebody’s own command',
    text: 'model_provider = "gate"\n\n[model_providers.gate.auth]\ncommand = "/opt/tools/token"\nargs = ["--once"]\n\n[model_providers.gate]\nname = "Gate"\nbase_url = "http://localhost:9/v1"\n',
    provider: 'gate',
    force: true,
  },
  {
    name: 'somebody’s own command as an inline table',
    text: 'model_provider = "gate"\n[model_providers.gate]\nname = "Gate"\nauth = { command = "/opt/tools/token" }\nbase_url = "http://localhost:9/v1"\n',
    provider: 'gate',
    force: true,
  },
  {
    name: 'tables in an unusual order',
    text: '[model_providers.gate.http_headers]\nX = "1"\n[tui]\ntheme = "dark"\n[model_providers.gate]\nname = "Gate"\nbase_url = "http://localhost:9/v1"\n',
    provider: 'gate',
  },
  {
    name: 'blanks in headers and around dots',
    text: '[ model_providers . gate ] # here\nname = "Gate"\n"base_url" = "http://localhost:9/v1"\n',
    provider: 'gate',
  },
];

export const CODEX_SAMPLES: readonly CodexSample[] = [...PLAIN, ...WITH_PROVIDERS];
