/** `node native/build.ts`: the helper and the addon for this machine, into `prebuilds/PLATFORM-ARCH/`. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { type Artefact, build } from './artefact.ts';
import { addonRecipes, type Compiler, canCompile, findCompilers, helperRecipes } from './compilers.ts';

const root = path.dirname(import.meta.dirname);
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
const machine = `${process.platform}-${process.arch}`;

function helper(compilers: readonly Compiler[]): Artefact {
  return {
    source: path.join(root, 'native', 'broker-key.c'),
    target: path.join(root, 'prebuilds', machine, 'broker-key'),
    stamp: path.join(root, '.cache', 'native', `${machine}-broker-key.json`),
    recipes: helperRecipes(compilers, process.platform, version),
    toolchain: compilers.map((compiler) => compiler.version),
    trial: (file) => {
      const { stdout, error } = spawnSync(file, ['--version'], { encoding: 'utf8' });
      return stdout === `broker-key ${version}\n` ? undefined : `it does not run: ${error?.message ?? stdout}`;
    },
  };
}

function addon(compilers: readonly Compiler[]): Artefact {
  const require = createRequire(import.meta.url);
  const headers = require('node-api-headers') as { readonly include_dir: string };
  return {
    source: path.join(root, 'native', 'addon.c'),
    target: path.join(root, 'prebuilds', machine, 'broker.node'),
    stamp: path.join(root, '.cache', 'native', `${machine}-addon.json`),
    recipes: addonRecipes(compilers, process.platform, headers.include_dir),
    toolchain: compilers.map((compiler) => compiler.version),
    trial: (file) => {
      const load = 'const m = { exports: {} }; process.dlopen(m, process.argv[1]); m.exports.bootTimeMs();';
      const { status, stderr } = spawnSync(process.execPath, ['-e', load, file], { encoding: 'utf8' });
      return status === 0 ? undefined : `it does not load: ${stderr.trim()}`;
    },
  };
}

function report(artefact: Artefact): void {
  const { linked, bytes, upToDate } = build(artefact);
  const target = path.relative(root, artefact.target);
  console.log(`${target}: ${linked}, ${(bytes / 1024).toFixed(1)} KiB${upToDate ? ', up to date' : ''}`);
}

/** Whoever cannot compile can still use everything; whoever can is told loudly that it failed. */
function main(): void {
  const compilers = findCompilers(process.env, process.platform);
  if (compilers.length === 0) {
    sayUnavailable('no C compiler was found (CC, musl-gcc, cc, gcc, clang)');
    return;
  }
  try {
    report(helper(compilers));
    const forAddon = addon(compilers);
    if (forAddon.recipes.length > 0) report(forAddon);
    else console.log('broker.node: not built, musl-gcc alone cannot build for the C library that Node uses');
  } catch (error) {
    if (compilers.some(canCompile)) {
      console.error(error instanceof Error ? error.message : error);
      process.exitCode = 1;
    } else sayUnavailable('the C compiler here lacks the C library');
  }
}

function sayUnavailable(reason: string): void {
  console.log(`The native helper is not built: ${reason}. \`broker get\` does the same job more slowly.`);
  console.log(
    'hint: install one (Debian: apt install gcc musl-tools, macOS: xcode-select --install), then npm run build',
  );
}

main();
