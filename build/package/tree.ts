import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { type Machine, must, NODE_VERSION, nodeFor, ROOT } from './machine.ts';
import { billOfMaterials } from './sbom.ts';

/** Where `install.sh` and the .deb find what belongs into folders of the system. */
export const SHARED = 'share';

/**
 * What runs on a machine without anything else: the package as npm would install it there, less what nothing runs, and a Node.
 *
 * @param tree a folder that is not there yet.
 * @param sbom the file to write the bill of materials to.
 */
export function makeTree(machine: Machine, tree: string, sbom: string, epoch: number): void {
  mkdirSync(tree, { recursive: true });
  unpackOwn(tree);
  installDependencies(machine, tree);
  writeFileSync(sbom, billOfMaterials(tree, machine, epoch));
  copyFileSync(sbom, path.join(tree, 'sbom.cdx.json'));
  pruneModules(machine, tree);
  for (const other of readdirSync(path.join(tree, 'prebuilds'))) {
    if (other !== machine.name) rmSync(path.join(tree, 'prebuilds', other), { recursive: true });
  }
  for (const file of ['broker-key', 'broker-run', 'broker.node']) {
    if (!existsSync(path.join(tree, 'prebuilds', machine.name, file)))
      throw new Error(`prebuilds/${machine.name}/${file} is missing\nhint: npm run build:cross`);
  }
  rmSync(path.join(tree, 'launchd'), { recursive: true, force: true });
  addNode(machine, tree);
  copyFileSync(path.join(import.meta.dirname, 'install.sh'), path.join(tree, 'install.sh'));
  writeFileSync(path.join(tree, 'platform'), `${machine.name} ${machine.uname}\n`);
  addCompletion(tree);
  seal(tree);
  if (machine.cpu === process.arch) requireLoadable(tree);
}

/** Modes are those of this list, not of whoever builds; then a sum of every file, which also names the build. */
export function seal(tree: string): void {
  for (const name of ['build', 'files.sha256']) rmSync(path.join(tree, name), { force: true });
  const programs = /^(?:install\.sh|bin\/(?:[^.]+|broker\.mjs)|prebuilds\/.*\/broker-(?:key|run))$/;
  const files = filesIn(tree);
  for (const file of files) chmodSync(path.join(tree, file), programs.test(file) ? 0o755 : 0o644);
  for (const folder of readdirSync(tree, { recursive: true, encoding: 'utf8' })) {
    if (lstatSync(path.join(tree, folder)).isDirectory()) chmodSync(path.join(tree, folder), 0o755);
  }
  chmodSync(tree, 0o755);
  const sums = files.map((file) => `${sha256(readFileSync(path.join(tree, file)))}  ${file}\n`).join('');
  const { version } = JSON.parse(readFileSync(path.join(tree, 'package.json'), 'utf8')) as { version: string };
  const build = `${version}-${sha256(sums).slice(0, 8)}`;
  for (const [name, text] of [
    ['build', `${build}\n`],
    ['files.sha256', sums],
  ] as const) {
    writeFileSync(path.join(tree, name), text);
    chmodSync(path.join(tree, name), 0o644);
  }
}

export function sha256(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Every file below, sorted by its bytes. */
export function filesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => !lstatSync(path.join(folder, file)).isDirectory())
    .toSorted((one, other) => (one < other ? -1 : 1));
}

/** As `files` in package.json has it: what the package on npm holds, this one holds. */
function unpackOwn(tree: string): void {
  const packed = must('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', path.dirname(tree)]);
  const tarball = path.join(path.dirname(tree), packed.trim().split('\n').at(-1) ?? '');
  must('tar', ['-xzf', tarball, '-C', tree, '--strip-components=1']);
  rmSync(tarball);
}

