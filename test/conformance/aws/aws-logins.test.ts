import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ProviderError } from '../../../src/errors.ts';
import { awsSecretsManagerDefinition } from '../../../src/providers/aws/options.ts';
import { AwsJsonServer, type Exchange, refuse, reply } from '../../fakes/aws-json-server.ts';
import { CollectingLog } from '../../fakes/collecting-log.ts';
import { MemoryLoginStore } from '../../fakes/memory-login-store.ts';
import { AwsHome } from './aws-home.ts';

const server = new AwsJsonServer();
const home = new AwsHome();
const ROLE = 'arn:aws:iam::123456789012:role/keys';

beforeEach(async () => {
  await server.start();
  server.targets.length = 0;
  server.put('key', 'sk-value');
  await home.create('AKIDEXAMPLE', 'wJalrXUtnFEMI');
  // The SDK itself looks for SSO tokens in HOME, and for logins in these variables.
  for (const name of Object.keys(process.env).filter((each) => each.startsWith('AWS_'))) vi.stubEnv(name, undefined);
  vi.stubEnv('HOME', home.folder);
  vi.stubEnv('AWS_CONFIG_FILE', join(home.folder, 'config'));
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  server.behaviour = undefined;
  await server.stop();
  await home.remove();
});

async function provider(options: object) {
  const create = await awsSecretsManagerDefinition.load();
  const parsed = awsSecretsManagerDefinition.providerSchema.parse({ endpoint: server.url, ...options });
  return create(parsed, home.host({ log: new CollectingLog(), logins: new MemoryLoginStore() }));
}

async function read(options: object): Promise<string> {
  const source = awsSecretsManagerDefinition.credentialSchema.parse({ secret_id: 'key' });
  const reader = await provider(options);
  const { content } = await reader.issue({ source, wantedLifeMs: 0 }, { signal: new AbortController().signal });
  return content.kind === 'text' ? content.text.reveal() : '';
}

async function shown(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => expect.fail('it resolved'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ProviderError)) throw error;
  return `${error.kind}: ${error.message} → ${error.remedy}`;
}

test('an SSO session that is over says which login to repeat', async () => {
  await home.writeConfig(
    '[profile dev]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Dev\nregion = eu-west-1\n' +
      '[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.awsapps.com/start\n',
  );
  const expected = 'login-expired: the SSO session of profile "dev" is over → run: aws sso login --profile dev';
  expect(await shown(read({ profile: 'dev' }))).toBe(expected);
  const cache = join(home.folder, '.aws', 'sso', 'cache');
  const token = join(cache, `${createHash('sha1').update('corp').digest('hex')}.json`);
  await mkdir(cache, { recursive: true });
  await writeFile(token, JSON.stringify({ accessToken: 'aoa-secret', expiresAt: '2020-01-01T00:00:00Z' }));
  expect(await shown(read({ profile: 'dev' }))).toBe(expected);
  expect((await provider({ profile: 'dev' })).loginInputs()).toEqual(expect.arrayContaining([cache, token]));
});

test('an SSO session of the old kind that is over', async () => {
  await home.writeConfig(
    '[profile old]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n' +
      'sso_account_id = 123456789012\nsso_role_name = Dev\nregion = eu-west-1\n',
  );
  expect(await shown(read({ profile: 'old' }))).toBe(
    'login-expired: the SSO session of profile "old" is over → run: aws sso login --profile old',
  );
});

test.each([
  ['whose session is not there', 'sso_session = ghost\nsso_account_id = 123456789012\nsso_role_name = Dev\n'],
  ['that says half of it', 'sso_start_url = https://corp.awsapps.com/start\n'],
])('an SSO profile %s is not complete; logging in again would not help', async (_name, lines) => {
  await home.writeConfig(`[profile dev]\nregion = eu-west-1\n${lines}`);
  expect(await shown(read({ profile: 'dev' }))).toBe(
    'misconfigured: profile "dev" is not complete in the AWS configuration → run: aws configure sso --profile dev',
  );
});

test('a file with a web identity token that is not there is told as what it is', async () => {
  const file = join(home.folder, 'no-token');
  await home.writeConfig(`[profile pod]\nregion = eu-west-1\nrole_arn = ${ROLE}\nweb_identity_token_file = ${file}\n`);
  expect(await shown(read({ profile: 'pod' }))).toMatch(
    /^login-expired: the web_identity_token_file of profile "pod" cannot be read/,
  );
});

test('a profile that does not exist is never replaced by another login', async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKOTHER');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'other');
  expect(await shown(read({ profile: 'typo', region: 'eu-west-1' }))).toBe(
    'misconfigured: profile "typo" is not in the AWS configuration, or holds no login → ' +
      'run: aws configure list-profiles, and correct profile in [providers.under-test]',
  );
});

