import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Certificate, hasOpenssl, makeCertificate } from '../../fakes/certificates.ts';
import { startForwardProxy } from '../../fakes/forward-proxy.ts';
import { MemoryLoginStore } from '../../fakes/memory-login-store.ts';
import { failure, fields, read, VaultFixture } from './vault-fixture.ts';

describe.runIf(hasOpenssl)('TLS', () => {
  let folder = '';
  let authority: Certificate;
  let good: Certificate;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'broker-tls-'));
    authority = makeCertificate(folder, 'ca', { commonName: 'Example Corp Root', isAuthority: true });
    good = makeCertificate(folder, 'good', { commonName: 'vault', issuer: authority });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function fixture(certificate: Certificate): Promise<VaultFixture> {
    const { cert, key } = certificate;
    const started = await VaultFixture.start({
      tls: { cert, key, ca: authority.cert, requestCert: true, rejectUnauthorized: false },
    });
    started.vault.kv.writeV1('kv/claude', { key: 'sk-tls' });
    return started;
  }

  async function refusal(certificate: Certificate, options: Record<string, unknown> = {}) {
    const started = await fixture(certificate);
    const error = await failure(read(await started.provider({ options }), 'kv/claude'));
    expect(error).toMatchObject({ kind: 'transient', exitCode: 69 });
    expect(error.cause).toBeUndefined();
    for (const { headers } of started.vault.seen) expect(headers).not.toHaveProperty('x-vault-token');
    return error;
  }

  test('an authority in ca_file is trusted, connections are shared', async () => {
    const started = await fixture(good);
    const provider = await started.provider({ options: { ca_file: authority.certFile } });
    expect(fields(await read(provider, 'kv/claude'))).toEqual({ key: 'sk-tls' });
    await expect(read(provider, 'kv/claude')).resolves.toBeDefined();
  });

  test('an unknown authority is refused, and the certificate presented is named', async () => {
    const error = await refusal(good);
    expect(error.message).toMatch(
      /unknown authority \(UNABLE_TO_\w+\)|unknown authority \(SELF_SIGNED_CERT_IN_CHAIN\)/,
    );
    expect(error.message).toMatch(/presented: "vault" from "Example Corp Root", until /);
    expect(error.remedy).toMatch(/ca_file in \[providers\.prod\]/);
  });

  test('a self-signed certificate', async () => {
    const error = await refusal(makeCertificate(folder, 'self', { commonName: 'Lone Vault' }));
    expect(error.message).toMatch(/self-signed.*presented: "Lone Vault" from "Lone Vault"/);
  });

  test('another authority in ca_file', async () => {
    const other = makeCertificate(folder, 'other', { commonName: 'Other Root', isAuthority: true });
    const error = await refusal(good, { ca_file: other.certFile });
    expect(error.message).toMatch(/presented: "vault" from "Example Corp Root"/);
  });

  test('a certificate that has expired', async () => {
    const wanted = { commonName: 'old vault', issuer: authority, validUntil: '20200102000000Z' };
    const error = await refusal(makeCertificate(folder, 'old', wanted), { ca_file: authority.certFile });
    expect(error.message).toMatch(/has expired \(CERT_HAS_EXPIRED\); presented: "old vault".*2020/);
    expect(error.remedy).toMatch(/date/);
  });

  test('a certificate that is not valid yet', async () => {
    const validity = { validFrom: '20980101000000Z', validUntil: '20990101000000Z' };
    const future = makeCertificate(folder, 'future', { commonName: 'new vault', issuer: authority, ...validity });
    expect((await refusal(future, { ca_file: authority.certFile })).message).toMatch(/is not valid yet/);
  });

  test('a certificate for another host, until tls_server_name says which', async () => {
    const named = makeCertificate(folder, 'named', {
      commonName: 'v',
      issuer: authority,
      altNames: 'DNS:vault.corp.example',
    });
    const error = await refusal(named, { ca_file: authority.certFile });
    expect(error.message).toMatch(/is for DNS:vault\.corp\.example \(ERR_TLS_CERT_ALTNAME_INVALID\)/);
    expect(error.remedy).toMatch(/tls_server_name/);
    const started = await fixture(named);
    const options = { ca_file: authority.certFile, tls_server_name: 'vault.corp.example' };
    await expect(read(await started.provider({ options }), 'kv/claude')).resolves.toBeDefined();
  });

  test('skip_verify accepts anything', async () => {
    const started = await fixture(good);
    await expect(read(await started.provider({ options: { skip_verify: true } }), 'kv/claude')).resolves.toBeDefined();
  });

  test('a ca_file that is missing, or is none, is named', async () => {
    const started = await fixture(good);
    const missing = await failure(
      read(await started.provider({ options: { ca_file: '/nowhere/ca.pem' } }), 'kv/claude'),
    );
    expect(missing).toMatchObject({ kind: 'misconfigured', message: expect.stringContaining('/nowhere/ca.pem') });
    const text = await started.file('ca.pem', 'not a certificate');
    const none = await failure(read(await started.provider({ options: { ca_file: text } }), 'kv/claude'));
    expect(none).toMatchObject({ kind: 'misconfigured', message: expect.stringContaining('no PEM') });
  });

  test('a mended ca_file takes effect once the login is forgotten', async () => {
    const started = await fixture(good);
    const file = await started.file(
      'ca.pem',
      makeCertificate(folder, 'stale', { commonName: 'Stale', isAuthority: true }).cert.toString(),
    );
    const provider = await started.provider({ options: { ca_file: file } });
    expect(provider.loginInputs()).toContain(file);
    await failure(read(provider, 'kv/claude'));
    await started.file('ca.pem', authority.cert.toString());
    provider.forgetLogin();
    await expect(read(provider, 'kv/claude')).resolves.toBeDefined();
  });

  test('a client certificate logs in with auth method cert', async () => {
    const started = await fixture(good);
    started.vault.logins.certificate('laptop-7', { policies: ['reader'], ttlMs: 60_000 });
    const client = makeCertificate(folder, 'client', { commonName: 'laptop-7', issuer: authority });
    const certificates = { client_cert_file: client.certFile, client_key_file: client.keyFile };
    const options = { ca_file: authority.certFile, ...certificates, auth: { method: 'cert', name: 'laptops' } };
    expect(fields(await read(await started.provider({ options }), 'kv/claude'))).toEqual({ key: 'sk-tls' });
    const stranger = makeCertificate(folder, 'stranger', { commonName: 'laptop-8', issuer: authority });
    const wrong = { ...options, client_cert_file: stranger.certFile, client_key_file: stranger.keyFile };
    const error = await failure(
      read(await started.provider({ options: wrong, logins: new MemoryLoginStore() }), 'kv/claude'),
    );
    expect(error).toMatchObject({ kind: 'login-expired' });
    const unfit = { ...options, client_key_file: good.keyFile };
    expect(await failure(read(await started.provider({ options: unfit }), 'kv/claude'))).toMatchObject({
      kind: 'misconfigured',
    });
  });

  test('an authority in NODE_EXTRA_CA_CERTS or in the system store is trusted; in neither, it is not', async () => {
    const started = await fixture(good);
    const readBy = async (env: Record<string, string>) => {
      const args = ['--input-type=module', '-e', readsOnce(started.vault.address, started.vault.rootToken)];
      return (await promisify(execFile)(process.execPath, args, { env })).stdout.trim();
    };
    expect(await readBy({})).toMatch(/^transient: .*unknown authority.*presented: "vault" from "Example Corp Root"/);
    expect(await readBy({ NODE_EXTRA_CA_CERTS: authority.certFile })).toBe('sk-tls');
    // Where OpenSSL looks for the system's authorities; macOS asks its keychain instead.
    if (process.platform === 'linux') expect(await readBy({ SSL_CERT_FILE: authority.certFile })).toBe('sk-tls');
  });

  test('HTTPS_PROXY is gone through, NO_PROXY goes around it, and an untrusted certificate behind it is still named', async () => {
    const started = await fixture(good);
    const proxy = await startForwardProxy();
    const env = { HTTPS_PROXY: proxy.address };
    const options = { ca_file: authority.certFile };
    expect(fields(await read(await started.provider({ options, env }), 'kv/claude'))).toEqual({ key: 'sk-tls' });
    expect(proxy.asked).toEqual([`127.0.0.1:${started.vault.port}`]);
    const untrusted = await failure(read(await started.provider({ env }), 'kv/claude'));
    expect(untrusted.message).toMatch(/presented: "vault" from "Example Corp Root"/);
    const before = proxy.asked.length;
    await read(await started.provider({ options, env: { ...env, NO_PROXY: '127.0.0.1' } }), 'kv/claude');
    expect(proxy.asked.length).toBe(before);
  });
});

/** A program of its own, because Node reads these variables once, when it starts. */
function readsOnce(address: string, token: string): string {
  const { href } = new URL('../../../src/providers/vault/options.ts', import.meta.url);
  return `
    const { vaultDefinition: { load, providerSchema, credentialSchema } } = await import(${JSON.stringify(href)});
    const options = providerSchema.parse(${JSON.stringify({ address, auth: { method: 'token', token } })});
    const clock = { now: Date.now, wall: Date.now, after: () => ({ cancel() {} }) };
    const [log, logins] = [{ debug() {}, info() {}, warn() {}, error() {} }, { load: () => [], save() {}, remove() {} }];
    const provider = (await load())(options, { name: 'prod', clock, log, logins, env: {}, homeDir: '/' });
    const request = { source: credentialSchema.parse({ path: 'kv/claude' }), wantedLifeMs: 0 };
    const said = await provider.issue(request, { signal: new AbortController().signal }).then(
      ({ content }) => content.json.key,
      ({ kind, message }) => kind + ': ' + message,
    );
    console.log(said);
    provider.close();`;
}
