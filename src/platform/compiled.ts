import { hash } from 'node:crypto';
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Script } from 'node:vm';

/**
 * The daemon's program as V8 has compiled it, in `STATE/compiled`: to parse and compile a megabyte of JavaScript again takes a third
 * of a start. Node's own compile cache leaves out what is compiled when it is first called, which is most of it.
 *
 * V8 runs what is in the file as it lies there. So it is read only if it and its folder are the user's own and closed to others (whoever
 * can write there can have any program started in the daemon's place: `STATE/launch`), only as a whole (its digest is right),
 * and only for the very sources that it was made of; V8 itself refuses what another version of it has made. Nothing else of ours is
 * imported here (`platform/place-rules.ts` knows private files, too): it would be loaded before this, and so compiled at every start.
 */
export class CompiledProgram {
  readonly file: string;
  readonly #root: string;
  readonly #scripts = new Map<string, { readonly script: Script; readonly digest: string }>();
  #known: ReadonlyMap<string, Uint8Array>;
  #isComplete = true;
  #isStarting = true;

  /** @param root the folder of the modules that this is about. */
  constructor(file: string, root: string, uid: number) {
    this.file = file;
    this.#root = path.join(root, path.sep);
    this.#known = readPrivately(file, uid);
  }

  /** Modules are loaded through it from now on. */
  serve(require: NodeJS.Require): void {
    const { extensions } = require;
    const plain = extensions['.js'];
    extensions['.js'] = (module, file) => {
      if (file.startsWith(this.#root)) this.#run(module, file);
      else plain(module, file);
    };
  }

  /**
   * The start is over, and what was called by now belongs to one. Nothing is kept of what is loaded later.
   * @returns what is to be written into the file; undefined: it has it all.
   */
  settle(): Uint8Array | undefined {
    if (!this.#isStarting) return undefined;
    this.#isStarting = false;
    const parts = [...this.#scripts.values()];
    this.#known = new Map();
    this.#scripts.clear();
    if (this.#isComplete) return undefined;
    const code = parts.map(({ script }) => script.createCachedData());
    const index = parts.map(({ digest }, at) => [digest, code[at]?.length]);
    const body = Buffer.concat([Buffer.from(`${JSON.stringify(index)}\n`), ...code]);
    return Buffer.concat([hash('sha256', body, 'buffer'), body]);
  }

  #run(module: NodeJS.Module, file: string): void {
    const source = readFileSync(file);
    const digest = digestOf(file, source);
    const cachedData = this.#known.get(digest);
    const code = `(function (exports, require, module, __filename, __dirname) { ${source}\n})`;
    const script = new Script(code, { filename: file, ...(cachedData && { cachedData }) });
    if (this.#isStarting) this.#scripts.set(file, { script, digest });
    if (script.cachedDataRejected !== false) this.#isComplete = false;
    const require = (name: string): unknown => module.require(name);
    script.runInThisContext().call(module.exports, module.exports, require, module, file, path.dirname(file));
  }
}

const DIGEST_BYTES = 32;
const LARGEST_BYTES = 32 * 1024 * 1024;

/** What V8 keeps knows the file's name. */
function digestOf(file: string, source: Uint8Array): string {
  return `${file} ${hash('sha256', source)}`;
}

/** By `digestOf` its source. Empty: there is nothing that can be relied upon. */
function readPrivately(file: string, uid: number): ReadonlyMap<string, Uint8Array> {
  const known = new Map<string, Uint8Array>();
  try {
    const isOwn = ({ uid: owner, mode }: { uid: number; mode: number }) => owner === uid && (mode & 0o077) === 0;
    const folder = lstatSync(path.dirname(file));
    if (!folder.isDirectory() || !isOwn(folder)) return known;
    const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stats = fstatSync(fd);
      if (!stats.isFile() || !isOwn(stats) || stats.size > LARGEST_BYTES) return known;
      const bytes = readFileSync(fd);
      const body = bytes.subarray(DIGEST_BYTES);
      if (!hash('sha256', body, 'buffer').equals(bytes.subarray(0, DIGEST_BYTES))) return known;
      let at = body.indexOf('\n') + 1;
      for (const [digest, length] of JSON.parse(body.toString('utf8', 0, at)) as [string, number][]) {
        known.set(digest, body.subarray(at, at + length));
        at += length;
      }
    } finally {
      closeSync(fd);
    }
  } catch {
    // There is none yet, or it cannot be read: the program is compiled as everywhere.
  }
  return known;
}

let served: CompiledProgram | undefined;

/** Before the modules of the daemon are loaded. @param root `dist/`. */
export function serveCompiled(require: NodeJS.Require, root: string): void {
  const folder = stateFolder(process.env);
  const uid = process.getuid?.();
  if (folder === undefined || uid === undefined) return;
  served = new CompiledProgram(path.join(folder, 'compiled'), root, uid);
  served.serve(require);
}

/** Undefined where nothing is served, as from the source. */
export function compiledProgram(): CompiledProgram | undefined {
  return served;
}

/** As `stateDir` of config/paths.ts, which is part of what is to be compiled; undefined: that has something to say. */
export function stateFolder({ BROKER_STATE_DIR, XDG_STATE_HOME, HOME }: NodeJS.ProcessEnv): string | undefined {
  const isAbsolute = (folder: string | undefined) => folder !== undefined && path.posix.isAbsolute(folder);
  if (BROKER_STATE_DIR) return isAbsolute(BROKER_STATE_DIR) ? BROKER_STATE_DIR : undefined;
  if (isAbsolute(XDG_STATE_HOME)) return path.posix.join(XDG_STATE_HOME ?? '', 'broker');
  return isAbsolute(HOME) ? path.posix.join(HOME ?? '', '.local/state/broker') : undefined;
}
