import type { z } from 'zod';
import { dotted, type KeyPath } from './key-path.ts';
import { isSecret, maskShapes, maskValue } from './mask.ts';
import type { Origin, Origins } from './origins.ts';
import { childSchema, isTable, objectsOf, type Table, unwrap } from './schema-walk.ts';
import type { TomlPositions } from './toml-positions.ts';

/** One key as it takes effect: what `config show` prints. Secrets are masked already. */
export interface EffectiveValue {
  readonly key: string;
  readonly value: unknown;
  readonly origin: Origin;
}

/** Lists what is written and what takes effect unwritten. */
export class EffectiveValues {
  readonly values: EffectiveValue[] = [];
  readonly #positions: TomlPositions;
  readonly #origins: Origins;

  constructor(positions: TomlPositions, origins: Origins) {
    this.#positions = positions;
    this.#origins = origins;
  }

  add(path: KeyPath, value: unknown, secret = false): void {
    const masked = maskValue(value, secret);
    this.values.push({ key: maskShapes(dotted(path)), value: masked, origin: this.#origins.of(path, this.#positions) });
  }

  /** Every key of a table, then the defaults of the keys that it leaves open. */
  addTable(path: KeyPath, table: Table, schema: z.core.$ZodType, secret = false): void {
    for (const [key, value] of Object.entries(table)) {
      const child = childSchema(schema, key, table);
      this.#addAny([...path, key], value, child, secret || isSecret(key, child, path[0] === 'credentials'));
    }
    const objects = objectsOf(schema, table);
    if (objects.length !== 1) return;
    for (const [key, child] of Object.entries(objects[0]?._zod.def.shape ?? {})) {
      const { written } = unwrap(child);
      if (written === undefined || Object.hasOwn(table, key)) continue;
      this.#addAny([...path, key], written, child, isSecret(key, child));
    }
  }

  #addAny(path: KeyPath, value: unknown, schema: z.core.$ZodType | undefined, secret: boolean): void {
    if (isTable(value) && schema !== undefined) this.addTable(path, value, schema, secret);
    else this.add(path, value, secret);
  }
}

/** What differs between the daemon's effective values and those that this shell's environment would give. */
export function differences(daemon: readonly EffectiveValue[], here: readonly EffectiveValue[]): readonly Difference[] {
  const ours = new Map(here.map((value) => [value.key, value]));
  const theirs = new Map(daemon.map((value) => [value.key, value]));
  return [...new Set([...theirs.keys(), ...ours.keys()])]
    .map((key) => ({ key, daemon: theirs.get(key), here: ours.get(key) }))
    .filter((pair) => JSON.stringify(pair.daemon?.value) !== JSON.stringify(pair.here?.value));
}

export interface Difference {
  readonly key: string;
  readonly daemon: EffectiveValue | undefined;
  readonly here: EffectiveValue | undefined;
}
