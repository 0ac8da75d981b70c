import type { DevVault } from '../../fakes/dev-vault/dev-vault.ts';
import type { Fault } from '../../fakes/dev-vault/faults.ts';
import type { Answer, AnswerStage, Configured, Verdict } from './answer.ts';

const FOR_EVER = { times: Number.POSITIVE_INFINITY };
const SECRET = 'sk-canary-0123456789';

function configured(vault: DevVault, name: string, parts: { provider?: string; credential?: string } = {}): Configured {
  const login = `[providers.${name}.auth]\nmethod = "token"\ntoken = "${vault.rootToken}"`;
  return {
    provider: `type = "vault"\naddress = "${vault.address}"\n${parts.provider ?? login}`,
    credential: parts.credential ?? `path = "secret/data/${name}"\nfield = "api_key"`,
  };
}

function stored({ vault }: AnswerStage, name: string): void {
  vault.kv.writeV2(`secret/${name}`, { api_key: SECRET });
}

/** What a read of KV v2 meets. */
function read(name: string, verdict: Verdict, fault: Fault, options = ''): Answer {
  return {
    name,
    verdict,
    arrange(stage, id) {
      stored(stage, id);
      stage.vault.faults.plan(fault, { ...FOR_EVER, path: new RegExp(`^secret/data/${id}$`) });
      const { provider, credential } = configured(stage.vault, id);
      return { provider: provider.replace('\n', `\n${options}\n`), credential };
    },
  };
}

const says = (status: number, errors: readonly string[], headers: Readonly<Record<string, string>> = {}): Fault => ({
  kind: 'answer',
  status,
  headers,
  body: JSON.stringify({ errors }),
});
const page = (status: number): Fault => ({
  kind: 'answer',
  status,
  headers: { 'content-type': 'text/html' },
  body: '<html><body><h1>Sign in</h1></body></html>',
});
const json = (value: unknown): Fault => ({ kind: 'answer', status: 200, body: JSON.stringify(value) });

/** A read of some other path. */
function path(
  name: string,
  verdict: Verdict,
  credential: string,
  prepare: (stage: AnswerStage, id: string) => void,
): Answer {
  return {
    name,
    verdict,
    arrange(stage, id) {
      stored(stage, id);
      prepare(stage, id);
      return configured(stage.vault, id, { credential: credential.replaceAll('ID', id) });
    },
  };
}

/** An AppRole login at a mount of its own, which is answered like this. */
function login(name: string, verdict: Verdict, fault: Fault | undefined, options = ''): Answer {
  return {
    name,
    verdict,
    arrange(stage, id) {
      stored(stage, id);
      if (fault !== undefined) stage.vault.faults.plan(fault, { ...FOR_EVER, path: new RegExp(`^auth/${id}/login`) });
      const secretId = stage.file(`${id}-secret-id`, 'canary-secret-id');
      const auth = `method = "approle"\nmount = "${id}"\nrole_id = "laptop"\nsecret_id_file = "${secretId}"`;
      return configured(stage.vault, id, { provider: `[providers.${id}.auth]\n${auth}\n${options}` });
    },
  };
}

/** A Vault at an address where there is none. */
function address(name: string, url: string): Answer {
  return {
    name,
    verdict: 'transient',
    arrange: ({ vault }, id) => {
      const { provider, credential } = configured(vault, id);
      return { provider: provider.replace(vault.address, url), credential };
    },
  };
}

function certificate(fault: string): Answer {
  return {
    name: `TLS: ${fault}`,
    verdict: 'transient',
    arrange({ vault, untrusted, authorityFile }, id) {
      const { provider, credential } = configured(vault, id);
      const trusted = fault === 'an unknown authority' ? '' : `\nca_file = "${authorityFile}"`;
      return {
        provider: provider.replace(/address = .*/, `address = "${untrusted.get(fault)?.address ?? ''}"${trusted}`),
        credential,
      };
    },
  };
}

