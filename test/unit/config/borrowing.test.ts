import { expect, test } from 'vitest';
import { z } from 'zod';
import { checkConfig } from '../../../src/config/load.ts';
import { type ProviderSchemas, text } from '../../../src/config/schema.ts';

/** A type that logs in with the key of a credential, if one is named. */
const borrowing: ProviderSchemas<{ with?: string | undefined }> = {
  type: 'borrowing',
  providerSchema: z.strictObject({ with: text().optional().describe('A credential.') }),
  credentialSchema: z.strictObject({}),
  environmentDefaults: {},
  borrows: (options) => (options.with === undefined ? [] : [{ path: ['with'], credential: options.with }]),
};

async function faultsOf(toml: string): Promise<readonly string[]> {
  const types = [borrowing as ProviderSchemas];
  const { faults = [] } = await checkConfig(Buffer.from(toml), { file: '/c', types, env: {}, homeDir: '/home/u' });
  return faults.map(({ line, key, message, remedy }) => `${line}: ${key}: ${message}; ${remedy}`);
}

const provider = (name: string, other?: string) =>
  `[providers.${name}]\ntype = "borrowing"\n${other === undefined ? '' : `with = "${other}"\n`}`;
const credential = (name: string, from: string, more = '') => `[credentials.${name}]\nprovider = "${from}"\n${more}`;

test('a provider may log in with a credential of another one, and that one too', async () => {
  const toml = [provider('a', 'y'), provider('b', 'z'), provider('c')];
  expect(await faultsOf([...toml, credential('x', 'a'), credential('y', 'b'), credential('z', 'c')].join(''))).toEqual(
    [],
  );
});

test('a name that is not there is a fault at the key that has it, with the nearest name', async () => {
  expect(
    await faultsOf(provider('a', 'identiy') + provider('b') + credential('x', 'a') + credential('identity', 'b')),
  ).toEqual(['3: providers.a.with: there is no credential "identiy"; name "identity", or add [credentials.identiy]']);
});

test('a circle is one fault, which tells the whole way round', async () => {
  const toml = [provider('a', 'y'), provider('b', 'z'), provider('c', 'x')];
  const faults = await faultsOf([...toml, credential('x', 'a'), credential('y', 'b'), credential('z', 'c')].join(''));
  expect(faults).toEqual([
    expect.stringMatching(/^3: providers\.a\.with: each of these needs .*: y → z → x → y; let one of them/),
  ]);
});

test('a provider that logs in with a key of its own is a circle', async () => {
  expect(await faultsOf(provider('a', 'x') + credential('x', 'a'))).toEqual([
    expect.stringMatching(/^3: providers\.a\.with: each of these needs .*: x → x;/),
  ]);
});

test('what each session has of its own is lent to nobody', async () => {
  const toml = provider('a', 'y') + provider('b') + credential('x', 'a') + credential('y', 'b', 'scope = "session"\n');
  expect(await faultsOf(toml)).toContainEqual(
    expect.stringMatching(
      /^3: providers\.a\.with: the credential "y" is one for each client's session; name one that is shared/,
    ),
  );
});

test('of several values one has to be named', async () => {
  const toml =
    provider('a', 'y') + provider('b') + credential('x', 'a') + credential('y', 'b', 'fields = { one = "1" }\n');
  expect(await faultsOf(toml)).toEqual([
    expect.stringMatching(/^3: providers\.a\.with: the credential "y" has several values/),
  ]);
});
