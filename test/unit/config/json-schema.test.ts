import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { configJsonSchema } from '../../../src/config/json-schema.ts';
import { commonCredentialSchema, daemonSchema } from '../../../src/config/schema.ts';
import { providerTypes } from '../../fakes/provider-schemas.ts';

const schema = configJsonSchema(providerTypes);

/** zod reads JSON Schema too: what editors would say about a file. */
const accepts = (file: object) => z.fromJSONSchema(schema as z.core.JSONSchema.JSONSchema).safeParse(file).success;

const V = { type: 'vault', address: 'https://v:8200' };
const C = { provider: 'v', path: 'secret/data/c' };

it('accepts what the loader accepts', () => {
  expect(accepts({ providers: { v: V }, credentials: { c: C } })).toBe(true);
  expect(
    accepts({ default: 'c', providers: { v: V }, credentials: { c: { ...C, ttl: '1h', fields: { a: 'b' } } } }),
  ).toBe(true);
  expect(accepts({ providers: { a: { type: 'aws-secrets-manager' } }, daemon: { log_level: 'debug' } })).toBe(true);
  // VAULT_ADDR may give the address.
  expect(accepts({ providers: { v: { type: 'vault' } } })).toBe(true);
});

it.each([
  ['an unknown key at the top', { defualt: 'c' }],
  ['a provider without a type', { providers: { v: { address: 'https://v' } } }],
  ['an unknown type', { providers: { v: { ...V, type: 'vualt' } } }],
  ["a key of another type's", { providers: { v: { ...V, region: 'eu-west-1' } } }],
  ['an unknown method', { providers: { v: { ...V, auth: { method: 'aprole' } } } }],
  ['a name that is not allowed', { providers: { 'my vault': V } }],
  ['a credential without a provider', { credentials: { c: { path: 'p' } } }],
  ['an unknown key of a credential', { credentials: { c: { ...C, feild: 'x' } } }],
  ['a wrong type in the daemon', { daemon: { revoke_on_exit: 'yes' } }],
])('refuses %s', (_, file) => {
  expect(accepts(file)).toBe(false);
});

it('describes every key, with its default and an example where there is one', () => {
  const missing: string[] = [];
  const visit = (node: unknown, path: string): void => {
    if (typeof node !== 'object' || node === null) return;
    for (const [key, value] of Object.entries(node)) {
      if (key === 'properties') {
        for (const [name, property] of Object.entries(
          value as Record<string, { description?: string; const?: string }>,
        )) {
          if (property.description === undefined && property.const === undefined) missing.push(`${path}.${name}`);
          visit(property, `${path}.${name}`);
        }
      } else visit(value, path);
    }
  };
  visit(schema, '');
  expect(missing).toEqual([]);
  expect(JSON.stringify(schema)).toContain('"default":"15m"');
  expect(schema).toMatchObject({ properties: { daemon: { properties: { turn_margin: { examples: ['2m', '5m'] } } } } });
  expect(JSON.stringify(schema)).not.toMatch(/"(?:secret|file)":(?:true|false)/);
});

it('has no key that docs/configuration.md does not explain', () => {
  const docs = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');
  for (const [key, { description = '' }] of Object.entries({
    ...commonCredentialSchema.shape,
    ...daemonSchema.shape,
  })) {
    const [row] = docs.match(new RegExp(`^\\| \`${key}\` \\|.*$`, 'm')) ?? [];
    expect(row, key).toBeDefined();
    const standard = description.match(/Default (\w+)[,.]/)?.[1];
    if (standard !== undefined) expect(row).toMatch(new RegExp(`\`"?${standard}"?\``));
  }
});
