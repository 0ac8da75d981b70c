import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { awsSecretsManagerDefinition } from '../../../src/providers/aws/options.ts';
import { lendsNothing } from '../../../src/providers/provider.ts';
import { failure, read, VaultFixture } from './vault-fixture.ts';

/** What may be where a file should be. A plain read of the first blocks the daemon until somebody writes to it. */
const THINGS: Readonly<Record<string, (path: string) => string>> = {
  'a named pipe': (path) => {
    execFileSync('mkfifo', [path]);
    return path;
  },
  'a device': () => '/dev/zero',
  'a folder': (path) => {
    mkdirSync(path);
    return path;
  },
  'a file of 1 GB': (path) => {
    const fd = openSync(path, 'w');
    ftruncateSync(fd, 1_000_000_000);
    closeSync(fd);
    return path;
  },
};
const FAULT = /is not a regular file|is a folder|is over (64 KiB|8 MiB)/;
/** Below the provider's own limit, 30 s, and long enough for a busy machine. */
const SOON_MS = 20_000;

const address = 'https://127.0.0.1:1';
/** What is configured when the thing is named as this input. */
const INPUTS: Readonly<Record<string, (file: string) => Readonly<Record<string, unknown>>>> = {
  token_file: (token_file) => ({ auth: { method: 'token', token_file } }),
  secret_id_file: (secret_id_file) => ({ auth: { method: 'approle', role_id: 'r', secret_id_file } }),
  role_id_file: (role_id_file) => ({ auth: { method: 'approle', role_id_file } }),
  jwt_file: (jwt_file) => ({ auth: { method: 'jwt', jwt_file } }),
  password_file: (password_file) => ({ auth: { method: 'userpass', username: 'ada', password_file } }),
  ca_file: (ca_file) => ({ address, ca_file }),
  client_cert_file: (file) => ({ address, client_cert_file: file, client_key_file: file }),
};

test.each(Object.keys(THINGS).flatMap((thing) => Object.keys(INPUTS).map((input) => [thing, input] as const)))(
  '%s as %s is an error at once',
  async (thing, input) => {
    const fixture = await VaultFixture.start();
    const path = THINGS[thing]?.(join(fixture.folder, 'odd')) ?? '';
    const provider = await fixture.provider({ options: INPUTS[input]?.(path) ?? {} });
    const startedAt = performance.now();
    const error = await failure(read(provider, 'kv/claude'));
    expect(performance.now() - startedAt).toBeLessThan(SOON_MS);
    expect(error).toMatchObject({ kind: 'misconfigured', message: expect.stringMatching(FAULT) });
    expect(error.message).toContain(path);
  },
);

test.each(Object.keys(THINGS))('%s as ca_file of AWS is an error at once', async (thing) => {
  const fixture = await VaultFixture.start();
  const ca_file = THINGS[thing]?.(join(fixture.folder, 'odd')) ?? '';
  const create = await awsSecretsManagerDefinition.load();
  const options = awsSecretsManagerDefinition.providerSchema.parse({ region: 'eu-west-1', ca_file });
  const { clock, log, logins, folder: homeDir } = fixture;
  const provider = create(options, { name: 'aws', clock, log, logins, homeDir, env: {}, credentials: lendsNothing });
  const startedAt = performance.now();
  const source = awsSecretsManagerDefinition.credentialSchema.parse({ secret_id: 'x' });
  const error = await failure(provider.issue({ source, wantedLifeMs: 0 }, { signal: new AbortController().signal }));
  expect(performance.now() - startedAt).toBeLessThan(SOON_MS);
  expect(error).toMatchObject({ kind: 'misconfigured', message: expect.stringMatching(FAULT) });
});