export const UNTRUSTED = [
  'an unknown authority',
  'a self-signed certificate',
  'an expired certificate',
  'a certificate of tomorrow',
  'a certificate for another name',
] as const;

export const networkAnswers: readonly Answer[] = [
  address('a name that DNS does not know', 'http://vault.invalid:8200'),
  address('nobody listens there', 'http://127.0.0.1:1'),
  address('no such socket', 'unix:///nowhere/vault.sock'),
  {
    name: 'https:// where plain HTTP is spoken',
    verdict: 'transient',
    arrange: ({ vault }, id) => {
      const { provider, credential } = configured(vault, id);
      return { provider: provider.replace('http:', 'https:'), credential };
    },
  },
  ...UNTRUSTED.map(certificate),
  read('a reset before the answer', 'transient', { kind: 'reset' }),
  read('a reset in mid-body', 'transient', { kind: 'cut' }),
  read('no answer', 'transient', { kind: 'hang' }, 'timeout = "300ms"'),
  read('a slow drip', 'transient', { kind: 'drip', everyMs: 20 }, 'timeout = "300ms"'),
  read('an answer of 300 MB', 'transient', { kind: 'huge', bytes: 300_000_000 }),
  read('a sign-in page with 200', 'transient', page(200)),
  read("a proxy's 403", 'transient', page(403)),
  read("a proxy's 404", 'transient', page(404)),
  read("a proxy's 407", 'transient', page(407)),
  read("a proxy's 502", 'transient', page(502)),
  read("a proxy's page with a status of its own", 'transient', page(599)),
  read('http:// to a TLS port', 'misconfigured', {
    kind: 'answer',
    status: 400,
    body: 'Client sent an HTTP request to an HTTPS server.\n',
  }),
  read('text instead of JSON', 'transient', { kind: 'answer', status: 200, body: 'OK' }),
  read('a JSON list', 'transient', { kind: 'answer', status: 200, body: '[1]' }),
  read('cut JSON', 'transient', { kind: 'answer', status: 200, body: '{"data":{"da' }),
  read('301 without a target', 'transient', { kind: 'answer', status: 301 }),
  read('301 to another host', 'transient', {
    kind: 'answer',
    status: 301,
    headers: { location: 'https://elsewhere.example/v1/x' },
  }),
  read('307 of a standby to the active node', 'transient', {
    kind: 'answer',
    status: 307,
    headers: { location: 'https://10.0.0.2:8200/v1/x' },
  }),
];

const UPGRADING =
  'Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service shortly.';
const WAITING =
  'Waiting for the primary to upgrade from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service when the primary is finished.';
const NO_DIRECTORY = 'ldap operation failed: LDAP Result Code 200 "Network Error": dial tcp: connection refused';

