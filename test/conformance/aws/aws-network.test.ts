import { execFile, execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ProviderError } from '../../../src/errors.ts';
import { awsSecretsManagerDefinition } from '../../../src/providers/aws-secrets-manager/definition.ts';
import { AwsJsonServer } from '../../fakes/aws-json-server.ts';
import { CollectingLog } from '../../fakes/collecting-log.ts';
import { MemoryLoginStore } from '../../fakes/memory-login-store.ts';
import { AwsHome, PROFILE } from './aws-home.ts';

const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'pipe' });
    return true;
  } catch {
    console.warn('skipped: the tests of TLS need the openssl command');
    return false;
  }
})();

const home = new AwsHome();
let folder: string;
const servers: AwsJsonServer[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'broker-tls-'));
  await home.create('AKIDEXAMPLE', 'wJalrXUtnFEMI');
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
  await home.remove();
  await rm(folder, { recursive: true, force: true });
});

async function start(altName?: string): Promise<AwsJsonServer> {
  const server = new AwsJsonServer(altName === undefined ? undefined : certificate(altName));
  servers.push(server);
  server.put('key', 'sk-value');
  await server.start();
  return server;
}

function certificate(altName: string) {
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=corp', '-addext', `subjectAltName=${altName}`];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  execFileSync('openssl', ['req', ...kind, '-keyout', key, '-out', cert, ...subject], { stdio: 'pipe' });
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

async function read(options: object, env: Record<string, string> = {}): Promise<string> {
  const create = await awsSecretsManagerDefinition.load();
  const parsed = awsSecretsManagerDefinition.providerSchema.parse({ profile: PROFILE, ...options });
  const host = home.host({ log: new CollectingLog(), logins: new MemoryLoginStore() });
  const provider = create(parsed, { ...host, env: { ...host.env, ...env } });
  const source = awsSecretsManagerDefinition.credentialSchema.parse({ secret_id: 'key' });
  try {
    const { content } = await provider.issue({ source, wantedLifeMs: 0 }, { signal: new AbortController().signal });
    return content.kind === 'text' ? content.text.reveal() : '';
  } catch (error) {
    return error instanceof ProviderError ? `${error.kind}: ${error.message}` : `other: ${error}`;
  } finally {
    provider.close();
  }
}

test.runIf(hasOpenssl)("a company's own authority is trusted through ca_file only", async () => {
  const { url } = await start('IP:127.0.0.1');
  expect(await read({ endpoint: url })).toBe(
    'transient: AWS cannot be reached: its certificate is self-signed (DEPTH_ZERO_SELF_SIGNED_CERT)',
  );
  expect(await read({ endpoint: url, ca_file: join(folder, 'cert.pem') })).toBe('sk-value');
});

test.runIf(hasOpenssl)('a certificate for another name is refused even if its authority is trusted', async () => {
  const { url } = await start('DNS:elsewhere.example');
  expect(await read({ endpoint: url, ca_file: join(folder, 'cert.pem') })).toBe(
    'transient: AWS cannot be reached: its certificate is for another name (ERR_TLS_CERT_ALTNAME_INVALID)',
  );
});

test.runIf(hasOpenssl)('NODE_EXTRA_CA_CERTS and the system store count too', async () => {
  certificate('IP:127.0.0.1');
  const module = new URL('../../../src/providers/trusted-certificates.ts', import.meta.url).href;
  const script = `
    const { trustedCertificates } = await import(${JSON.stringify(module)});
    const own = (await import('node:fs')).readFileSync(${JSON.stringify(join(folder, 'cert.pem'))}, 'utf8').trim();
    console.log(trustedCertificates(undefined, 'p').some((each) => each.trim() === own));`;
  const trusts = async (env: Record<string, string>) =>
    (await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { env })).stdout.trim();
  expect(await trusts({})).toBe('false');
  expect(await trusts({ NODE_EXTRA_CA_CERTS: join(folder, 'cert.pem') })).toBe('true');
  // Where OpenSSL looks for the system's authorities; macOS asks its keychain instead.
  if (process.platform === 'linux') expect(await trusts({ SSL_CERT_FILE: join(folder, 'cert.pem') })).toBe('true');
});

test("the daemon's HTTP_PROXY is used, and NO_PROXY is honoured", async () => {
  const proxy = await start();
  expect(await read({ endpoint: 'http://secrets.invalid' }, { HTTP_PROXY: proxy.url })).toBe('sk-value');
  expect(await read({ endpoint: 'http://secrets.invalid' }, { HTTP_PROXY: proxy.url, NO_PROXY: '*' })).toMatch(
    /^transient: AWS cannot be reached: .*(ENOTFOUND|EAI_AGAIN)/,
  );
});
