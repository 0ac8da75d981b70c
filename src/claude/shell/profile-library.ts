import path from 'node:path';
import { namesQuietly, readRegularFile } from '../../platform/files.ts';
import type { ShellSurroundings } from './expand.ts';
import { fishPlacesIn } from './fish-places.ts';
import { type FishCommand, type FishScript, parseFish } from './fish-script.ts';
import { type AssigningNode, type Assignment, placesIn, type Removal, type TrackedAssignment } from './places.ts';
import { parseScript, type Script } from './script.ts';

/** Profiles are a few kilobytes; generated ones seldom more than some hundred. */
const MAX_PROFILE_BYTES = 1024 * 1024;
/** Of one machine. Frameworks source dozens of files; a folder of thousands is something else. */
const MOST_FILES = 500;

export type ProfileSyntax = 'sh' | 'fish' | 'environment' | 'fish-universal';

/** A file that shells or sessions read at their start, or that such a file reads, and the variables that it sets. */
export interface Profile {
  readonly file: string;
  readonly syntax: ProfileSyntax;
  /** Why it could not be read, in words that follow its name. */
  readonly fault: string | undefined;
  /** A shell reads it without being told to by another file. */
  readonly isStartup: boolean;
  readonly text: string;
  readonly assignments: readonly Assignment[];
}

interface ReadScript {
  readonly script: Script;
  readonly places: ReadonlyMap<AssigningNode, TrackedAssignment>;
}

interface Book {
  readonly syntax: ProfileSyntax;
  readonly fault: string | undefined;
  readonly text: string;
}

/** Reads each file once, whichever shells ask for it, and knows every place in them that sets a variable. */
export class ProfileLibrary {
  readonly #around: ShellSurroundings;
  readonly #books = new Map<string, Book>();
  readonly #startup = new Set<string>();
  readonly #scripts = new Map<string, ReadScript>();
  readonly #fish = new Map<
    string,
    { readonly script: FishScript; readonly places: ReadonlyMap<FishCommand, TrackedAssignment> }
  >();
  readonly #environments = new Map<string, readonly TrackedAssignment[]>();
  readonly #places = new Map<string, TrackedAssignment>();

  constructor(around: ShellSurroundings) {
    this.#around = around;
  }

  /** It is read at the start of a shell or session. */
  startup(files: readonly string[], syntax: ProfileSyntax): readonly string[] {
    return files.filter((file) => {
      const isThere = this.#read(file, syntax) !== undefined;
      if (isThere) this.#startup.add(file);
      return isThere;
    });
  }

