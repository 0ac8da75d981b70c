import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { ProviderGate } from '../../../src/broker/gate.ts';
import type { Provider } from '../../../src/providers/provider.ts';
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
    homeDir: folder,
  };
  const open = async (): Promise<Provider> => create(definition.providerSchema.parse(options), host);
  const gate = new ProviderGate(
    { name: 'slow', type, open, storedLogin: () => undefined, onRecovery: () => {} },
    { clock, random: () => 0.5, fingerprintFiles: () => '' },
  );
  onTestFinished(() => gate.close());
  const read = () =>
    gate.call((provider, call) =>
      provider.issue({ source: definition.credentialSchema.parse(source), wantedLifeMs: 0 }, call),
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
    message: 'AWS gave no whole answer about the secret "key" within 30 s',
  });
});