test('no login at all', async () => {
  expect(await shown(read({ region: 'eu-west-1' }))).toBe(
    'login-expired: provider "under-test" found no AWS login: no variables, no default profile, no role of the machine → ' +
      'set profile in [providers.under-test], or run: aws configure sso',
  );
});

test('a login in variables', async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDEXAMPLE');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
  expect(await read({ region: 'eu-west-1' })).toBe('sk-value');
});

test('no region', async () => {
  await home.writeConfig('');
  expect(await shown(read({ profile: 'conformance' }))).toBe(
    'misconfigured: provider "under-test" has no AWS region → ' +
      'add region = "eu-west-1", or the one your secrets are in, to [providers.under-test]',
  );
});

test('a profile that wants a one-time code', async () => {
  await home.writeConfig(
    `[profile mfa]\nregion = eu-west-1\nrole_arn = ${ROLE}\nsource_profile = conformance\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n`,
  );
  expect(await shown(read({ profile: 'mfa' }))).toBe(
    'misconfigured: profile "mfa" asks for a one-time code, which a daemon cannot type → ' +
      'use a profile with SSO (aws configure sso), or a credential_process that asks for the code',
  );
});

test('a credential_process that fails does not show what it said', async () => {
  await home.writeConfig(
    '[profile tool]\nregion = eu-west-1\ncredential_process = /bin/sh -c "echo CANARY >&2; exit 1"\n',
  );
  expect(await shown(read({ profile: 'tool' }))).toBe(
    'login-expired: the credential_process of profile "tool" failed → ' +
      'run: aws sts get-caller-identity --profile tool',
  );
});

test('a credential_process that hangs does not hold an aborted call', async () => {
  await home.writeConfig('[profile tool]\nregion = eu-west-1\ncredential_process = sleep 30\n');
  const controller = new AbortController();
  const reader = await provider({ profile: 'tool' });
  const source = awsSecretsManagerDefinition.credentialSchema.parse({ secret_id: 'key' });
  const call = reader.issue({ source, wantedLifeMs: 0 }, { signal: controller.signal });
  const reason = new Error('hung up');
  const started = Date.now();
  setImmediate(() => controller.abort(reason));
  await expect(call).rejects.toBe(reason);
  expect(Date.now() - started).toBeLessThan(20_000);
});

const assume = { profile: 'conformance', role_arn: ROLE };

test.each([
  [
    'AccessDenied',
    403,
    `denied: AWS refuses to let this login assume ${ROLE} → let the role's trust policy name this login (and set external_id if it asks for one); the login itself needs sts:AssumeRole`,
  ],
  [
    'ExpiredToken',
    400,
    'login-expired: the token that profile "conformance" logs in with has expired or is not accepted → log in again (aws sso login --profile conformance, or whatever writes your credentials)',
  ],
  [
    'RegionDisabledException',
    403,
    'misconfigured: the region is not enabled in this AWS account → correct region in [providers.under-test], or enable the region',
  ],
  [
    'Throttling',
    400,
    "transient: AWS's login service was asked too often → wait; if this stays, raise ttl, or ask for a higher quota of the account",
  ],
  [
    'ServiceUnavailable',
    503,
    "transient: AWS's login service is out of order (status 503) → wait, and see https://health.aws.amazon.com if this stays",
  ],
])('STS answers %s', async (code, status, expected) => {
  server.behaviour = ({ response }) => {
    response.writeHead(status, { 'content-type': 'text/xml' });
    response.end(
      `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code>` +
        '<Message>CANARY</Message></Error><RequestId>1</RequestId></ErrorResponse>',
    );
  };
  expect(await shown(read({ ...assume, sts_endpoint: server.url }))).toBe(expected);
  expect(server.targets).toEqual(['AssumeRole']);
});

test.each([
  ['403 with a message and no type', 403, '{"message":"Forbidden"}', ' (status 403)'],
  ['200 with {}', 200, '{}', ' (status 200)'],
  ['200 without a body', 200, '', ''],
  ['200 with a page', 200, '<html>Sign in</html>', ''],
  ['403 with a page', 403, '<html>Blocked</html>', ' (status 403)'],
])('something in the place of STS answers %s: nobody has to log in again', async (_, status, body, shownStatus) => {
  server.behaviour = ({ response }) => response.writeHead(status, { 'content-type': 'application/json' }).end(body);
  expect(await shown(read({ ...assume, sts_endpoint: server.url }))).toBe(
    `transient: something that is not AWS's login service answered${shownStatus} → check the proxy, the network or endpoint: it sent an answer of its own`,
  );
});

