import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, LONGEST_DURATION_MS, parseDuration } from '../../src/config/durations.ts';
import { describeFault } from '../../src/config/faults.ts';
import { checkConfig, type LoadedConfig } from '../../src/config/load.ts';
import { tomlValue } from '../../src/config/toml.ts';
import { BrokerError } from '../../src/errors.ts';
import { providerTypes } from '../fakes/provider-schemas.ts';

const check = (content: string | Uint8Array) =>
  checkConfig(typeof content === 'string' ? Buffer.from(content) : content, {
    file: '/c/config.toml',
    types: providerTypes,
    env: {},
    homeDir: '/home/u',
  });

describe('a duration', () => {
  it('is read back as it was written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: LONGEST_DURATION_MS }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });

  it('that is none is refused with a remedy, whatever it is', () => {
    const nearly = fc.stringMatching(/^[0-9dhms.+ -]{0,12}$/);
    fc.assert(
      fc.property(fc.oneof(fc.string(), nearly), (text) => {
        try {
          expect(parseDuration(text)).toBeLessThanOrEqual(LONGEST_DURATION_MS);
        } catch (error) {
          expect(error).toBeInstanceOf(BrokerError);
          const quoted = (error as BrokerError).remedy?.match(/^write "(.*)"$/)?.[1];
          if (quoted !== undefined) expect(() => parseDuration(quoted)).not.toThrow(/not a duration|no unit/);
        }
      }),
    );
  });
});

/** Pieces of real configurations, put together in every way: mostly broken, often nearly right. */
const fragment = fc.constantFrom(
  ...['[providers.v]\n', '[credentials.c]\n', '[daemon]\n', '[[x]]\n', '[', ']', '{', '}', '"', "'", '"""', "'''"],
  ...[
    '=',
    '.',
    ',',
    '#',
    '\\',
    '\n',
    '\r\n',
    '\0',
    '\uFEFF',
    'type = "vault"\n',
    'address = "https://v"\n',
    'auth = {',
  ],
  ...[
    'method = "token"',
    'provider = "v"\n',
    'path = "p"\n',
    'ttl = ',
    '"15m"\n',
    '2024-01-01',
    '1e400',
    'nan',
    'true',
  ],
  ...['__proto__', 'constructor', 'toString', 'a.b.c', 'fields = {}\n', 'default = "c"\n', '[1, {a = 1}]\n', 'é', '😀'],
);
const nearlyToml = fc.array(fc.oneof(fragment, fc.string()), { maxLength: 40 }).map((parts) => parts.join(''));

describe('the loader', () => {
  it('throws at nothing and finds faults with a remedy in whatever it refuses', async () => {
    const content = fc.oneof(fc.uint8Array({ maxLength: 200 }), nearlyToml);
    await fc.assert(
      fc.asyncProperty(content, async (bytes) => {
        const { faults, config } = await check(bytes);
        if (faults === undefined) return expect(config).toBeDefined();
        expect(faults.length).toBeGreaterThan(0);
        for (const fault of faults) {
          expect(fault.message).not.toBe('');
          expect(fault.remedy).not.toBe('');
          if (fault.line !== undefined) expect(fault.line).toBeGreaterThan(0);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['deep arrays', `x = ${'['.repeat(300_000)}`],
    ['deep tables', `[${'a.'.repeat(300_000)}a]\nx = 1`],
    ['deep keys', `[providers.v]\n${'a.'.repeat(300_000)}a = 1`],
    ['a long string', `x = "${'a'.repeat(900_000)}"`],
    ['a long string without an end', `x = "${'a'.repeat(900_000)}`],
    ['a long multi-line string', `x = """${'a\\"\n'.repeat(200_000)}"""`],
    ['many keys', Array.from({ length: 20_000 }, (_, i) => `k${i} = 1`).join('\n')],
    ['many tables', Array.from({ length: 10_000 }, (_, i) => `[providers.p${i}]\ntype = "exec"`).join('\n')],
    ['many brackets', '[\n'.repeat(400_000)],
    ['many quotes', '"\n'.repeat(400_000)],
    ['many blanks', `x =${' '.repeat(900_000)}`],
  ])('survives %s', async (_, text) => {
    expect((await check(text)).faults).not.toHaveLength(0);
  });
});

describe('a secret', () => {
  const secret = fc.stringMatching(/^[A-Za-z0-9+/=_.@:-]{12,60}$/);

  it('is in nothing that is shown of a sound configuration', async () => {
    await fc.assert(
      fc.asyncProperty(secret, secret, secret, async (token, password, variable) => {
        fc.pre(!/[/@:?#]/.test(password) && new Set([token, password, variable]).size === 3);
        const { faults, ...shown } = await check(
          [
            '[providers.v]\ntype = "vault"',
            `address = "https://user:${password}@v:8200"`,
            `auth = { method = "token", token = ${tomlValue(token)} }`,
            '[providers.x]\ntype = "exec"',
            `env = { PLAIN = ${tomlValue(variable)} }`,
            '[credentials.c]\nprovider = "v"\npath = "p"\n',
          ].join('\n'),
        );
        expect(faults).toBeUndefined();
        const { effective, warnings } = shown as LoadedConfig;
        const printed = JSON.stringify([await effective(), warnings]);
        for (const value of [token, password, variable]) expect(printed.includes(value)).toBe(false);
      }),
    );
  });

  it('is in no fault, wherever the faults are', async () => {
    const around = fc.constantFrom(
      (value: string) =>
        `[providers.v]\ntype = "vault"\naddress = 1\nauth = { method = "token", token = "${value}" }\n`,
      (value: string) => `[providers.v]\ntype = "vault"\nauth = { method = "tken", token = "${value}" }\n`,
      (value: string) => `[providers.v]\ntype = "vault"\nauth = { method = "token", tokken = "${value}" }\n`,
      (value: string) => `[providers.v]\ntype = "vault"\nauth.token = ["${value}"]\n`,
      (value: string) => `[providers.v]\ntype = "vault"\nauth.token = "${value}\n`,
      (value: string) => `[providers.v]\ntype = "vault"\nauth.token = ${value}\n`,
      (value: string) => `[providers.v]\ntype = "vault"\nauth.token = "${value}" x\n`,
      (value: string) => `[providers.v]\ntype = "vault"\nauth.token "${value}"\n`,
      (value: string) => `[providers.v]\ntype = "vault"\naddress = "hvs.${value}"\n`,
      (value: string) => `[providers.v]\ntype = "hvs.${value}"\n`,
      (value: string) => `[providers.x]\ntype = "exec"\nenv = { A = "${value}", B = 1 }\n`,
      (value: string) => `[providers.x]\ntype = "exec"\nenv = "${value}"\n`,
    );
    await fc.assert(
      fc.asyncProperty(fc.stringMatching(/^[A-Za-z0-9]{24,60}$/), around, async (value, text) => {
        const { faults = [] } = await check(text(value));
        expect(faults.length).toBeGreaterThan(0);
        expect(faults.map(describeFault).join('\n').includes(value)).toBe(false);
      }),
    );
  });
});
