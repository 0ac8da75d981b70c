/**
 * Asks the client which settings it takes, and writes src/claude/settings/types-taken.json: `npm run doctor:types`. Names come
 * from the program's own text; each is given values of every type, and `claude doctor` says which of them make it refuse the
 * file. Nothing in the table is known by heart.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const OUT = join(import.meta.dirname, '..', '..', 'src', 'claude', 'settings', 'types-taken.json');
const PROGRAM = process.env['BROKER_TEST_CLAUDE'] ?? '';
/** A description in the program's schema of settings: names around it are names of settings, of whichever depth. */
const ANCHOR = 'Path to a script that outputs authentication values';
const AROUND = 150_000;
/** hooks.EVENT[].hooks[] is the deepest that was seen to matter. */
const DEEPEST = 5;
/** A name that no setting has: what is refused under it is refused under any. */
const ANY = 'zzNosuch';

/** One value of each kind; `kindOf` in types-taken.ts tells them apart again. */
const VALUES: Readonly<Record<string, unknown>> = {
  text: 'zz',
  'a number below 0': -1,
  'a fraction': 0.5,
  'a number': 7,
  'true or false': true,
  null: null,
  'a list': [],
  'an object': {},
};

/** Messages about a value that makes the client refuse the file; others say that the entry alone is left out. */
const REFUSES =
  /^(Expected .*, but received \w+|Invalid value\. Expected one of: .*|Invalid input|Number must be .*|Too (big|small): .*)$/;

interface Entry {
  /** Kinds of value that are refused. */
  readonly refuses: readonly string[];
  /** The only words that are taken, where not any text is. */
  readonly words?: readonly string[];
  /** What an object must have. */
  readonly needs?: readonly Need[];
}

interface Found {
  readonly refuses: Set<string>;
  readonly needs: Map<string, Need>;
  words?: readonly string[];
}

interface Need {
  readonly name: string;
  /** Something that is taken there. */
  readonly example: unknown;
}

const home = mkdtempSync(join(tmpdir(), 'broker-types-'));
mkdirSync(join(home, '.claude'));
mkdirSync(join(home, 'project'));
writeFileSync(join(home, '.claude.json'), '{}');
const entries: Record<string, Entry> = {};
try {
  const names = [...namesInProgram(), ANY];
  const events = hookEvents();
  let places: Place[] = [{ path: [], fixed: {} }];
  for (let depth = 0; depth < DEEPEST && places.length > 0; depth += 1) {
    console.log(`depth ${depth}: ${places.length} objects`);
    places = probe(places, names, events);
  }
  const sorted = Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = sorted.map(([path, { refuses, words, needs }]) => {
    const takes = Object.keys(VALUES).filter((kind) => !refuses.includes(kind));
    const row = [takes, ...(words || needs ? [words ?? []] : []), ...(needs ? [needs.map(({ name }) => name)] : [])];
    return `    ${JSON.stringify(path)}: ${JSON.stringify(row)}`;
  });
  const client = process.env['BROKER_TEST_CLAUDE_VERSION'] ?? 'unknown';
  writeFileSync(OUT, `{\n  "client": "${client}",\n  "entries": {\n${lines.join(',\n')}\n  }\n}\n`);
  console.log(`${lines.length} settings that Claude Code ${client} is particular about: ${OUT}`);
} finally {
  rmSync(home, { recursive: true, force: true });
}

/** Somewhere in the settings that takes an object; `[]` in its path is the one element of a list. */
interface Place {
  readonly path: readonly string[];
  /** What this object needs to be taken at all. */
  readonly fixed: Readonly<Record<string, unknown>>;
}

/** Gives every name in all these places every kind of value, and so the elements of lists; returns the places found to take objects. */
function probe(places: readonly Place[], names: readonly string[], events: readonly string[]): Place[] {
  const namesIn = ({ path }: Place) =>
    (path.join('.') === 'hooks' ? events : names).filter((name) => path.length === 0 || name !== '');
  const slots = places.flatMap((place) => namesIn(place).map((name) => ({ place, path: [...place.path, name] })));
  const found = judge(
    places,
    slots.map(({ path }) => path),
  );
  // Where any name is refused, the other names are only more of the same.
  const records = new Set(
    places
      .map(({ path }) => [...path, ANY])
      .filter((path) => found.has(key(path)))
      .map((path) => key(path.slice(0, -1))),
  );
  const kept = slots.filter(({ path }) => path.at(-1) === ANY || !records.has(key(path.slice(0, -1))));
  const lists = kept.filter(({ path }) => takes(found, path, 'a list')).map(({ path }) => [...path, '[]']);
  const elements = judge(places, lists);
  for (const path of [...kept.map(({ path }) => path), ...lists]) {
    const entry = found.get(key(path)) ?? elements.get(key(path));
    if (entry !== undefined) entries[key(path)] = entry;
  }
  const all = new Map([...found, ...elements]);
  return [...kept.map(({ path }) => path), ...lists]
    .filter((path) => takes(all, path, 'an object'))
    .map((path) => ({ path, fixed: fixedOf(all.get(key(path))) }));
}

