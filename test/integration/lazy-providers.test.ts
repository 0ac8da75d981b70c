import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { expect, onTestFinished, test } from 'vitest';
import { providerDefinitions } from '../../src/providers/registry.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { everyProvider } from '../fakes/every-provider.ts';

const RECORDER = new URL('../fixtures/record-modules.mjs', import.meta.url).href;
/** What makes a start slow, and what a definition may import on top of zod: schemas. */
const SDKS = /node_modules\/(@aws-sdk|@smithy|axios|node-vault|openid-client|oauth4webapi|jose)\//;
const IMPLEMENTATIONS =
  /dist\/chunks\/(?:exec-provider|vault-provider|aws-secrets-manager|aws-ssm|oauth2-provider|keychain-provider|anthropic-wif-provider)-[^/]+\.js$/;

test('a daemon with providers of every type loads none of them before it is asked, and then only that one', async () => {
  const vault = await DevVault.start({ nowMs: Date.now });
  vault.kv.writeV2('secret/claude', { api_key: 'sk-lazy' });
  const home = new BrokerHome(everyProvider(vault.address, vault.rootToken));
  onTestFinished(async () => {
    await home.close();
    await vault.stop();
  });
  const types = Object.values(parse(readFileSync(home.configFile, 'utf8'))['providers'] ?? {}).map(({ type }) => type);
  expect(types.sort()).toEqual(providerDefinitions.map(({ type }) => type).sort());

  const record = join(home.folder, 'modules');
  await home.start({ RECORD_MODULES_IN: record }, { nodeArgs: ['--import', RECORDER] });
  const loaded = () => readFileSync(record, 'utf8').split('\n');
  const heavy = () => loaded().filter((url) => SDKS.test(url) || IMPLEMENTATIONS.test(url));
  expect(loaded()).toContainEqual(expect.stringMatching(/dist\/cli\/main\.js$/));
  expect(heavy()).toEqual([]);
  expect(await home.key('from-tool')).toMatchObject({ stdout: 'sk-from-tool\n' });
  expect(heavy().filter((url) => !url.includes('/exec-provider-'))).toEqual([]);
  expect(await home.key()).toMatchObject({ stdout: 'sk-lazy\n' });
  expect(heavy()).toContainEqual(expect.stringMatching(/chunks\/vault-provider-[^/]+\.js$/));
  expect(heavy().filter((url) => /@aws-sdk|@smithy/.test(url))).toEqual([]);
});