export const vaultAnswers: readonly Answer[] = [
  read('sealed', 'transient', says(503, ['Vault is sealed'])),
  read(
    'a standby without a leader',
    'transient',
    says(500, ['local node not active but active cluster node not found']),
  ),
  read('an internal error', 'transient', says(500, ['internal error'])),
  read('an engine whose backend is away', 'transient', says(502, ['failed to reach the database'])),
  read(
    'too many requests',
    'transient',
    says(429, ['request path "x": rate limit quota exceeded'], { 'retry-after': '7' }),
  ),
  read(
    'too many requests, for a day (an hour is believed)',
    'transient',
    says(429, ['request path "x": rate limit quota exceeded'], { 'retry-after': '86400' }),
  ),
  read('a Retry-After that is neither a number nor a date', 'transient', says(503, [], { 'retry-after': 'soon' })),
  read('a state that the standby lacks', 'transient', says(412, ['required index state not present'])),
  read('a disaster-recovery secondary', 'transient', says(472, ['path disabled in replication DR secondary mode'])),
  read('a performance standby', 'transient', says(473, [])),
  read('a removed node', 'transient', says(530, ['node removed'])),
  read('not initialized', 'transient', says(501, ['Vault is not initialized'])),
  path('no such secret, KV v2', 'gone', 'path = "secret/data/none"\nfield = "api_key"', () => {}),
  path('no such secret, KV v1', 'gone', 'path = "kv/none"\nfield = "api_key"', () => {}),
  path('a deleted version', 'gone', 'path = "secret/data/ID"\nfield = "api_key"', ({ vault }, id) =>
    vault.kv.deleteV2(`secret/${id}`),
  ),
  path('a destroyed version', 'gone', 'path = "secret/data/ID"\nfield = "api_key"', ({ vault }, id) =>
    vault.kv.deleteV2(`secret/${id}`, 'destroy'),
  ),
  path('a KV v2 path without data/', 'misconfigured', 'path = "secret/ID"\nfield = "api_key"', () => {}),
  path('nothing mounted there', 'misconfigured', 'path = "nowhere/ID"\nfield = "api_key"', () => {}),
  read('an unsupported path', 'misconfigured', says(404, ['1 error occurred:\n\t* unsupported path\n\n'])),
  path(
    'a namespace that is not there (OpenBao)',
    'misconfigured',
    'path = "secret/data/ID"\nnamespace = "team-x"\nfield = "api_key"',
    () => {},
  ),
  path(
    'a namespace that is not there (Vault Enterprise)',
    'misconfigured',
    'path = "secret/data/ID"\nnamespace = "team-x"\nfield = "api_key"',
    ({ vault }, id) => {
      const words = 'no handler for route "team-x/secret/data/claude". route entry not found.';
      vault.faults.plan(says(404, [words]), { ...FOR_EVER, path: new RegExp(`^secret/data/${id}$`) });
    },
  ),
  path('an unknown role of an engine', 'misconfigured', 'path = "apikeys/creds/nobody"\nfield = "api_key"', () => {}),
  path(
    'GET of an engine that wants POST',
    'misconfigured',
    'path = "apikeys/creds/ID"\nfield = "api_key"',
    ({ vault }, id) => vault.engines.role(id, { ttlMs: 60_000, post: true }),
  ),
  path(
    'an identity token with a bare token',
    'misconfigured',
    'path = "identity/oidc/token/ID"\nfield = "token"',
    ({ vault }, id) => vault.engines.oidcRole(id, 60_000),
  ),
  read('no token in the request', 'misconfigured', says(400, ['missing client token'])),
  read('KV v1 while it becomes v2', 'transient', says(400, [UPGRADING])),
  read('KV v2 on a secondary whose primary is not done with that', 'transient', says(400, [WAITING])),
  read('an engine that cannot reach what it asks', 'transient', says(400, ['dial tcp 10.0.0.9:5432: i/o timeout'])),
  read('a conflict, which Vault has no word for', 'transient', says(409, ['conflict'])),
  read('200 without a body', 'transient', { kind: 'answer', status: 200 }),
  read('204 to a GET', 'transient', { kind: 'answer', status: 204 }),
  path(
    '204 to a POST, as a write is answered',
    'misconfigured',
    'path = "apikeys/creds/ID"\nmethod = "POST"\nfield = "api_key"',
    ({ vault }, id) =>
      vault.faults.plan({ kind: 'answer', status: 204 }, { ...FOR_EVER, path: new RegExp(`^apikeys/creds/${id}$`) }),
  ),
  read('200 with {}', 'transient', json({})),
  read('200 with {"data":null} alone', 'transient', json({ data: null })),
  read('200 with {"errors":[]}', 'transient', json({ errors: [] })),
  read("a portal's JSON", 'transient', json({ status: 'login required' })),
  read('400 with a page', 'transient', page(400)),
  read("a gateway's 404, whose errors are objects", 'transient', {
    kind: 'answer',
    status: 404,
    body: JSON.stringify({ errors: [{ code: '404', message: 'route' }] }),
  }),
  read("a gateway's 404, whose errors are texts", 'transient', says(404, ['no such API'])),
  read("a gateway's 403, whose errors are texts", 'transient', says(403, ['Forbidden'])),
  read("a gateway's 401", 'transient', says(401, ['Unauthorized'])),
  read(
    'a lease longer than any calendar',
    'served',
    json({ request_id: '1', lease_id: 'apikeys/creds/x/1', lease_duration: 1e30, data: { api_key: 'sk-fit' } }),
  ),
  read('an envelope without data', 'misconfigured', json({ request_id: '1', data: null })),
  read(
    'a wrapped answer that is spent',
    'login-expired',
    json({ request_id: '1', data: null, wrap_info: { token: 'hvs.canarycanary' } }),
  ),
  {
    name: 'a policy that does not allow it',
    verdict: 'denied',
    arrange(stage, id) {
      stored(stage, id);
      const { id: token } = stage.vault.createToken({ policies: ['nothing'], ttlMs: 3_600_000 });
      return configured(stage.vault, id, { provider: `[providers.${id}.auth]\nmethod = "token"\ntoken = "${token}"` });
    },
  },
  {
    name: 'a token that is over',
    verdict: 'login-expired',
    arrange(stage, id) {
      const file = stage.file(`${id}-token`, 'hvs.canary-token-that-is-over');
      return configured(stage.vault, id, {
        provider: `[providers.${id}.auth]\nmethod = "token"\ntoken_file = "${file}"`,
      });
    },
  },
  {
    name: 'no token at all',
    verdict: 'login-expired',
    arrange: ({ vault }, id) => configured(vault, id, { provider: '' }),
  },
  login('login: a spent or expired secret-id', 'login-expired', says(400, ['invalid role or secret ID'])),
  login('login: 200 with {}', 'transient', json({})),
  login('login: a directory that Vault cannot reach', 'transient', says(400, [NO_DIRECTORY])),
  login('login: too many requests', 'transient', says(429, ['request path "x": rate limit quota exceeded'])),
  login('login: nothing mounted, or an address that is not bound', 'login-expired', says(403, ['permission denied'])),
  login('login: an unknown role', 'misconfigured', says(400, ['role "ci" could not be found'])),
  {
    name: 'login: a namespace that is not there',
    verdict: 'misconfigured',
    arrange({ vault }, id) {
      const auth = `[providers.${id}.auth]\nmethod = "userpass"\nusername = "ada"\npassword = "canary"`;
      return configured(vault, id, { provider: `namespace = "team-x"\n${auth}` });
    },
  },
  login(
    'login: a second factor is wanted of a machine',
    'misconfigured',
    json({ request_id: '1', auth: { client_token: '', mfa_requirement: { mfa_request_id: '1' } } }),
  ),
  {
    name: 'login: a second factor is wanted of a password',
    verdict: 'login-expired',
    arrange({ vault }, id) {
      vault.faults.plan(
        json({ request_id: '1', auth: { client_token: '', mfa_requirement: { mfa_request_id: '1' } } }),
        { ...FOR_EVER, path: new RegExp(`^auth/userpass/login/${id}$`) },
      );
      const auth = `[providers.${id}.auth]\nmethod = "userpass"\nusername = "${id}"\npassword = "canary"`;
      return configured(vault, id, { provider: auth });
    },
  },
  login(
    'login: a name that nobody can have',
    'misconfigured',
    says(500, ['failed to determine alias name from login request']),
  ),
  login('login: sealed', 'transient', says(503, ['Vault is sealed'])),
  login('login: an expired wrapping token', 'login-expired', undefined, 'secret_id_wrapped = true'),
  {
    name: 'login: no secret-id file',
    verdict: 'login-expired',
    arrange: ({ vault }, id) =>
      configured(vault, id, {
        provider: `[providers.${id}.auth]\nmethod = "approle"\nrole_id = "laptop"\nsecret_id_file = "~/no-secret-id"`,
      }),
  },
];