/** Whether something else is refused there, so that the name means something, and this is not. */
function takes(found: ReadonlyMap<string, Entry>, path: readonly string[], kind: string): boolean {
  const entry = found.get(key(path));
  return entry?.refuses.includes('text') === true && !entry.refuses.includes(kind);
}

function fixedOf(entry: Entry | undefined): Record<string, unknown> {
  return Object.fromEntries((entry?.needs ?? []).map(({ name, example }) => [name, example]));
}

/** What is refused at these paths, with what else each of these places needs. */
function judge(places: readonly Place[], paths: readonly (readonly string[])[]): Map<string, Entry> {
  const found = new Map<string, Found>();
  const wanted = new Set(paths.map(key));
  for (const [kind, value] of Object.entries(VALUES)) {
    const settings: Record<string, unknown> = {};
    for (const path of paths) put(settings, path, structuredClone(value));
    for (const { path, fixed } of places)
      for (const [name, example] of Object.entries(fixed)) put(settings, [...path, name], example);
    for (const { path, message } of complaints(settings)) {
      const at = wanted.has(path) ? path : path.replace(/\.[^.]*$/, '');
      if (!wanted.has(at)) continue;
      const entry: Found = found.get(at) ?? { refuses: new Set(), needs: new Map() };
      found.set(at, entry);
      const words = wordsIn(message);
      if (at === path) {
        entry.refuses.add(kind);
        if (words !== undefined) entry.words = words;
      } else if (kind === 'an object') {
        const name = path.slice(at.length + 1);
        entry.needs.set(name, { name, example: words?.[0] ?? (/^Expected array/.test(message) ? [] : 'zz') });
      }
    }
  }
  return new Map(
    [...found].map(([path, { refuses, words, needs }]) => [
      path,
      { refuses: [...refuses], ...(words && { words }), ...(needs.size > 0 && { needs: [...needs.values()] }) },
    ]),
  );
}

function put(settings: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at: Record<string, unknown> = settings;
  for (const [index, name] of path.entries()) {
    const slot = name === '[]' ? '0' : name;
    const isLast = index === path.length - 1;
    const isObject = typeof at[slot] === 'object' && at[slot] !== null;
    if (isLast && !(isObject && typeof value === 'object')) at[slot] = value;
    else if (!isObject) at[slot] = path[index + 1] === '[]' ? [] : {};
    at = at[slot] as Record<string, unknown>;
  }
}

/** As the table has it. */
function key(path: readonly string[]): string {
  return path
    .map((name) => (name === ANY ? '*' : name))
    .join('.')
    .replaceAll('.[]', '[]');
}

function wordsIn(message: string): string[] | undefined {
  if (!message.startsWith('Invalid value. Expected one of: ')) return undefined;
  return [...message.matchAll(/"([^"]*)"/g)].map(([, word = '']) => word);
}

/** What `claude doctor` says about these settings of the user, as far as it makes it refuse them. */
function complaints(settings: object): { readonly path: string; readonly message: string }[] {
  return said(settings).filter(({ message }) => REFUSES.test(message));
}

function said(settings: object): { path: string; message: string }[] {
  const file = join(home, '.claude', 'settings.json');
  writeFileSync(file, JSON.stringify(settings));
  const { stdout } = spawnSync(PROGRAM, ['doctor'], {
    cwd: join(home, 'project'),
    env: { HOME: home, PATH: '/usr/bin:/bin', TMPDIR: home, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1' },
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    timeout: 120_000,
  });
  return stdout.split('\n').flatMap((line) => {
    const found = /settings\.json › (.+?): (.*)$/.exec(line);
    if (found === null) return [];
    const path = (found[1] ?? '').replace(/\.\d+(?=\.|$)/g, '[]').replaceAll(ANY, '*');
    return [{ path, message: found[2] ?? '' }];
  });
}

function namesInProgram(): string[] {
  const text = readFileSync(PROGRAM, 'latin1');
  const found: string[][] = [];
  // The text is there twice: once as bytecode, in which no names are found.
  for (let at = text.indexOf(ANCHOR); at !== -1; at = text.indexOf(ANCHOR, at + 1)) {
    const around = text.slice(Math.max(0, at - AROUND), at + AROUND);
    const names = [...around.matchAll(/[,{(]([a-zA-Z]\w{2,45}):(?:\(\)=>|[\w$]{1,4}\()/g)].map(([, name = '']) => name);
    found.push([...new Set(names)].sort());
  }
  const [most = []] = found.sort((a, b) => b.length - a.length);
  if (!most.includes('apiKeyHelper')) throw new Error('the schema of settings was not found in the program');
  return most;
}

function hookEvents(): string[] {
  const [{ message } = { message: '' }] = said({ hooks: { [ANY]: [] } });
  return /Valid events: (.*)/.exec(message)?.[1]?.split(', ') ?? [];
}
