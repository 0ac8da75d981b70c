import { describe, expect, it } from 'vitest';
import { checkConfig } from '../../../src/config/load.ts';
import { providerTypes } from '../../fakes/provider-schemas.ts';

/** What is expected of a broken text: one fault, its line, its key, what is wrong, what to write instead. */
interface Row {
  readonly text: string;
  readonly line: number | undefined;
  readonly key: string | undefined;
  readonly wrong: string;
  readonly instead: string;
  readonly env?: Record<string, string>;
}

const FILE = '/home/u/.config/broker/config.toml';
const V = '[providers.v]\ntype = "vault"\naddress = "https://v:8200"\n';
const A = '[providers.a]\ntype = "aws-secrets-manager"\nregion = "eu-west-1"\n';
const X = '[providers.x]\ntype = "exec"\n';
const C = '[credentials.c]\nprovider = "v"\npath = "secret/data/c"\n';
const CA = '[credentials.c]\nprovider = "a"\nsecret_id = "prod/c"\n';
const CX = '[credentials.c]\nprovider = "x"\n';

const row = (
  text: string,
  line: number | undefined,
  key: string | undefined,
  wrong: string,
  instead: string,
  env?: Record<string, string>,
): Row => ({ text, line, key, wrong, instead, ...(env === undefined ? {} : { env }) });

