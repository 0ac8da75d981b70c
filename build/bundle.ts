/**
 * `node build/bundle.ts`: the program as it is installed, into `dist/`. Some 210 modules become a few dozen files, and of
 * libraries only what is used: that halves the time to the daemon's first answer and saves a sixth of its memory
 * (bench/report.md). What is loaded lazily in the source stays in files of its own. CommonJS, because V8 can keep that compiled
 * (src/platform/compiled.ts).
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import path from 'node:path';
import { type OutputChunk, rolldown } from 'rolldown';
import { parseSync, Visitor } from 'rolldown/utils';
import { licenceTexts } from './licences.ts';
import { writeManPages } from './man.ts';

const ROOT = path.dirname(import.meta.dirname);
const DIST = path.join(ROOT, 'dist');

/** The lowest of `engines` in package.json: newer syntax is lowered to what it can parse. */
const LOWEST_NODE = 'node22.14';

/** What bin/broker.mjs imports, the process that asks the keyring, that which carries a refresh token, and the client that the demo runs. */
const ENTRIES = {
  'cli/main': 'src/cli/main.ts',
  'platform/guard': 'src/platform/guard.ts',
  'platform/compiled': 'src/platform/compiled.ts',
  'platform/process-io': 'src/platform/process-io.ts',
  'platform/keyring-main': 'src/platform/keyring-main.ts',
  'oauth2/courier-main': 'src/providers/oauth2/courier-main.ts',
  'demo/client-double': 'src/demo/client-double.ts',
};

/** Native, or large and needed only by some users: they are not bundled. */
const PACKAGES = [/^@aws-sdk\//, /^@napi-rs\//, /^@smithy\//, /^axios$/, /^better-sqlite3$/, /^node-vault$/];

/**
 * What several commands and the daemon share, in two files instead of some forty small ones: to find and open each of those
 * takes Node most of a millisecond. The guard is to run before anything else is read, so it stays alone.
 */
const GROUPS = [
  { name: 'guard', test: /\/src\/platform\/guard\./, priority: 1 },
  { name: 'compiled', test: /\/src\/platform\/compiled\./, priority: 1 },
  {
    name: 'common',
    priority: 1,
    test: /\/src\/(?:credential|crypto|errors|platform|protocol|config\/paths\.)/,
    minShareCount: 2,
  },
  {
    name: 'config',
    test: /\/src\/config\/(?!toml-)|\/src\/providers\/(?:[^/]*\/)?(?:registry|options|proxies)\.|\/node_modules\/(?:smol-toml|zod)\//,
    minShareCount: 2,
  },
];

async function main(): Promise<void> {
  const bundle = await rolldown({
    cwd: ROOT,
    platform: 'node',
    input: ENTRIES,
    external: PACKAGES,
    transform: { target: LOWEST_NODE },
    // Where a package has both forms, its CommonJS may load its parts in ways that a bundler cannot follow (jsonc-parser).
    resolve: { mainFields: ['module', 'main'] },
  });
  rmSync(DIST, { recursive: true, force: true });
  // Every file is one folder deep, like its source: `../..` is the package from both.
  const { output } = await bundle.write({
    dir: DIST,
    format: 'cjs',
    comments: { legal: true, annotation: false, jsdoc: false },
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: false, asciiOnly: true } },
    entryFileNames: '[name].js',
    codeSplitting: { groups: GROUPS },
    // With the folder in the name: several folders have a provider.ts.
    chunkFileNames: ({ name, facadeModuleId }) =>
      `chunks/${facadeModuleId ? `${path.basename(path.dirname(facadeModuleId))}-${name}` : name}-[hash].js`,
  });
  await bundle.close();
  const chunks = output.filter((file): file is OutputChunk => file.type === 'chunk');
  mkdirSync(DIST, { recursive: true });
  writeFileSync(path.join(DIST, 'package.json'), `${JSON.stringify({ type: 'commonjs' })}\n`);
  writeFileSync(path.join(DIST, 'LICENCES.txt'), licenceTexts(chunks.flatMap(({ moduleIds }) => moduleIds)));
  await writeManPages(path.join(DIST, 'man'));
  requireComplete(chunks);
  chunks.forEach(requireLowered);
  const bytes = chunks.reduce((sum, { code }) => sum + Buffer.byteLength(code), 0);
  console.log(`dist: ${chunks.length} files, ${Math.round(bytes / 1024)} KiB`);
}

/** @throws Error if one of these files would load a module that is not in the package. */
function requireComplete(chunks: readonly OutputChunk[]): void {
  const files = new Set(chunks.map(({ fileName }) => fileName));
  const isKnown = (name: string, from: string) =>
    name.startsWith('node:') ||
    builtinModules.includes(name) ||
    PACKAGES.some((each) => each.test(name)) ||
    files.has(path.posix.join(path.posix.dirname(from), name));
  for (const { code, fileName } of chunks) {
    for (const [, name = ''] of code.matchAll(/\brequire\d*\(\s*['"`]([^'"`]*)/g)) {
      if (!isKnown(name, fileName)) throw new Error(`${fileName} needs ${name}, which is not in the package`);
    }
  }
}

/** @throws Error if a `using` declaration is left, which Node 22 cannot parse. */
function requireLowered({ code, fileName }: OutputChunk): void {
  new Visitor({
    VariableDeclaration: ({ kind }) => {
      if (kind.endsWith('using')) throw new Error(`${fileName} declares with \`${kind}\`, which Node 22 cannot parse`);
    },
  }).visit(parseSync(fileName, code).program);
}

await main();
