import { expect, it } from 'vitest';
import { networkFailure } from '../../../src/providers/network.ts';
import { proxyEnvironment, proxyUsed } from '../../../src/providers/proxies.ts';

function unreachable(address: string): Error {
  const inner = Object.assign(new Error(`connect EHOSTUNREACH ${address}:8200`), { code: 'EHOSTUNREACH' });
  return new Error('fetch failed', { cause: new AggregateError([inner], '') });
}

it.each([
  ['10.1.2.3', 'darwin', true],
  ['192.168.1.7', 'darwin', true],
  ['172.20.0.1', 'darwin', true],
  ['fd12:3456::1', 'darwin', true],
  ['fe80::1', 'darwin', true],
  ['172.32.0.1', 'darwin', false],
  ['203.0.113.10', 'darwin', false],
  ['192.168.1.7', 'linux', false],
] as const)('no route to %s on %s is the switch for the local network: %s', (address, platform, isSwitch) => {
  const failure = networkFailure(unreachable(address), 'Vault', { platform });
  expect(failure).toMatchObject({
    kind: 'transient',
    message: 'Vault cannot be reached: there is no route to it (EHOSTUNREACH)',
  });
  expect(failure?.remedy?.includes('Local Network')).toBe(isSwitch);
});

it('names the proxy that was used, without its password, and says what to do about it', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:3128'), { code: 'ECONNREFUSED' });
  const proxy = proxyUsed(
    'https://vault.example.com:8200',
    proxyEnvironment('http://ada:pw@proxy.example.com:3128', {}),
  );
  expect(proxy).toBe('http://proxy.example.com:3128');
  expect(networkFailure(refused, 'Vault at https://vault.example.com:8200', { proxy })).toMatchObject({
    message:
      'Vault at https://vault.example.com:8200 cannot be reached through the proxy http://proxy.example.com:3128: the connection was refused (ECONNREFUSED)',
    remedy: expect.stringMatching(/^check that proxy: .*broker config show.*proxy = "direct"/) as string,
  });
});

it.each([
  ['https://v.example.com', { HTTPS_PROXY: 'http://a:1' }, 'http://a:1'],
  ['https://v.example.com', { HTTPS_PROXY: 'http://a:1', https_proxy: 'http://b:2' }, 'http://b:2'],
  ['http://v.example.com', { HTTPS_PROXY: 'http://a:1' }, undefined],
  ['http://v.example.com', { HTTP_PROXY: 'http://a:1' }, 'http://a:1'],
  ['https://v.example.com', { HTTPS_PROXY: 'http://a:1', NO_PROXY: '.example.com' }, undefined],
  ['unix:///run/vault.sock', { HTTPS_PROXY: 'http://a:1' }, undefined],
])('%s with %j goes through %s', (address, env, proxy) => {
  expect(proxyUsed(address, proxyEnvironment(undefined, env))).toBe(proxy);
  expect(proxyUsed(address, proxyEnvironment('direct', env))).toBe(undefined);
});