const BROKEN: Readonly<Record<string, readonly Row[]>> = {
  'TOML itself': [
    row(`${V}namespace = team\n${C}`, 4, 'providers.v.namespace', 'not valid TOML', 'double quotes'),
    row(`${V}namespace = "team\n${C}`, 4, 'providers.v.namespace', 'line end in the text', 'close the quotes'),
    row(
      `${V}namespace = "a"\nnamespace = "b"\n${C}`,
      5,
      'providers.v.namespace',
      'already defined on line 4',
      'keep one',
    ),
    row(`${V}${C}${V}`, 7, 'providers.v', 'already defined on line 1', 'keep one'),
    row(
      `providers = { v = { type = "vault", address = "https://v" } }\n${C}[providers.w]\n`,
      5,
      'providers.w',
      'providers is written as one value on line 1',
      'write it there',
    ),
    row(
      `${V}\u00a0ca_file = "/x"\n${C}`,
      4,
      undefined,
      'cannot be seen or is not what it looks like (U+00A0)',
      'again',
    ),
    row(`\uFEFF\uFEFFdefault = "c"\n${V}${C}`, 1, undefined, '(U+FEFF)', 'plain UTF-8'),
    row(`${V}${C}\x1a`, 7, undefined, '(U+001A)', 'plain UTF-8'),
    row(`${V}ca_file = "/x\0"\n${C}`, 4, 'providers.v.ca_file', '(U+0000)', 'plain UTF-8'),
    row(`${V}ca_file = “/x”\n${C}`, 4, 'providers.v.ca_file', 'the quotes are typographic', 'straight'),
    row(`${V}namespace = team # \u00a0“x”\n${C}`, 4, 'providers.v.namespace', 'not valid TOML', 'double quotes'),
    row(`${V}namespace = "a" ca_file = "/b"\n${C}`, 4, 'providers.v.namespace', 'follows the value', 'line of its own'),
    row(`${V}namespace: "a"\n${C}`, 4, undefined, 'neither key = value', 'write key = "value"'),
    row(`${V}namespace\n${C}`, 4, undefined, 'neither key = value', 'write key = "value"'),
    row(`${V}namespace =\n${C}`, 4, 'providers.v.namespace', 'not valid TOML', 'double quotes'),
    row(`${V}= "a"\n${C}`, 4, undefined, 'there is no key', 'write key = "value"'),
    row(`${V}${C}[credentials.d\n`, 7, 'credentials.d', 'neither key = value', '[table.NAME]'),
    row(`${V}ca_file = "C:\\certs"\n${C}`, 4, 'providers.v.ca_file', 'escape in the text', 'backslash'),
    row(
      `${V}auth = { method = "token"\n${C}`,
      4,
      'providers.v.auth',
      'closing bracket is missing',
      'close the bracket',
    ),
    row(
      `${X}${CX}command = ["a",\n  "b"\n`,
      5,
      'credentials.c.command',
      'closing bracket is missing',
      'close the bracket',
    ),
    row(
      `${V}auth = {\n  method = "token",\n}\nauth = {\n  method = "x",\n}\n${C}`,
      7,
      'providers.v.auth',
      'already defined on line 4',
      'keep one',
    ),
    row(`${X}${CX}command = ["a" "b"]\n`, 5, 'credentials.c.command', 'comma', 'separate'),
    row(`${V}${C}ttl = 15m\n`, 7, 'credentials.c.ttl', 'neither a number nor text', 'double quotes'),
    row(`${V}${C}ttl = 99999999999999999999\n`, 7, 'credentials.c.ttl', 'too large', 'double quotes'),
    row(`${V}${C}[__proto__]\nx = 1\n`, 7, '__proto__', 'cannot be names', 'another name'),
    row(`{ "default": "c" }`, 1, undefined, 'neither key = value', 'write key = "value"'),
  ],
  'the outermost table': [
    row('', undefined, undefined, 'the configuration is empty', 'broker setup'),
    row('# nothing but a comment\n', undefined, undefined, 'the configuration is empty', '[credentials.NAME]'),
    row(V, undefined, undefined, 'there are no credentials', '[credentials.NAME]'),
    row(`defualt = "c"\n${V}${C}`, 1, 'defualt', 'no key defualt at the top', 'write default'),
    row(`default = "d1"\n${V}${C}`, 1, 'default', 'no credential "d1"', 'write default = "c"'),
    row(`default = 1\n${V}${C}`, 1, 'default', 'a number, not text', 'default = "anthropic"'),
    row(`default = ""\n${V}${C}`, 1, 'default', 'empty', 'default = "anthropic"'),
    row(`ttl = "15m"\n${V}${C}`, 1, 'ttl', 'no key ttl at the top', 'ttl belongs in [credentials.NAME]'),
    row(`[credential.c]\nx = 1\n${V}${C}`, 1, 'credential.c', 'no table [credential.c]', 'write [credentials.c]'),
    row(`${V.replace('providers.v', 'v')}${C}`, 1, 'v', 'no table [v]', 'write [providers.v]'),
    row(
      `[anthropic]\nprovider = "v"\npath = "secret/data/x"\n${V}`,
      1,
      'anthropic',
      'no table',
      'write [credentials.anthropic]',
    ),
    row(`[deamon]\nidle_after = "1h"\n${V}${C}`, 1, 'deamon', 'no table [deamon]', 'write [daemon]'),
    row(`${V.replace('providers', 'provider')}${C}`, 1, 'provider.v', 'no table [provider.v]', 'write [providers.v]'),
    row(`credentials = "c"\n${V}`, 1, 'credentials', 'text in quotes, not a table', 'write a table'),
    row(`${V}${C}[daemon]\ndefault = "c"\n`, 8, 'daemon.default', 'no key default in [daemon]', 'top of the file'),
    row(`[[credentials]]\nprovider = "v"\n${V}`, 1, 'credentials', 'an array, not a table', 'write'),
  ],
  providers: [
    row(`${V}${C}[providers.w]\n`, 7, 'providers.w.type', 'missing', 'type = "vault"'),
    row(`${V}${C}[providers.w]\ntype = "vualt"\n`, 8, 'providers.w.type', 'no provider type "vualt"', 'type = "vault"'),
    row(`${V}${C}[providers.w]\ntype = "zzzz"\n`, 8, 'providers.w.type', 'vault, aws-secrets-manager, exec', '"exec"'),
    row(`${V}${C}[providers.w]\ntype = true\n`, 8, 'providers.w.type', 'true or false, not text', 'type = "vault"'),
    row(`[providers]\nw = "vault"\n${V}${C}`, 2, 'providers.w', 'text in quotes, not a table', '[providers.NAME]'),
    row(`${V}${C}[providers."my vault"]\ntype = "exec"\n`, 7, 'providers."my vault"', 'name is not allowed', 'letters'),
    row(`[providers.v]\ntype = "vault"\n${C}`, 1, 'providers.v.address', 'missing', 'https://vault.example.com:8200'),
    row(
      `[providers.v.auth]\nmethod = "token"\n[providers.v]\ntype = "vault"\n${C}`,
      3,
      'providers.v.address',
      'missing',
      'https',
    ),
    row(`${V}adress = "https://x"\n${C}`, 4, 'providers.v.adress', 'no key adress in [providers.v]', 'write address'),
    row(`${V}caFile = "/x"\n${C}`, 4, 'providers.v.caFile', 'no key caFile', 'write ca_file'),
    row(`${V}"ca-file" = "/x"\n${C}`, 4, 'providers.v.ca-file', 'no key ca-file', 'write ca_file'),
    row(`${V}zzzzzz = 1\n${C}`, 4, 'providers.v.zzzzzz', 'no key zzzzzz', 'address, auth, ca_file'),
    row(`${V}ca_file = "certs/x.pem"\n${C}`, 4, 'providers.v.ca_file', 'not absolute', '~/'),
    row(`${V}ca_file = ["/x"]\n${C}`, 4, 'providers.v.ca_file', 'an array, not text', 'ca_file = "~/'),
    row(`${V}tls_skip_verify = "yes"\n${C}`, 4, 'providers.v.tls_skip_verify', 'not true or false', '= true or false'),
    row(`${V}namespace = ""\n${C}`, 4, 'providers.v.namespace', 'text is empty', 'at least 1 character'),
    row(`${V}namespace = 2024-01-01\n${C}`, 4, 'providers.v.namespace', 'a date, not text', 'namespace = "…"'),
    row(`${V}path = "x"\n${C}`, 4, 'providers.v.path', 'no key path', 'belongs in [credentials.NAME]'),
    row(
      `[providers.v]\ntype = "vault"\naddress = "v:8200"\n${C}`,
      3,
      'providers.v.address',
      'no http',
      'https://vault',
    ),
    row(
      `[providers.v]\ntype = "vault"\naddress = 8200\n${C}`,
      3,
      'providers.v.address',
      'a number, not text',
      'https://vault',
    ),
    row(`${A}max_sockets = 0\n${CA}`, 4, 'providers.a.max_sockets', 'number is too small', 'at least 1'),
    row(`${A}max_sockets = 99\n${CA}`, 4, 'providers.a.max_sockets', 'number is too large', 'at most 50'),
    row(
      `${A}max_sockets = 1.5\n${CA}`,
      4,
      'providers.a.max_sockets',
      'a number, not a whole number',
      'max_sockets = 5',
    ),
    row(
      `${A}max_sockets = "5"\n${CA}`,
      4,
      'providers.a.max_sockets',
      'text in quotes, not a number',
      'max_sockets = 5',
    ),
    row(`${A}endpoint = "127.0.0.1"\n${CA}`, 4, 'providers.a.endpoint', 'not a valid URL', '"https://…"'),
    row(`${A}profile = 7\n${CA}`, 4, 'providers.a.profile', 'a number, not text', 'profile = "7"'),
    row(
      `${V}address.host = "x"\n${C}`,
      4,
      'providers.v.address.host',
      'providers.v.address is written as one value on line 3',
      'keep one',
    ),
  ],
  'tables in providers': [
    row(`${V}auth = "token"\n${C}`, 4, 'providers.v.auth', 'text in quotes, not a table', '[providers.v.auth]'),
    row(`${V}[providers.v.auth]\n${C}`, 4, 'providers.v.auth.method', 'missing', 'method = "token" or "approle"'),
    row(
      `${V}auth = { method = "aprole" }\n${C}`,
      4,
      'providers.v.auth.method',
      '"aprole" is none of',
      'method = "approle"',
    ),
    row(`${V}${C}allow = ["claude"]\n`, 7, 'credentials.c.allow[0]', 'is none of', 'write elements like "claude-code"'),
    row(`${V}auth.method = 1\n${C}`, 4, 'providers.v.auth.method', '1 is none of', '"token" or "approle"'),
    row(
      `${V}[providers.v.auth]\nmethod = "approle"\nrole_idfile = "/x"\n${C}`,
      6,
      'providers.v.auth.role_idfile',
      'no key role_idfile in [providers.v.auth]',
      'write role_id_file',
    ),
    row(
      `${V}auth = {\n  method = "token",\n  role_id = "x" }\n${C}`,
      6,
      'providers.v.auth.role_id',
      'no key role_id',
      'role_id belongs to logins with method = "approle"',
    ),
    row(`${X}env = { A = 1 }\n${CX}command = ["a"]\n`, 3, 'providers.x.env.A', 'a number, not text', 'A = "…"'),
  ],
  credentials: [
    row(`${V}${C}token_file = "~/t"\n`, 7, 'credentials.c.token_file', 'no key token_file', 'in [providers.NAME.auth]'),
    row(`${V}[credentials]\nc = "x"\n`, 5, 'credentials.c', 'text in quotes, not a table', '[credentials.NAME]'),
    row(`${V}${C}[credentials."a b"]\nprovider = "v"\npath = "x"\n`, 7, 'credentials."a b"', 'not allowed', 'letters'),
    row(
      `${V}${C}[credentials._default]\nprovider = "v"\npath = "x"\n`,
      7,
      'credentials._default',
      'not allowed',
      'begins',
    ),
    row(`${V}[credentials.c]\npath = "x"\n`, 4, 'credentials.c.provider', 'missing', 'provider = "v"'),
    row(`${V}[credentials.c]\nprovider = 1\npath = "x"\n`, 5, 'credentials.c.provider', 'a number', 'provider = "v"'),
    row(
      `[credentials.c]\nprovider = "v"\npath = "x"\n`,
      2,
      'credentials.c.provider',
      'no provider "v"',
      '[providers.NAME]',
    ),
    row(
      `${A}[credentials.c]\nprovider = "aa"\nsecret_id = "x"\n`,
      5,
      'credentials.c.provider',
      'no provider "aa"',
      '"a"',
    ),
    row(`${V}[credentials.c]\nprovider = "v"\n`, 4, 'credentials.c.path', 'missing', 'path = "secret/data/claude"'),
    row(`${V}${C}feild = "x"\n`, 7, 'credentials.c.feild', 'no key feild', 'write field'),
    row(`${V}${C}secret_id = "x"\n`, 7, 'credentials.c.secret_id', 'no key secret_id', 'type aws-secrets-manager'),
    row(`${V}${C}address = "https://v"\n`, 7, 'credentials.c.address', 'no key address', 'in [providers.NAME]'),
    row(`${V}${C}turn_margin = "1m"\n`, 7, 'credentials.c.turn_margin', 'no key turn_margin', 'belongs in [daemon]'),
    row(`${V}${C}field = "a"\nfields = { b = "b" }\n`, 8, 'credentials.c.fields', 'exclude each other', 'remove one'),
    row(
      `${V}${C}allow = ["claude-code"]\nsink = { file = "{runtime}/x" }\n`,
      8,
      'credentials.c.sink',
      'sink and allow exclude each other',
      'remove sink, or allow',
    ),
    row(
      `${V}${C}scope = "session"\nsink = { file = "{runtime}/x" }\n`,
      8,
      'credentials.c.sink',
      'sink and scope exclude each other',
      'remove sink, or scope',
    ),
    row(
      `${V}${C}fields = { b = "b" }\nsink = { file = "/run/x" }\n`,
      8,
      'credentials.c.sink',
      'sink and fields exclude each other',
      'name one value with field',
    ),
    row(
      `${V}${C}sink = { file = "token" }\n`,
      7,
      'credentials.c.sink.file',
      'not the path of a file',
      '{runtime}/NAME',
    ),
    row(
      `${V}${C}sink = { file = "{runtime}/../x" }\n`,
      7,
      'credentials.c.sink.file',
      'not the path',
      'without . and ..',
    ),
    row(
      `${V}${C}sink = { file = "/run/" }\n`,
      7,
      'credentials.c.sink.file',
      'not the path of a file',
      '{runtime}/NAME',
    ),
    row(`${V}${C}field = ["a"]\n`, 7, 'credentials.c.field', 'an array, not text', 'field = "api_key"'),
    row(`${V}${C}field = "a..b"\n`, 7, 'credentials.c.field', 'part of the dotted path is empty', 'single dots'),
    row(`${V}${C}fields = "a"\n`, 7, 'credentials.c.fields', 'text in quotes, not a table', 'fields = { access_key'),
    row(`${V}${C}fields = {}\n`, 7, 'credentials.c.fields', 'table is empty', 'fields = { access_key'),
    row(`${V}${C}fields = { a = 1 }\n`, 7, 'credentials.c.fields.a', 'a number, not text', 'a = "1"'),
    row(`${V}${C}[credentials.c.fields]\n"a b" = "x"\n`, 8, 'credentials.c.fields."a b"', 'not allowed', 'letters'),
    row(`${V}${C}expires_field = ""\n`, 7, 'credentials.c.expires_field', 'empty', 'expires_at'),
    row(
      `${V}${C}header = "Authorization: Bearer"\n`,
      7,
      'credentials.c.header',
      'name of an HTTP header',
      'Authorization',
    ),
    row(`${V}${C}header_prefix = "Bärer "\n`, 7, 'credentials.c.header_prefix', 'ASCII', 'Bearer'),
    row(
      `${V}${C}fields = { a = "b" }\nheader = "x-a"\n`,
      8,
      'credentials.c.header',
      'exclude each other',
      'names in fields',
    ),
    row(`${V}${C}[credentials.c.check]\n`, 7, 'credentials.c.check.url', 'missing', 'url = "https://'),
    row(
      `${V}${C}[credentials.c.check]\nurl = "api.example.com"\n`,
      8,
      'credentials.c.check.url',
      'not a web address',
      'https://api.anthropic.com',
    ),
    row(
      `${V}${C}[credentials.c.check]\nurl = "http://api.example.com"\n`,
      8,
      'credentials.c.check.url',
      'in the clear',
      'https://',
    ),
    row(
      `${V}${C}[credentials.c.check]\nurl = "https://u:p@api.example.com"\n`,
      8,
      'credentials.c.check.url',
      'user name or a password',
      'goes into a header',
    ),
    row(
      `${V}${C}[credentials.c.check]\nurl = "https://api.example.com/?api_key=x"\n`,
      8,
      'credentials.c.check.url',
      'secret in the query',
      'goes into a header',
    ),
    row(
      `${V}${C}[credentials.c.check]\nurl = "https://a"\nheaders = { "a b" = "c" }\n`,
      9,
      'credentials.c.check.headers."a b"',
      'not allowed',
      'one word',
    ),
    row(
      `${V}${C}[credentials.c.check]\nurl = "https://a"\nrejected = { status = 200, field = "a", value = "b" }\n`,
      9,
      'credentials.c.check.rejected.status',
      'number is too small',
      '400',
    ),
    row(
      `${V}${C}fields = { a = "b" }\n[credentials.c.check]\nurl = "https://a"\n`,
      8,
      'credentials.c.check',
      'exclude each other',
      'remove check',
    ),
    row(`${V}${C}params = { version = 3 }\n`, 7, 'credentials.c.params.version', 'a number', 'version = "3"'),
    row(`${X}${CX}command = []\n`, 5, 'credentials.c.command', 'array is empty', 'at least 1 element'),
    row(`${X}${CX}command = "a b"\n`, 5, 'credentials.c.command', 'not an array', 'command = ["a", "b"]'),
    row(`${X}${CX}command = ["a",\n  1]\n`, 6, 'credentials.c.command[1]', 'a number, not text', '"1"'),
    row(`${X}${CX}command = ["sudo"]\n`, 5, 'credentials.c.command', 'ask for a password', 'command = ["pass"'),
    row(
      `${X}${CX}command = ["a"]\nshell = 1\n`,
      6,
      'credentials.c.shell',
      '1 is none of true or false, sh or bash',
      'shell = "sh" or "bash"',
    ),
    row(
      `${X}${CX}command = ["a"]\nshell = "bahs"\n`,
      6,
      'credentials.c.shell',
      '"bahs" is none of true or false, sh or bash',
      '"bash"',
    ),
  ],
  durations: [
    row(`${V}${C}ttl = 900\n`, 7, 'credentials.c.ttl', 'a number, not text', 'ttl = "15m"'),
    row(`${V}${C}ttl = "900"\n`, 7, 'credentials.c.ttl', 'has no unit', 'write "900s"'),
    row(`${V}${C}ttl = "15 min"\n`, 7, 'credentials.c.ttl', 'not a duration', 'write "15m"'),
    row(`${V}${C}ttl = "1.5h"\n`, 7, 'credentials.c.ttl', 'whole numbers', '"1h30m"'),
    row(`${V}${C}ttl = "-1h"\n`, 7, 'credentials.c.ttl', 'negative', '"15m"'),
    row(`${V}${C}ttl = "30m1h"\n`, 7, 'credentials.c.ttl', 'large to small', '"1h30m"'),
    row(`${V}${C}ttl = ""\n`, 7, 'credentials.c.ttl', 'empty', '"15m"'),
    row(`${V}${C}ttl = "0s"\n`, 7, 'credentials.c.ttl', 'too short', 'at least "100ms"'),
    row(`${V}${C}max_stale = "9999d"\n`, 7, 'credentials.c.max_stale', 'over ten years', 'at most'),
    row(`${V}${C}max_stale = "400d"\n`, 7, 'credentials.c.max_stale', 'too long', 'at most "365d"'),
    row(`${V}${C}max_stale = "never"\n`, 7, 'credentials.c.max_stale', 'not a duration', '"24h"'),
  ],
  daemon: [
    row(`daemon = "x"\n${V}${C}`, 1, 'daemon', 'text in quotes, not a table', '[daemon]'),
    row(`${V}${C}[daemon]\nturn_margn = "1m"\n`, 8, 'daemon.turn_margn', 'no key turn_margn', 'write turn_margin'),
    row(`${V}${C}[daemon]\nturn_margin = "2h"\n`, 8, 'daemon.turn_margin', 'too long', 'at most "1h"'),
    row(`${V}${C}[daemon]\nidle_after = 60\n`, 8, 'daemon.idle_after', 'a number, not text', 'idle_after = "1h"'),
    row(`${V}${C}[daemon]\nrevoke_on_exit = "no"\n`, 8, 'daemon.revoke_on_exit', 'not true or false', 'true or false'),
    row(`${V}${C}[daemon]\nlog_level = "inof"\n`, 8, 'daemon.log_level', '"inof" is none of', 'log_level = "info"'),
    row(`${V}${C}[daemon]\nlog_level = 3\n`, 8, 'daemon.log_level', 'none of trace', '"warn"'),
  ],
  'the environment': [
    row(`[providers.v]\ntype = "vault"\n${C}`, 1, 'providers.v.address', 'VAULT_ADDR', 'unset VAULT_ADDR', {
      VAULT_ADDR: 'localhost',
    }),
    row(`${V}${C}`, 1, 'providers.v.tls_skip_verify', 'VAULT_SKIP_VERIFY', 'tls_skip_verify = true or false', {
      VAULT_SKIP_VERIFY: 'maybe',
    }),
    row(
      `[providers.a]\ntype = "aws-secrets-manager"\n${CA}`,
      1,
      'providers.a.region',
      'AWS_DEFAULT_REGION',
      'eu-west-1',
      {
        AWS_DEFAULT_REGION: 'mars',
      },
    ),
  ],
};

