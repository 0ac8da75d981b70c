import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { ProviderGate } from '../../../src/broker/gate.ts';
import { LoginAttempts } from '../../../src/providers/login-attempts.ts';
import { lendsNothing, type Provider } from '../../../src/providers/provider.ts';
import { findDefinition } from '../../../src/providers/registry.ts';
import { AwsHome, PROFILE } from '../../conformance/aws/aws-home.ts';
import { AwsJsonServer } from '../../fakes/aws-json-server.ts';
import { temporaryFolder } from '../../fakes/cache.ts';
import { CollectingLog } from '../../fakes/collecting-log.ts';
import { DevVault } from '../../fakes/dev-vault/dev-vault.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { MemoryLoginStore } from '../../fakes/memory-login-store.ts';

const LATE_MS = 35_000;

/** A read of `source` through the broker's gate, on a clock that stands still. */
async function reading(type: string, options: object, source: object, env: Readonly<Record<string, string>> = {}) {
  const definition = findDefinition(type) ?? expect.fail(type);
  const clock = new FakeClock();
  const folder = temporaryFolder();
  const create = await definition.load();
  const host = {
    name: 'slow',
    clock,
    log: new CollectingLog(),
    logins: new MemoryLoginStore(),
    env,
    credentials: lendsNothing,
    homeDir: folder,
  };
  const open = async (): Promise<Provider> => create(definition.providerSchema.parse(options), host);
  const gate = new ProviderGate(
    {
      name: 'slow',
      type,
      open,
      storedLogin: () => undefined,
      attempts: new LoginAttempts(clock),
      onRecovery: () => {},
    },
    { clock, random: () => 0.5, fingerprintFiles: () => '' },
  );
  onTestFinished(() => gate.close());
  const read = (what: object = source, wasPlain = false) =>
    gate.call((provider, call) =>
      provider.issue({ source: definition.credentialSchema.parse(what), wantedLifeMs: 0, wasPlain }, call),
    );
  return { clock, folder, read };
}

async function slowVault() {
  const vault = await DevVault.start({ nowMs: Date.now });
  onTestFinished(() => vault.stop());
  vault.kv.writeV1('kv/claude', { key: 'sk-late' });
  const options = { address: vault.address, timeout: '2m', auth: { method: 'token', token: vault.rootToken } };
  return { vault, ...(await reading('vault', options, { path: 'kv/claude' })) };
}

test('with timeout = "2m" a Vault that answers after 35 s is waited for', async () => {
  const { vault, clock, read } = await slowVault();
  const slow = vault.faults.plan({ kind: 'slow', byMs: 500 }, { path: /^kv/ });
  const answer = read();
  await slow.reached;
  await clock.advance(LATE_MS);
  expect((await answer).content).toMatchObject({ json: { key: 'sk-late' } });
});

test('and one that never answers is given up after two minutes, by the provider, which says so', async () => {
  const { vault, clock, read } = await slowVault();
  const hanging = vault.faults.plan({ kind: 'hang' }, { path: /^kv/ });
  const answer = read().catch((error: unknown) => error);
  await hanging.reached;
  await clock.advance(120_000);
  expect(await answer).toMatchObject({
    kind: 'transient',
    message: expect.stringMatching(/^Vault at \S+ did not answer within 120 s$/),
  });
});

test('one of its paths that is slow while another is answered is told of that path alone', async () => {
  const { vault, clock, read } = await slowVault();
  vault.kv.writeV1('kv/other', { key: 'sk-quick' });
  const hanging = vault.faults.plan({ kind: 'hang' }, { path: /^kv\/claude/ });
  const answer = read().catch((error: unknown) => error);
  await hanging.reached;
  await clock.advance(110_000);
  await read({ path: 'kv/other' });
  await clock.advance(10_000);
  expect(await answer).toMatchObject({
    kind: 'transient',
    concerns: 'secret',
    message: expect.stringMatching(/ did not answer within 120 s about kv\/claude$/),
  });
});

/** A Vault of which one connection never answers, as after a suspend that the network has noticed and the client has not. */
async function vaultWithDeadConnection(path: string, more: object = {}) {
  const vault = await DevVault.start({ nowMs: Date.now });
  onTestFinished(() => vault.stop());
  vault.kv.writeV1('kv/claude', { key: 'sk-late' });
  vault.kv.writeV2('secret/claude', { key: 'sk-late' });
  vault.engines.role('claude', { ttlMs: 60_000 });
  const options = { address: vault.address, auth: { method: 'token', token: vault.rootToken }, ...more };
  const made = await reading('vault', options, { path });
  const hanging = vault.faults.plan({ kind: 'hang' }, { path: new RegExp(path) });
  const healthyAfterMs = async (ms: number) => {
    await hanging.reached;
    await made.clock.advance(ms);
    hanging.clear();
  };
  return { vault, hanging, healthyAfterMs, ...made };
}

