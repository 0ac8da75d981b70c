import { describe, expect, it } from 'vitest';
import { configJsonSchema } from '../../../src/config/json-schema.ts';
import { keysOf, schemaAt, unwrap } from '../../../src/config/walk.ts';
import { providerDefinitions } from '../../../src/providers/registry.ts';

describe.each(providerDefinitions)(
  'the provider type $type',
  ({ providerSchema, credentialSchema, environmentDefaults }) => {
    it.each([
      ['provider', providerSchema],
      ['credential', credentialSchema],
    ])('describes every key of its %s tables', (_, schema) => {
      const keys = keysOf(schema, {});
      expect(keys).not.toHaveLength(0);
      const bare = keys.filter((key) => {
        const child = schemaAt(schema, [key], {});
        return child === undefined || unwrap(child).meta.description === undefined;
      });
      expect(bare).toEqual([]);
    });

    it('takes from the environment only for keys that it has', () => {
      const unknown = Object.keys(environmentDefaults).filter((key) => {
        const [first = ''] = key.split('.');
        return schemaAt(providerSchema, [first], {}) === undefined;
      });
      expect(unknown).toEqual([]);
    });

    it('leaves the keys that every table has to the configuration', () => {
      expect(keysOf(providerSchema, {})).not.toContain('type');
      const common = ['provider', 'field', 'fields', 'expires_field', 'header', 'header_prefix', 'ttl', 'max_stale'];
      expect(keysOf(credentialSchema, {}).filter((key) => common.includes(key))).toEqual([]);
    });
  },
);

it('are all in the JSON Schema for editors', () => {
  const schema = JSON.stringify(configJsonSchema(providerDefinitions));
  for (const { type } of providerDefinitions) expect(schema).toContain(`"const":"${type}"`);
});
