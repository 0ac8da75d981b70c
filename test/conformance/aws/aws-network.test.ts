import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ProviderError } from '../../../src/errors.ts';
import { awsSecretsManagerDefinition } from '../../../src/providers/aws/options.ts';
import { AwsJsonServer } from '../../fakes/aws-json-server.ts';
import { type Certificate, hasOpenssl, makeCertificate } from '../../fakes/certificates.ts';
import { CollectingLog } from '../../fakes/collecting-log.ts';
import { startForwardProxy } from '../../fakes/forward-proxy.ts';
import { MemoryLoginStore } from '../../fakes/memory-login-store.ts';
import { AwsHome, PROFILE } from './aws-home.ts';

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

async function start(certificate?: Certificate): Promise<AwsJsonServer> {
  const server = new AwsJsonServer(certificate);
  servers.push(server);
  server.put('key', 'sk-value');
  await server.start();
  return server;
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
    return error instanceof ProviderError ? `${error.kind}: ${error.message} → ${error.remedy}` : `other: ${error}`;
  } finally {
    provider.close();
  }
}

describe.runIf(hasOpenssl)('a certificate that is not trusted', () => {
  const authority = () => makeCertificate(folder, 'ca', { commonName: 'Example Corp Root', isAuthority: true });

  test("of a company's own authority is named, and trusted through ca_file", async () => {
    const ca = authority();
    const { url } = await start(makeCertificate(folder, 'aws', { commonName: 'proxy', issuer: ca }));
    expect(await read({ endpoint: url })).toMatch(
      /^transient: the certificate of AWS at https:\/\/127\.0\.0\.1:\d+ comes from an unknown authority \(\w+\); presented: "proxy" from "Example Corp Root", until .* → name the authority's PEM file as ca_file in \[providers\.under-test\]/,
    );
    expect(await read({ endpoint: url, ca_file: ca.certFile })).toBe('sk-value');
  });

  test('self-signed', async () => {
    const { url } = await start(makeCertificate(folder, 'self', { commonName: 'hotel' }));
    expect(await read({ endpoint: url })).toMatch(
      /is self-signed .*\(DEPTH_ZERO_SELF_SIGNED_CERT\); presented: "hotel"/,
    );
  });

  test('expired', async () => {
    const ca = authority();
    const old = { commonName: 'old', issuer: ca, validUntil: '20200102000000Z' };
    const { url } = await start(makeCertificate(folder, 'old', old));
    expect(await read({ endpoint: url, ca_file: ca.certFile })).toMatch(
      /has expired \(CERT_HAS_EXPIRED\); presented: "old" .*2020 GMT → check this machine's date/,
    );
  });

  test('for another name', async () => {
    const ca = authority();
    const named = { commonName: 'v', issuer: ca, altNames: 'DNS:elsewhere.example' };
    const { url } = await start(makeCertificate(folder, 'named', named));
    expect(await read({ endpoint: url, ca_file: ca.certFile })).toMatch(
      /is for DNS:elsewhere\.example \(ERR_TLS_CERT_ALTNAME_INVALID\); presented: "v" .* → correct endpoint in/,
    );
  });

  test('of the login service is told apart, and shown through the proxy that leads to it', async () => {
    const sts = await start(makeCertificate(folder, 'self', { commonName: 'in between' }));
    const proxy = await startForwardProxy();
    const role = { role_arn: 'arn:aws:iam::123456789012:role/keys', sts_endpoint: sts.url };
    const { url } = await start();
    expect(await read({ endpoint: url, ...role }, { HTTPS_PROXY: proxy.address })).toMatch(
      /^transient: the certificate of AWS's login service at https:\S+ is self-signed .*presented: "in between"/,
    );
    expect(proxy.asked).toEqual([new URL(sts.url).host, new URL(sts.url).host]);
    expect(sts.targets).toEqual([]);
  });
});

test.runIf(hasOpenssl)('NODE_EXTRA_CA_CERTS and the system store count too', async () => {
  const { certFile } = makeCertificate(folder, 'cert', { commonName: 'corp', isAuthority: true });
  const module = new URL('../../../src/providers/network.ts', import.meta.url).href;
  const script = `
    const { trustedCertificates } = await import(${JSON.stringify(module)});
    const own = (await import('node:fs')).readFileSync(${JSON.stringify(certFile)}, 'utf8').trim();
    console.log(trustedCertificates(undefined, 'p').some((each) => each.trim() === own));`;
  const trusts = async (env: Record<string, string>) =>
    (await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { env })).stdout.trim();
  expect(await trusts({})).toBe('false');
  expect(await trusts({ NODE_EXTRA_CA_CERTS: certFile })).toBe('true');
  // Where OpenSSL looks for the system's authorities; macOS asks its keychain instead.
  if (process.platform === 'linux') expect(await trusts({ SSL_CERT_FILE: certFile })).toBe('true');
});

test('the proxy that the configuration names comes first, also none', async () => {
  const proxy = await start();
  const elsewhere = { HTTP_PROXY: 'http://127.0.0.1:1' };
  expect(await read({ endpoint: 'http://secrets.invalid', proxy: proxy.url })).toBe('sk-value');
  expect(await read({ endpoint: 'http://secrets.invalid', proxy: proxy.url }, elsewhere)).toBe('sk-value');
  expect(await read({ endpoint: proxy.url, proxy: 'direct' }, elsewhere)).toBe('sk-value');
});

test("the daemon's HTTP_PROXY is used, and NO_PROXY is honoured", async () => {
  const proxy = await start();
  expect(await read({ endpoint: 'http://secrets.invalid' }, { HTTP_PROXY: proxy.url })).toBe('sk-value');
  expect(await read({ endpoint: 'http://secrets.invalid' }, { HTTP_PROXY: proxy.url, NO_PROXY: '*' })).toMatch(
    /^transient: AWS cannot be reached: .*(ENOTFOUND|EAI_AGAIN)/,
  );
});

test('a name that DNS does not know', async () => {
  expect(await read({ endpoint: 'http://secrets.invalid' })).toMatch(
    /^transient: AWS cannot be reached: (its name does not exist in DNS \(ENOTFOUND\)|DNS does not answer \(EAI_AGAIN\)) → /,
  );
});

test('TLS spoken to a server without TLS', async () => {
  const plain = createServer((socket) => socket.on('error', () => {}).end('hello\r\n\r\n')).listen(0, '127.0.0.1');
  await once(plain, 'listening');
  const { port } = plain.address() as { port: number };
  const text = await read({ endpoint: `https://127.0.0.1:${port}` });
  plain.close();
  expect(text).toBe(
    'transient: AWS cannot be reached: it does not speak TLS as expected (EPROTO) → ' +
      'correct the address in the configuration: scheme (http or https), host and port',
  );
});

test('a ca_file that does not exist, or is not PEM', async () => {
  expect(await read({ ca_file: '/no/such.pem' })).toBe(
    'misconfigured: the ca_file /no/such.pem of provider "under-test" cannot be read (ENOENT) → ' +
      'correct ca_file in [providers.under-test], or make the file readable for you',
  );
  expect(await read({ ca_file: '/etc/hostname' })).toMatch(/^misconfigured: .* holds no PEM certificate → convert/);
});

test('a region that only the profile names is not in the remedy', async () => {
  const server = await start();
  server.secrets.clear();
  expect(await read({ endpoint: server.url })).toBe(
    'gone: the secret "key" does not exist in this AWS account and region → ' +
      'check region, account and name in [providers.under-test] and the credential',
  );
});