test('a connection that never answers costs 5 s: the read is sent once more over another, and that answer counts', async () => {
  const { vault, clock, read, healthyAfterMs } = await vaultWithDeadConnection('secret/data/claude');
  const answer = read();
  await healthyAfterMs(3_000);
  await clock.advance(1_999);
  expect(vault.count(/^GET secret/)).toBe(1);
  await clock.advance(1);
  expect((await answer).content).toMatchObject({ json: { key: 'sk-late' } });
  expect(vault.count(/^GET secret/)).toBe(2);
});

test('so does KV v1 from its second read on, since only then it is known to issue nothing', async () => {
  const { clock, read, hanging } = await vaultWithDeadConnection('kv/claude');
  const answer = read(undefined, true);
  await hanging.reached;
  await clock.advance(5_000);
  expect((await answer).content).toMatchObject({ json: { key: 'sk-late' } });
});

test('what issues a lease is not asked for twice, nor anything with a token whose uses are counted', async () => {
  const leased = await vaultWithDeadConnection('apikeys/creds/claude');
  const counted = await vaultWithDeadConnection('secret/data/claude');
  counted.vault.faults.plan(
    { kind: 'answer', status: 200, body: JSON.stringify({ request_id: '1', data: { num_uses: 10, ttl: 60 } }) },
    { path: /lookup-self/ },
  );
  for (const { vault, clock, read, hanging } of [leased, counted]) {
    const answer = read(undefined, true).catch((error: unknown) => error);
    await hanging.reached;
    await clock.advance(30_000);
    expect(await answer).toMatchObject({ kind: 'transient' });
    expect(vault.count(/^GET (?:secret|apikeys)/)).toBe(1);
  }
});

async function slowCommand() {
  const script = ': > started; while [ ! -e go ]; do sleep 0.01; done; echo sk-late';
  const made = await reading('exec', { command: ['/bin/sh', '-c', script], timeout: '2m' }, {});
  const started = async () => {
    while (!existsSync(join(made.folder, 'started'))) await pause(5);
  };
  return { ...made, started };
}

test('with timeout = "2m" a command that prints its key after 35 s is waited for', async () => {
  const { clock, folder, read, started } = await slowCommand();
  const answer = read();
  await started();
  await clock.advance(LATE_MS);
  writeFileSync(join(folder, 'go'), '');
  const { content } = await answer;
  expect(content.kind === 'text' && content.text.reveal()).toBe('sk-late');
});

test('and one that prints nothing is stopped after two minutes', async () => {
  const { clock, read, started } = await slowCommand();
  const answer = read().catch((error: unknown) => error);
  await started();
  await clock.advance(120_000);
  expect(await answer).toMatchObject({
    kind: 'transient',
    message: 'the command "/bin/sh" gave no answer within 120 s and was stopped',
  });
});

test('a connection to AWS that never answers costs 5 s', async () => {
  const [server, home] = [new AwsJsonServer(), new AwsHome()];
  await server.start();
  await home.create('AKIDEXAMPLE', 'wJalrXUtnFEMI');
  onTestFinished(async () => {
    await server.stop();
    await home.remove();
  });
  const reached = Promise.withResolvers<void>();
  server.put('key', 'sk-late');
  server.behaviour = () => reached.resolve();
  const options = { profile: PROFILE, endpoint: server.url };
  const { clock, read } = await reading('aws-secrets-manager', options, { secret_id: 'key' }, home.env);
  const answer = read();
  await reached.promise;
  server.behaviour = undefined;
  await clock.advance(5_000);
  const { content } = await answer;
  expect(content.kind === 'text' && content.text.reveal()).toBe('sk-late');
  expect(server.targets).toEqual(['secretsmanager.GetSecretValue', 'secretsmanager.GetSecretValue']);
});

test('an AWS that never answers is given up after half a minute, by the provider, which says so', async () => {
  const [server, home] = [new AwsJsonServer(), new AwsHome()];
  await server.start();
  await home.create('AKIDEXAMPLE', 'wJalrXUtnFEMI');
  onTestFinished(async () => {
    await server.stop();
    await home.remove();
  });
  const reached = Promise.withResolvers<void>();
  server.behaviour = () => reached.resolve();
  const options = { profile: PROFILE, endpoint: server.url };
  const { clock, read } = await reading('aws-secrets-manager', options, { secret_id: 'key' }, home.env);
  const answer = read().catch((error: unknown) => error);
  await reached.promise;
  await clock.advance(30_000);
  expect(await answer).toMatchObject({
    kind: 'transient',
    concerns: 'address',
    message: 'AWS gave no whole answer within 30 s',
  });
});