  script(file: string, dialect: 'bash' | 'zsh'): ReadScript | undefined {
    const key = `${dialect}:${file}`;
    const known = this.#scripts.get(key);
    if (known !== undefined) return known;
    const book = this.#read(file, 'sh');
    if (book === undefined || book.fault !== undefined) return undefined;
    const script = parseScript(book.text, dialect);
    // The same place read by bash and by zsh is one place.
    const places = new Map(
      [...placesIn(file, script)].map(([node, place]) => [node, this.#known(place, script.spanOf(node).start)]),
    );
    const read = { script, places };
    this.#scripts.set(key, read);
    return read;
  }

  fish(file: string): FishScript | undefined {
    const known = this.#fish.get(file);
    if (known !== undefined) return known.script;
    const book = this.#read(file, 'fish');
    if (book === undefined || book.fault !== undefined) return undefined;
    const script = parseFish(book.text);
    const places = new Map(
      [...fishPlacesIn(file, script)].map(([node, place]) => [node, this.#known(place, node.start)]),
    );
    this.#fish.set(file, { script, places });
    return script;
  }

  fishPlace(file: string, command: FishCommand): TrackedAssignment | undefined {
    return this.#fish.get(file)?.places.get(command);
  }

  /** The lines of `/etc/environment`, of environment.d, of a `.env`. */
  environment(file: string, syntax: 'environment' | 'fish-universal' = 'environment'): readonly TrackedAssignment[] {
    const known = this.#environments.get(file);
    if (known !== undefined) return known;
    const book = this.#read(file, syntax);
    const places =
      book === undefined || book.fault !== undefined
        ? []
        : linesOf(file, book.text, syntax).map((place) => this.#known(place, place.line));
    this.#environments.set(file, places);
    return places;
  }

  /** A place that only following the shell has shown: it is known, and the text there is not what is to be taken out. */
  placeAt(where: Pick<TrackedAssignment, 'file' | 'name' | 'value' | 'line'>): TrackedAssignment {
    const { line, name } = where;
    const place: TrackedAssignment = {
      ...where,
      lastLine: line,
      scope: 'function',
      exported: 'no',
      removal: undefined,
    };
    return this.#known(place, `${line} ${name}`);
  }

  #known(place: TrackedAssignment, where: number | string): TrackedAssignment {
    const key = `${place.file}:${where}`;
    const known = this.#places.get(key) ?? place;
    this.#places.set(key, known);
    return known;
  }

  #read(file: string, syntax: ProfileSyntax): Book | undefined {
    const known = this.#books.get(file);
    if (known !== undefined) return known;
    if (this.#books.size >= MOST_FILES) return undefined;
    const found = readRegularFile(this.#around.onDisk(file), { maxBytes: MAX_PROFILE_BYTES });
    if (found.state === 'absent' || (found.state === 'refused' && found.code === 'ENOTDIR')) return undefined;
    const book =
      found.state === 'refused'
        ? { syntax, fault: found.fault, text: '' }
        : { syntax, fault: undefined, text: found.bytes.toString('utf8') };
    this.#books.set(file, book);
    return book;
  }

  get texts(): string[] {
    return [...this.#books.values()].map(({ text }) => text);
  }

  /** Everything that was read, in the order in which it was. */
  profiles(isRelevant: (name: string) => boolean): Profile[] {
    const places = [...this.#places.values()].filter(({ name }) => isRelevant(name));
    return [...this.#books].map(([file, { syntax, fault, text }]) => ({
      file: this.#around.onDisk(file),
      syntax,
      fault,
      isStartup: this.#startup.has(file),
      text,
      assignments: places
        .filter((place) => place.file === file)
        .map((place) => ({ ...place, file: this.#around.onDisk(file) }))
        .sort((a, b) => a.line - b.line),
    }));
  }
}

/** How one assignment is taken out of a text as it is now; undefined if it is not there any more. */
export function removalIn(
  text: string,
  { name, line, syntax }: { readonly name: string; readonly line: number; readonly syntax: ProfileSyntax },
): Removal | undefined {
  const of = (places: Iterable<TrackedAssignment>) =>
    [...places].find((each) => each.name === name && each.line === line)?.removal;
  if (syntax === 'fish') return of(fishPlacesIn('', parseFish(text)).values());
  if (syntax !== 'sh') return of(linesOf('', text, syntax));
  // A text says not whose it is: whoever understands it.
  const [asBash, asZsh] = [parseScript(text, 'bash'), parseScript(text, 'zsh')];
  const faults = ({ unread, root }: Script) => unread.length + (root.errors?.length ?? 0);
  return of(placesIn('', faults(asBash) <= faults(asZsh) ? asBash : asZsh).values());
}

function linesOf(file: string, text: string, syntax: 'environment' | 'fish-universal'): TrackedAssignment[] {
  const pattern =
    syntax === 'environment' ? /^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)$/ : /^SETUVAR (?:--export )([A-Za-z_]\w*):(.*)$/;
  const found: TrackedAssignment[] = [];
  let start = 0;
  for (const [index, content] of text.split('\n').entries()) {
    const end = start + content.length;
    const [, name, value] = pattern.exec(content.trimEnd()) ?? [];
    if (name !== undefined && value !== undefined) {
      const line = index + 1;
      const isEnvironment = syntax === 'environment';
      // The shell writes the file of universal variables itself, and would overwrite a change.
      const removal = isEnvironment ? { start, end, removed: content, replacement: '#', isSafe: true } : undefined;
      found.push({
        file,
        name,
        value: isEnvironment ? unquote(value) : universal(value),
        line,
        lastLine: line,
        scope: 'top',
        exported: 'no',
        removal,
      });
    }
    start = end + 1;
  }
  return found;
}

function unquote(value: string): string {
  const bare = value.trim();
  return /^(["']).*\1$/.test(bare) && bare.length > 1 ? bare.slice(1, -1) : bare;
}

/** fish writes everything but letters and digits as `\x2d` or `\u2026`, and \x1e between the items of a list. */
function universal(value: string): string {
  return value
    .replaceAll(/\\x([0-9a-f]{2})|\\u([0-9a-f]{4})|\\(.)/gi, (_, byte?: string, unit?: string, other?: string) =>
      other === undefined ? String.fromCharCode(Number.parseInt(byte ?? unit ?? '', 16)) : other,
    )
    .replaceAll('\u001e', ' ');
}

/** Names in a folder, sorted; none where there is no folder. */
export function filesIn(folder: string, extension: string): string[] {
  const names = namesQuietly(folder).filter((name) => name.endsWith(extension));
  return names.slice(0, 200).map((name) => path.join(folder, name));
}