const check = (bytes: string | Uint8Array, env = {}) =>
  checkConfig(typeof bytes === 'string' ? Buffer.from(bytes) : bytes, {
    file: FILE,
    types: providerTypes,
    env,
    homeDir: '/home/u',
  });

describe('a broken configuration', () => {
  for (const [part, rows] of Object.entries(BROKEN)) {
    describe(part, () => {
      it.each(rows)('$key: $wrong', async ({ text, line, key, wrong, instead, env }) => {
        const { faults } = await check(text, env);
        expect(faults).toEqual([
          {
            file: FILE,
            line,
            key,
            message: expect.stringContaining(wrong),
            remedy: expect.stringContaining(instead),
          },
        ]);
      });
    });
  }

  it('has all its faults listed at once, in the order of the file', async () => {
    const { faults } = await check(
      'default = "d"\n[providers.v]\ntype = "vault"\nadress = "x"\n[credentials.c]\nprovider = "v"\nttl = 5\n[daemon]\nx = 1\n',
    );
    expect(faults?.map(({ line, key }) => [line, key])).toEqual([
      [1, 'default'],
      [2, 'providers.v.address'],
      [4, 'providers.v.adress'],
      [5, 'credentials.c.path'],
      [7, 'credentials.c.ttl'],
      [9, 'daemon.x'],
    ]);
  });

  it('has faults behind a syntax error listed too, but nothing that the error itself may have swallowed', async () => {
    const { faults } = await check(
      `default = "c"\n[providers.v\ntype = "vault"\n${C}ttl = 5\nfield = a\n[daemon]\nx = 1\n`,
    );
    expect(faults?.map(({ line, key }) => [line, key])).toEqual([
      [2, 'providers.v'],
      [7, 'credentials.c.ttl'],
      [8, 'credentials.c.field'],
      [10, 'daemon.x'],
    ]);
  });

  it('with many syntax errors has the first twenty listed, each with its key', async () => {
    const { faults = [] } = await check(`${V}${'namespace = team\n'.repeat(30)}${C}`);
    expect(faults.map(({ line, key }) => [line, key])).toEqual(
      Array.from({ length: 20 }, (_, index) => [4 + index, 'providers.v.namespace']),
    );
  });

  it('is told by line and key wherever TOML lets a key be written', async () => {
    const places = [
      `${V}auth.method = "token"\nauth.tokn = "x"\n${C}`,
      `${V}auth = { method = "token", tokn = "x" }\n${C}`,
      `${V}[providers.v.auth]\nmethod = "token"\ntokn = "x"\n${C}`,
      `${V}["providers" . 'v'.auth]\nmethod = "token"\n"to\\u006bn" = "x"\n${C}`,
      `providers.v.auth.tokn = "x"\nproviders.v.auth.method = "token"\nproviders.v.type = "vault"\nproviders.v.address = "http://v"\n${C}`,
      `x = """\n[providers.v.auth]\ntokn = 1\n"""\n${V}[providers.v.auth]\nmethod = "token" # tokn\ntokn = '''\n'''\n${C}`,
    ];
    const results = await Promise.all(places.map((text) => check(text)));
    const lines = results.map(({ faults }) => faults?.find(({ key }) => key === 'providers.v.auth.tokn')?.line);
    expect(lines).toEqual([5, 4, 6, 6, 1, 10]);
  });

  it('that is no UTF-8 is told by the line of the first bad byte', async () => {
    const bytes = Buffer.concat([Buffer.from(`${V}namespace = "`), Buffer.from([0xe9]), Buffer.from(`"\n${C}`)]);
    expect((await check(bytes)).faults).toEqual([
      { file: FILE, line: 4, key: undefined, message: 'the file is not UTF-8', remedy: 'save the file as UTF-8' },
    ]);
    expect((await check(Buffer.from(`\uFEFF${V}${C}`, 'utf16le'))).faults?.[0]?.message).toContain('UTF-16');
  });
});

describe('a sound configuration', () => {
  it('may have a byte order mark and CRLF line ends', async () => {
    expect((await check(`${V}${C}`)).faults).toBeUndefined();
    expect((await check(`\uFEFF${`${V}${C}`.replaceAll('\n', '\r\n')}`)).faults).toBeUndefined();
    const { faults } = await check(`\uFEFF${`${V}x = 1\n${C}`.replaceAll('\n', '\r\n')}`);
    expect(faults?.map(({ line }) => line)).toEqual([4]);
  });
});
