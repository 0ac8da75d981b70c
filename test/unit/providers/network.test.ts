import { expect, it } from 'vitest';
import { networkFailure } from '../../../src/providers/network.ts';

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