test("a role's session that AWS ends early is made again at once, and the profile is not blamed", async () => {
  let assumed = 0;
  const isOver = new Set<string>();
  server.behaviour = ({ target, request, response }) => {
    if (target === 'AssumeRole') {
      assumed += 1;
      const xml = stsAnswer('AssumeRole').replace(granted.accessKeyId, `ASIA${assumed}`);
      response.writeHead(200, { 'content-type': 'text/xml' }).end(xml);
      return;
    }
    const key = /Credential=(\w+)/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    if (isOver.has(key)) refuse(response, 400, 'ExpiredTokenException', 'The security token included is expired');
    else reply(response, 200, { SecretString: 'sk-value', VersionId: '1' });
  };
  const reader = await provider({ ...assume, sts_endpoint: server.url });
  const source = awsSecretsManagerDefinition.credentialSchema.parse({ secret_id: 'key' });
  const issue = () => reader.issue({ source, wantedLifeMs: 0 }, { signal: new AbortController().signal });
  await issue();
  isOver.add('ASIA1');
  await issue();
  expect(assumed).toBe(2);
  isOver.add('ASIA2').add('ASIA3').add('ASIA4');
  expect(await shown(issue())).toBe(
    `login-expired: AWS does not accept the session of ${ROLE} → see in IAM whether the role's sessions were revoked, and check this machine's clock`,
  );
  expect(assumed).toBe(3);
});

test('keys that a credential_process prints after their end are told as what they are, and good ones are used', async () => {
  const script = join(home.folder, 'process');
  const print = async (expiration: string) => {
    const keys = { Version: 1, AccessKeyId: 'AKIDPROCESS', SecretAccessKey: 'secret', Expiration: expiration };
    await writeFile(script, JSON.stringify(keys));
  };
  await home.writeConfig(`[profile tool]\nregion = eu-west-1\ncredential_process = cat ${script}\n`);
  await print('2020-01-01T00:00:00Z');
  expect(await shown(read({ profile: 'tool' }))).toBe(
    'transient: the credential_process of profile "tool" printed keys that have expired → ' +
      'run it in a shell and see why it does not renew them; or run: aws sts get-caller-identity --profile tool',
  );
  await print(new Date(Date.now() + 3_600_000).toISOString());
  expect(await read({ profile: 'tool' })).toBe('sk-value');
});

test.each([
  ['the provider', { region: 'us-east-1' }],
  ['the profile', {}],
])('an ARN of another region than that of %s says both, and AWS is not asked', async (_, region) => {
  await home.writeConfig('[profile conformance]\nregion = us-east-1\n');
  const secret_id = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:key-AbCdEf';
  const reader = await provider({ profile: 'conformance', ...region });
  const source = awsSecretsManagerDefinition.credentialSchema.parse({ secret_id });
  expect(await shown(reader.issue({ source, wantedLifeMs: 0 }, { signal: new AbortController().signal }))).toBe(
    'misconfigured: the ARN is of region eu-west-1, but provider "under-test" asks us-east-1 → ' +
      'write region = "eu-west-1" in [providers.under-test], or name the secret of us-east-1',
  );
  expect(server.targets).toEqual([]);
});

test('STS cannot be reached', async () => {
  expect(await shown(read({ ...assume, sts_endpoint: 'http://127.0.0.1:1' }))).toBe(
    "transient: AWS's login service cannot be reached: the connection was refused (ECONNREFUSED) → " +
      'check the network, the VPN, and HTTPS_PROXY and NO_PROXY as the daemon has them',
  );
});

const granted = {
  accessKeyId: 'ASIAGRANTED',
  secretAccessKey: 'granted',
  sessionToken: 'session',
  expiration: Date.now() + 3_600_000,
};

/** Answers everything but Secrets Manager's own call by `login`; keeps the access key ids that the calls were signed with. */
function serveLogin(login: (exchange: Exchange) => void): string[] {
  const keys: string[] = [];
  server.behaviour = (exchange) => {
    if (exchange.target !== 'secretsmanager.GetSecretValue') return login(exchange);
    keys.push(/Credential=(\w+)/.exec(exchange.request.headers.authorization ?? '')?.[1] ?? '');
    reply(exchange.response, 200, { SecretString: 'sk-value', VersionId: '1' });
  };
  return keys;
}

function stsAnswer(action: string): string {
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = granted;
  return (
    `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result><Credentials>` +
    `<AccessKeyId>${accessKeyId}</AccessKeyId><SecretAccessKey>${secretAccessKey}</SecretAccessKey>` +
    `<SessionToken>${sessionToken}</SessionToken><Expiration>${new Date(expiration).toISOString()}</Expiration>` +
    `</Credentials></${action}Result></${action}Response>`
  );
}

