import type { z } from 'zod';
import { hideShapes, secretArguments } from '../platform/text.ts';
import type { ConfigValue } from '../protocol/reports.ts';
import type { Contributions } from './environment.ts';
import { dotted, type KeyPath, pathId, type TomlPositions } from './positions.ts';
import { isHidden, type Member, membersOf, type Table } from './walk.ts';

interface EffectiveValue {
  readonly path: KeyPath;
  readonly value: unknown;
}

/** Lists what is written and what takes effect unwritten: the tables are gone through when somebody wants to see it. */
export class EffectiveValues {
  readonly #parts: { readonly members: () => Iterable<Member>; readonly alone?: EffectiveValue }[] = [];

  /** What was masked, as it is written: to be removed from foreign text. */
  get hidden(): readonly string[] {
    return this.#parts.flatMap(({ members }) =>
      [...members()].flatMap((member) => {
        const texts = textsOf(member.value);
        return isHidden(member) ? texts : Array.isArray(member.value) ? secretArguments(texts) : [];
      }),
    );
  }

  add(path: KeyPath, value: unknown): void {
    this.#parts.push({ members: () => [], alone: { path, value: maskValue(value, false) } });
  }

  /** Every key of a table, then the defaults of the keys that it leaves open; an array is one value. The table must not change. */
  addTable(path: KeyPath, table: Table, schema: z.core.$ZodType): void {
    this.#parts.push({ members: () => membersOf(table, schema, path) });
  }

  located(positions: TomlPositions, contributions: Contributions): readonly ConfigValue[] {
    const values = this.#parts.flatMap(({ members, alone }) => [
      ...(alone === undefined ? [] : [alone]),
      ...[...members()]
        .filter(({ isElement }) => !isElement)
        .map((member) => ({ path: member.path, value: maskValue(member.value, isHidden(member)) })),
    ]);
    return values.map(({ path, value }) => {
      const variable = contributions.get(pathId(path));
      const line = positions.lineOf(path);
      let origin: ConfigValue['origin'] = { kind: 'default' };
      if (variable !== undefined) origin = { kind: 'env', variable };
      else if (line !== undefined) origin = { kind: 'file', line };
      return { key: maskShapes(dotted(path)), value, origin };
    });
  }
}

function textsOf(value: unknown): readonly string[] {
  return (Array.isArray(value) ? value : [value]).filter((each) => typeof each === 'string');
}

/** What differs between the daemon's effective values and those that this shell's environment would give. */
export function differences(daemon: readonly ConfigValue[], here: readonly ConfigValue[]): readonly Difference[] {
  const ours = new Map(here.map((value) => [value.key, value]));
  const theirs = new Map(daemon.map((value) => [value.key, value]));
  return [...new Set([...theirs.keys(), ...ours.keys()])]
    .map((key) => ({ key, daemon: theirs.get(key), here: ours.get(key) }))
    .filter((pair) => JSON.stringify(pair.daemon?.value) !== JSON.stringify(pair.here?.value));
}

export interface Difference {
  readonly key: string;
  readonly daemon: ConfigValue | undefined;
  readonly here: ConfigValue | undefined;
}

/** Always the same, so that not even the length of a secret is told. */
export const MASK = '********';

/** Text that is not a secret by its key, but may hold one by its shape: a password in a URL, a pasted token. */
export function maskShapes(text: string): string {
  return hideShapes(text, MASK);
}

/** The value of a secret key is masked, whatever its type; elsewhere every text is looked at. */
export function maskValue(value: unknown, isSecret: boolean): unknown {
  if (value === undefined) return undefined;
  if (isSecret) return MASK;
  if (typeof value === 'string') return maskShapes(value);
  if (!Array.isArray(value)) return value;
  const hidden = secretArguments(value.map((element) => (typeof element === 'string' ? element : '')));
  return value.map((element) =>
    maskValue(typeof element === 'string' ? hidden.reduce(maskEach, element) : element, false),
  );
}

/** The word itself, what follows its `=`, or every occurrence in a script or a header. */
function maskEach(word: string, secret: string): string {
  if (word === secret) return MASK;
  if (/[\s:]/.test(word)) return word.replaceAll(secret, MASK);
  return word.endsWith(`=${secret}`) ? `${word.slice(0, -secret.length)}${MASK}` : word;
}
