import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { findDefinition, providerDefinitions } from '../../../src/providers/registry.ts';

test('every type is registered once and found by its name', () => {
  const types = providerDefinitions.map(({ type }) => type);
  expect(new Set(types).size).toBe(types.length);
  for (const type of types) expect(findDefinition(type)?.type).toBe(type);
  expect(findDefinition('nothing')).toBeUndefined();
});

test.each(providerDefinitions.map((definition) => [definition.type, definition] as const))(
  '%s has strict schemas that editors can use',
  (_, { providerSchema, credentialSchema, environmentDefaults, summary }) => {
    for (const schema of [providerSchema, credentialSchema]) {
      const { additionalProperties, properties } = z.toJSONSchema(schema, { io: 'input' });
      expect(additionalProperties).toBe(false);
      for (const property of Object.values(properties ?? {})) expect(property).toHaveProperty('description');
    }
    const keys = Object.keys(z.toJSONSchema(providerSchema, { io: 'input' }).properties ?? {});
    for (const key of Object.keys(environmentDefaults)) expect(keys).toContain(key.split('.')[0]);
    expect(summary).toMatch(/\S/);
  },
);

test('registering loads no SDK', async () => {
  const script = `
    await import(${JSON.stringify(new URL('../../../src/providers/registry.ts', import.meta.url).href)});
    const { createRequire } = await import('node:module');
    const loaded = process.moduleLoadList.filter((name) => /NativeModule (http|https|tls|child_process)$/.test(name));
    console.log(JSON.stringify([...loaded, ...Object.keys(createRequire('/').cache).filter((file) => file.includes('aws-sdk'))]));
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  expect(JSON.parse(stdout)).toEqual([]);
});