test('a role is assumed once, with its external id and session name', async () => {
  const inputs: object[] = [];
  const keys = serveLogin(({ input, response }) => {
    inputs.push(input);
    response.writeHead(200, { 'content-type': 'text/xml' }).end(stsAnswer('AssumeRole'));
  });
  const reader = await provider({
    ...assume,
    external_id: 'team-a',
    role_session_name: 'me',
    sts_endpoint: server.url,
  });
  const source = awsSecretsManagerDefinition.credentialSchema.parse({ secret_id: 'key' });
  for (let i = 0; i < 2; i++) await reader.issue({ source, wantedLifeMs: 0 }, { signal: new AbortController().signal });
  expect(inputs).toEqual([expect.objectContaining({ RoleArn: ROLE, ExternalId: 'team-a', RoleSessionName: 'me' })]);
  expect(keys).toEqual([granted.accessKeyId, granted.accessKeyId]);
});

async function liveSsoSession(): Promise<void> {
  await home.writeConfig(
    '[profile dev]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Dev\nregion = eu-west-1\n' +
      '[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.awsapps.com/start\n',
  );
  const cache = join(home.folder, '.aws', 'sso', 'cache');
  await mkdir(cache, { recursive: true });
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
  await writeFile(
    join(cache, `${createHash('sha1').update('corp').digest('hex')}.json`),
    JSON.stringify({ accessToken: 'aoa-token', expiresAt }),
  );
  vi.stubEnv('AWS_ENDPOINT_URL_SSO', server.url);
}

test('an SSO session that lives', async () => {
  await liveSsoSession();
  const keys = serveLogin(({ response }) => reply(response, 200, { roleCredentials: granted }));
  expect(await read({ profile: 'dev' })).toBe('sk-value');
  expect(keys).toEqual([granted.accessKeyId]);
});

test.each([
  ['403 with a message and no type', 403, '{"message":"Forbidden"}', {}],
  ["a gateway's 403", 403, '{"message":"Forbidden"}', { 'x-amzn-errortype': 'ForbiddenException' }],
  ['200 with {}', 200, '{}', {}],
  ['200 without a body', 200, '', {}],
  ['200 with a page', 200, '<html>Sign in</html>', {}],
  ['403 with a page', 403, '<html>Blocked</html>', {}],
])('something in the place of SSO answers %s: nobody has to log in again', async (_, status, body, headers) => {
  await liveSsoSession();
  serveLogin(({ response }) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body),
  );
  expect(await shown(read({ profile: 'dev' }))).toMatch(
    /^transient: something that is not AWS's login service answered/,
  );
});

test('a role that SSO does not give is denied', async () => {
  await liveSsoSession();
  serveLogin(({ response }) =>
    reply(response, 403, { message: 'No access' }, { 'x-amzn-errortype': 'ForbiddenException' }),
  );
  expect(await shown(read({ profile: 'dev' }))).toMatch(/^denied: SSO refuses profile "dev" the role/);
});

test('the role of a container', async () => {
  vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `${server.url}/role`);
  const keys = serveLogin(({ response }) =>
    reply(response, 200, {
      AccessKeyId: granted.accessKeyId,
      SecretAccessKey: granted.secretAccessKey,
      Token: granted.sessionToken,
      Expiration: new Date(granted.expiration).toISOString(),
    }),
  );
  expect(await read({ region: 'eu-west-1' })).toBe('sk-value');
  expect(keys).toEqual([granted.accessKeyId]);
});

test('a web identity token from a file', async () => {
  const token = join(home.folder, 'token');
  await writeFile(token, 'jwt');
  vi.stubEnv('AWS_WEB_IDENTITY_TOKEN_FILE', token);
  vi.stubEnv('AWS_ROLE_ARN', ROLE);
  vi.stubEnv('AWS_ENDPOINT_URL_STS', server.url);
  const keys = serveLogin(({ response }) =>
    response.writeHead(200, { 'content-type': 'text/xml' }).end(stsAnswer('AssumeRoleWithWebIdentity')),
  );
  expect(await read({ region: 'eu-west-1' })).toBe('sk-value');
  expect(keys).toEqual([granted.accessKeyId]);
});

test('an expired token makes the next call look for a new login', async () => {
  const reader = await provider({ profile: 'conformance' });
  const keys: string[] = [];
  server.behaviour = ({ request, response }) => {
    keys.push(/Credential=(\w+)/.exec(request.headers.authorization ?? '')?.[1] ?? '');
    refuse(response, 400, 'ExpiredTokenException', 'x');
  };
  const source = awsSecretsManagerDefinition.credentialSchema.parse({ secret_id: 'key' });
  const ask = () => shown(reader.issue({ source, wantedLifeMs: 0 }, { signal: new AbortController().signal }));
  await ask();
  await home.writeCredentials('[conformance]\naws_access_key_id = AKNEW\naws_secret_access_key = new\n');
  await ask();
  expect(keys).toEqual(['AKIDEXAMPLE', 'AKNEW']);
});
