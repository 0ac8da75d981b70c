/**
 * `node lint/house.ts`, part of `npm run check`: the rules of docs/architecture.md that the linter does not have. Fails on an
 * import between rooms that its table does not allow, on an import cycle, on a type name that two files export, and on a file
 * so small that its content should be in its only importer.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.dirname(import.meta.dirname);
const SMALL_LINES = 40;
const KNOWN_TO_ALL = new Set(['errors', 'protocol']);

/** Small files with one importer that stay, each with its reason. */
const SMALL_FOR_A_REASON: Readonly<Record<string, string>> = {
  'demo/client-double.ts': 'a program of its own, which the demo and the tests start',
};

interface Source {
  /** From `src/` on: `broker/gate.ts`. */
  readonly name: string;
  readonly text: string;
  readonly imports: readonly string[];
  /** Loaded on first use. */
  readonly lazyImports: readonly string[];
}

const sources = new Map(
  readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((name) => [name, read(name)]),
);
const faults = [...forbiddenArrows(), ...circles(), ...typesNamedTwice(), ...needlesslySmall()];
for (const fault of faults) console.error(fault);
console.log(`house: ${sources.size} files, ${lines()} lines, ${faults.length} faults`);
process.exitCode = faults.length > 0 ? 1 : 0;

function read(name: string): Source {
  const text = readFileSync(path.join(ROOT, 'src', name), 'utf8');
  const targets = (pattern: RegExp) =>
    [...text.matchAll(pattern)].map(([, specifier]) => path.join(path.dirname(name), specifier ?? ''));
  return {
    name,
    text,
    imports: targets(/\bfrom '(\.[^']+)'/g),
    lazyImports: targets(/\bimport\('(\.[^']+)'\)/g),
  };
}

function roomOf(name: string): string {
  return name.split('/')[0]?.replace(/\.ts$/, '') ?? name;
}

/** The table of docs/architecture.md: each room with the rooms of the last column; KNOWN_TO_ALL is not in the table. */
function allowedArrows(): Map<string, Set<string>> {
  const page = readFileSync(path.join(ROOT, 'docs', 'architecture.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `src\/([a-z]+)(?:\/|\.ts)` \|.*\|([^|]*)\|$/gm)];
  return new Map(rows.map(([, room = '', known = '']) => [room, new Set(known.match(/[a-z]+/g))]));
}

function* forbiddenArrows(): Generator<string> {
  const allowed = allowedArrows();
  for (const { name, imports, lazyImports } of sources.values()) {
    const room = roomOf(name);
    if (!allowed.has(room)) yield `src/${name}: docs/architecture.md has no room ${room}`;
    for (const target of [...imports, ...lazyImports]) {
      const known = roomOf(target);
      const isAllowed =
        known === room || allowed.get(room)?.has(known) || (KNOWN_TO_ALL.has(known) && room !== 'errors');
      if (!isAllowed) yield `src/${name}: ${room} may not know ${known} (${target})`;
    }
  }
}

/** One fault for each group of files that all import each other, directly or through others of the group. */
function* circles(): Generator<string> {
  const reach = new Map([...sources.keys()].map((name) => [name, reachableFrom(name)]));
  const told = new Set<string>();
  for (const [name, reached] of reach) {
    if (!reached.has(name) || told.has(name)) continue;
    const group = [...reached].filter((other) => reach.get(other)?.has(name));
    for (const other of group) told.add(other);
    yield `a circle of imports: ${group.map((each) => `src/${each}`).join(', ')}`;
  }
}

function reachableFrom(start: string): Set<string> {
  const reached = new Set<string>();
  const open = [start];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    for (const next of sources.get(name)?.imports ?? []) {
      if (reached.has(next)) continue;
      reached.add(next);
      open.push(next);
    }
  }
  return reached;
}

function* typesNamedTwice(): Generator<string> {
  const places = new Map<string, string[]>();
  for (const { name, text } of sources.values()) {
    for (const [, type = ''] of text.matchAll(/^export (?:declare )?(?:abstract )?(?:interface|type|class) (\w+)/gm)) {
      places.set(type, [...(places.get(type) ?? []), `src/${name}`]);
    }
  }
  for (const [type, files] of places) {
    if (files.length > 1) yield `the type ${type} is exported by ${files.join(' and ')}: one name, one thing`;
  }
}

function* needlesslySmall(): Generator<string> {
  const importers = new Map<string, number>();
  for (const { imports, lazyImports } of sources.values()) {
    for (const target of new Set(imports)) importers.set(target, (importers.get(target) ?? 0) + 1);
    // A module that is loaded on first use has to be a file of its own.
    for (const target of new Set(lazyImports)) importers.set(target, Number.POSITIVE_INFINITY);
  }
  for (const { name, text } of sources.values()) {
    const isSmall = text.trimEnd().split('\n').length < SMALL_LINES && importers.get(name) === 1;
    const reason = SMALL_FOR_A_REASON[name];
    if (isSmall && reason === undefined)
      yield `src/${name}: under ${SMALL_LINES} lines and one importer: merge it, or give a reason`;
    if (!isSmall && reason !== undefined) yield `src/${name} needs no reason to be small any more`;
  }
}

function lines(): number {
  return [...sources.values()].reduce((sum, { text }) => sum + text.trimEnd().split('\n').length, 0);
}
