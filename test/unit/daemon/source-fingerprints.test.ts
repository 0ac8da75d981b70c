import { expect, test } from 'vitest';
import { openMemoryCache } from '../../../src/cache/open.ts';
import { checkConfig } from '../../../src/config/load.ts';
import { prepareSetup, UpgradeWatch } from '../../../src/daemon/provider-sources.ts';
import { silentLog } from '../../../src/platform/log.ts';
import { providerDefinitions } from '../../../src/providers/registry.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

async function fingerprints(path: string, more = '') {
  const toml = `
[providers.vault]
type = "vault"
address = "https://vault.example.com"
${more}
[credentials.identity]
provider = "vault"
path = "${path}"
[providers.corp]
type = "oauth2"
token_endpoint = "https://login.example.com/token"
grant = "jwt_bearer"
assertion = { credential = "identity" }
[credentials.gateway]
provider = "corp"
[credentials.other]
provider = "vault"
path = "secret/data/other"
`;
  const options = { file: '/c', types: providerDefinitions, env: {}, homeDir: '/home/ada' };
  const loaded = await checkConfig(Buffer.from(toml), options);
  if (loaded.faults !== undefined) expect.fail(JSON.stringify(loaded.faults));
  const upgrade = new UpgradeWatch({ version: '0', wasReplaced: false } as never, silentLog);
  const { providers, credentials } = prepareSetup(loaded.config, {
    ...{ definitions: providerDefinitions, cache: openMemoryCache(), clock: new FakeClock(), log: silentLog },
    ...{ env: {}, homeDir: '/home/ada', stateDir: '/s', upgrade },
  });
  const of = (name: string) => credentials.find(({ config }) => config.name === name)?.sourceFingerprint;
  const { fingerprint, borrows } = providers.find(({ name }) => name === 'corp') ?? expect.fail('it is configured');
  const reach = providers.find(({ name }) => name === 'vault')?.reach;
  return { gateway: of('gateway'), other: of('other'), corp: fingerprint, borrows, reach };
}

test('a key that was got with another source of the credential that it is got with is not this one', async () => {
  const [first, same, changed] = [
    await fingerprints('identity/oidc/token/a'),
    await fingerprints('identity/oidc/token/a'),
    await fingerprints('identity/oidc/token/b'),
  ];
  expect(first.borrows).toEqual(['identity']);
  expect(same).toEqual(first);
  expect(changed.corp).not.toBe(first.corp);
  expect(changed.gateway).not.toBe(first.gateway);
  expect(changed.other).toBe(first.other);
});

test.each(['timeout = "2m"', 'proxy = "http://proxy.example.com:3128"', 'ca_file = "/etc/ssl/corp.pem"'])(
  'how a provider is reached does not change what it is: %s',
  async (more) => {
    const before = await fingerprints('identity/oidc/token/a');
    const { reach, ...after } = await fingerprints('identity/oidc/token/a', more);
    expect({ ...after, reach: before.reach }).toEqual(before);
    expect(reach).not.toBe(before.reach);
  },
);

test('another namespace is another provider', async () => {
  const { other } = await fingerprints('identity/oidc/token/a');
  expect((await fingerprints('identity/oidc/token/a', 'namespace = "team-a"')).other).not.toBe(other);
});