/** Those of the lock file, for that machine; no script of theirs is run. */
function installDependencies({ cpu }: Machine, tree: string): void {
  const manifest = path.join(tree, 'package.json');
  const { devDependencies, scripts, allowScripts, ...kept }: Readonly<Record<string, unknown>> = JSON.parse(
    readFileSync(manifest, 'utf8'),
  );
  copyFileSync(path.join(ROOT, 'package-lock.json'), path.join(tree, 'package-lock.json'));
  const target = ['--os=linux', `--cpu=${cpu}`, '--libc=glibc'];
  must('npm', ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', ...target], { cwd: tree });
  rmSync(path.join(tree, 'package-lock.json'));
  writeFileSync(manifest, `${JSON.stringify(kept, null, 2)}\n`);
}

interface Manifest {
  readonly name: string;
  readonly main?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Packages that the bundle contains already, and of the others what Node does not load. */
function pruneModules(machine: Machine, tree: string): void {
  const modules = path.join(tree, 'node_modules');
  const needed = new Set<string>();
  const own = readManifest(tree);
  const code = codeOf(tree);
  for (const name of Object.keys(own.dependencies ?? {})) {
    if (namesIn(code, name).length > 0) collect(modules, name, modules, needed);
  }
  for (const folder of packageFolders(modules)) {
    if (!needed.has(folder)) rmSync(folder, { recursive: true, force: true });
  }
  for (const folder of needed) prunePackage(folder);
  rmSync(path.join(modules, '.package-lock.json'), { force: true });
  rmSync(path.join(modules, '.bin'), { recursive: true, force: true });
  const sqlite = path.join(modules, 'better-sqlite3', 'prebuilds');
  for (const file of readdirSync(sqlite)) if (file !== `${machine.name}.node`) rmSync(path.join(sqlite, file));
  for (const file of filesIn(modules)) if (file.endsWith('.node')) strip(path.join(modules, file));
  removeEmpty(modules);
}

function codeOf(tree: string): string {
  const files = filesIn(path.join(tree, 'dist')).filter((file) => file.endsWith('.js'));
  return files.map((file) => readFileSync(path.join(tree, 'dist', file), 'utf8')).join('\n');
}

/** What code imports of a package, as it is spelt there. */
function namesIn(code: string, name: string): readonly string[] {
  const imports = new RegExp(`(?:from|import|require\\w*)\\s*\\(?\\s*["'\`](${name}(?:/[^"'\`]*)?)["'\`]`, 'g');
  return [...code.matchAll(imports)].map(([, found = '']) => found);
}

/** With its own Node: everything that the bundle imports is there, with all that that imports. @throws Error */
function requireLoadable(tree: string): void {
  const code = codeOf(tree);
  const names = Object.keys(readManifest(tree).dependencies ?? {}).flatMap((name) => namesIn(code, name));
  const program = [...new Set(names)].map((name) => `await import(${JSON.stringify(name)});`).join('\n');
  must(path.join(tree, 'bin', 'node'), ['--input-type=module', '--eval', program], { cwd: tree });
}

/** Headers that better-sqlite3 would be compiled with. */
const NEVER_RUN = 'node-addon-api';

/** As Node looks for it: beside the package that asks, then further up. */
function collect(from: string, name: string, top: string, needed: Set<string>): void {
  if (name === NEVER_RUN) return;
  let folder = from;
  while (!existsSync(path.join(folder, name, 'package.json'))) {
    if (folder === top) return;
    folder = folder.slice(0, folder.lastIndexOf(`${path.sep}node_modules${path.sep}`) + '/node_modules'.length);
  }
  const found = path.join(folder, name);
  if (needed.has(found)) return;
  needed.add(found);
  const { dependencies, optionalDependencies } = readManifest(found);
  for (const each of Object.keys({ ...dependencies, ...optionalDependencies })) {
    collect(path.join(found, 'node_modules'), each, top, needed);
  }
}

function packageFolders(modules: string): readonly string[] {
  return readdirSync(modules, { recursive: true, encoding: 'utf8' })
    .filter((file) => /(?:^|node_modules\/)(?:@[^/]+\/)?[^/@][^/]*$/.test(file))
    .map((file) => path.join(modules, file))
    .filter((folder) => existsSync(path.join(folder, 'package.json')));
}

const LICENCE = /^(?:licen[cs]e|notice|copying|authors)/i;
/** Folders of a package that no `main` and no condition of Node leads into. */
const NEVER_LOADED =
  /(?:^|\/)(?:tests?|__tests__|examples?|docs?|bench(?:mark)?s?|dist-types|types|\.github|deps|browser)\//;

function prunePackage(folder: string): void {
  const { main = '' } = readManifest(folder);
  for (const file of filesIn(folder)) {
    if (file.startsWith('node_modules/')) continue;
    const isCode = /\.(?:c?js|mjs|json|node)$/.test(file) && !/\.min\.js$|(?:^|\/)tsconfig/.test(file);
    // Where both forms are there, Node's condition leads to CommonJS.
    const isDouble = /^(?:\.\/)?dist-cjs\//.test(main) && file.startsWith('dist-es/');
    const isKept = LICENCE.test(path.basename(file)) || (isCode && !isDouble && !NEVER_LOADED.test(file));
    if (!isKept) rmSync(path.join(folder, file));
  }
}

function removeEmpty(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeEmpty(path.join(folder, entry.name));
  }
  if (readdirSync(folder).length === 0) rmSync(folder, { recursive: true });
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** Without the names of its functions: 18 MB less. */
function addNode(machine: Machine, tree: string): void {
  const source = nodeFor(machine);
  const target = path.join(tree, 'bin', 'node');
  copyFileSync(path.join(source, 'bin', 'node'), target);
  strip(target);
  copyFileSync(path.join(source, 'LICENSE'), path.join(tree, `LICENCE-node-${NODE_VERSION}.txt`));
}

/** Of any machine, which binutils' own is not. */
function strip(file: string): void {
  must('llvm-strip', [file], { hint: 'apt install llvm' });
}

function addCompletion(tree: string): void {
  const folder = path.join(tree, SHARED, 'completion');
  mkdirSync(folder, { recursive: true });
  for (const shell of ['bash', 'zsh', 'fish']) {
    const script = must(process.execPath, [path.join(ROOT, 'bin', 'broker.mjs'), 'completion', shell]);
    writeFileSync(path.join(folder, shell), script);
  }
  const man = path.join(tree, 'dist', 'man');
  for (const page of readdirSync(man)) {
    const section = path.join(tree, SHARED, 'man', `man${page.at(-1)}`);
    mkdirSync(section, { recursive: true });
    copyFileSync(path.join(man, page), path.join(section, page));
  }
}
