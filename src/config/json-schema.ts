import { z } from 'zod';
import { NAME } from '../protocol/request.ts';
import { commonCredentialSchema, daemonSchema, fileSchema, type ProviderSchemas } from './schema.ts';

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Names it, wherever a copy of it lies. */
const CONFIG_SCHEMA_ID = 'urn:apikey-broker:config.schema.json';

const DRAFT = 'http://json-schema.org/draft-07/schema#';

/**
 * The whole file as a JSON Schema for editors (draft 7, which taplo and the TOML extensions built on it read): a file
 * that begins with `#:schema ./broker.schema.json` is completed and checked while it is written.
 */
export function configJsonSchema(types: readonly ProviderSchemas[]): JsonSchema {
  const outermost = fileSchema.shape;
  return {
    $schema: DRAFT,
    $id: CONFIG_SCHEMA_ID,
    title: 'broker configuration',
    type: 'object',
    additionalProperties: false,
    properties: {
      default: converted(outermost.default),
      providers: byName(types.map(providerTable), outermost.providers.description),
      credentials: byName(types.map(credentialTable), outermost.credentials.description),
      daemon: { ...converted(daemonSchema), description: outermost.daemon.description ?? '' },
    },
  };
}

function providerTable({ type, providerSchema, environmentDefaults }: ProviderSchemas): JsonSchema {
  const table = converted(providerSchema);
  const tag = { type: 'string', const: type, description: `The kind of secret system: ${type}.` } as const;
  // What the environment can contribute need not be written.
  return withKeys(table, { type: tag }, ['type'], Object.keys(environmentDefaults), `A provider of type ${type}.`);
}

function credentialTable({ type, credentialSchema }: ProviderSchemas): JsonSchema {
  const common = converted(commonCredentialSchema);
  const title = `A credential read through a provider of type ${type}.`;
  return withKeys(converted(credentialSchema), common.properties ?? {}, common.required ?? [], [], title);
}

/** Names are free; which of the tables applies is told by `type`, or for a credential by the keys it has. */
function byName(tables: readonly JsonSchema[], description = ''): JsonSchema {
  return {
    type: 'object',
    description,
    propertyNames: { pattern: NAME.source },
    additionalProperties: tables.length === 1 ? (tables[0] ?? {}) : { anyOf: [...tables] },
  };
}

function withKeys(
  table: JsonSchema,
  keys: Readonly<Record<string, z.core.JSONSchema._JSONSchema>>,
  needed: readonly string[],
  optional: readonly string[],
  description: string,
): JsonSchema {
  const inner = (alternative: JsonSchema) => withKeys(alternative, keys, needed, optional, description);
  if (table.anyOf !== undefined) return { ...table, anyOf: table.anyOf.map(inner) };
  if (table.oneOf !== undefined) return { ...table, oneOf: table.oneOf.map(inner) };
  const required = [...needed, ...(table.required ?? []).filter((key) => !optional.includes(key))];
  return { ...table, description, properties: { ...keys, ...table.properties }, required };
}

function converted(schema: z.core.$ZodType): JsonSchema {
  const { $schema, ...json } = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-7',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      // zod leaves examples out where a value is transformed; ours are written as the file has them.
      const examples = z.globalRegistry.get(zodSchema)?.['examples'];
      if (Array.isArray(examples)) jsonSchema.examples = examples;
      // Our own metadata, of no use to editors.
      delete jsonSchema['secret'];
      delete jsonSchema['file'];
    },
  });
  return json;
}
