import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { type Artefact, type Built, build } from './artefact.ts';
import { addonRecipes, type Compiler, helperRecipes } from './compilers.ts';

export const root = path.dirname(import.meta.dirname);

export const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  readonly version: string;
};

/** Where a binary is to run, as Node names it; `prebuilds/PLATFORM-ARCH` is where it lies. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly arch: string;
}

type Trial = Artefact['trial'];

type Files = Pick<Artefact, 'sources' | 'headers'>;

const HELPER: Files = {
  sources: ['broker-key.c', 'start-daemon.c', 'text.c'],
  headers: ['start-daemon.h', 'text.h'],
};
/** `broker run`: a program of its own, so that the helper stays as small as it can be. */
const RUNNER: Files = { sources: ['broker-run.c', 'text.c'], headers: ['text.h'] };
const ADDON: Files = {
  sources: ['addon.c', 'addon-machine.c', 'addon-processes.c', 'addon-values.c', 'addon-watch.c'],
  headers: ['addon.h'],
};

export function helperFor(machine: Machine, compilers: readonly Compiler[], trial: Trial): Artefact {
  return programFor(machine, HELPER, 'broker-key', compilers, trial);
}

export function runnerFor(machine: Machine, compilers: readonly Compiler[], trial: Trial): Artefact {
  return programFor(machine, RUNNER, 'broker-run', compilers, trial);
}

function programFor(
  machine: Machine,
  files: Files,
  name: string,
  compilers: readonly Compiler[],
  trial: Trial,
): Artefact {
  const recipes = helperRecipes(compilers, machine.platform, version);
  return { ...places(machine, files, name), recipes, toolchain: versions(compilers), trial };
}

export function addonFor(machine: Machine, compilers: readonly Compiler[], trial: Trial): Artefact {
  const headers = createRequire(import.meta.url)('node-api-headers') as { readonly include_dir: string };
  const recipes = addonRecipes(compilers, machine.platform, headers.include_dir);
  return { ...places(machine, ADDON, 'broker.node'), recipes, toolchain: versions(compilers), trial };
}

export function tryProgram(file: string): string | undefined {
  const { stdout, error } = spawnSync(file, ['--version'], { encoding: 'utf8' });
  return stdout === `${path.basename(file)} ${version}\n` ? undefined : `it does not run: ${error?.message ?? stdout}`;
}

export function tryAddon(file: string): string | undefined {
  const load = 'const m = { exports: {} }; process.dlopen(m, process.argv[1]); m.exports.bootTimeMs();';
  const { status, stderr } = spawnSync(process.execPath, ['-e', load, file], { encoding: 'utf8' });
  return status === 0 ? undefined : `it does not load: ${stderr.trim()}`;
}

/** Builds, and says in one line what came of it. */
export function buildAloud(artefact: Artefact): Built {
  const built = build(artefact);
  const { linked, bytes, upToDate } = built;
  const target = path.relative(root, artefact.target);
  console.log(`${target}: ${linked}, ${(bytes / 1024).toFixed(1)} KiB${upToDate ? ', up to date' : ''}`);
  return built;
}

function places({ platform, arch }: Machine, { sources, headers }: Files, target: string) {
  const machine = `${platform}-${arch}`;
  return {
    sources: sources.map((file) => path.join(root, 'native', file)),
    headers: headers.map((file) => path.join(root, 'native', file)),
    target: path.join(root, 'prebuilds', machine, target),
    platform,
    stamp: path.join(root, '.cache', 'native', `${machine}-${target}.json`),
  };
}

function versions(compilers: readonly Compiler[]): readonly string[] {
  return compilers.map((compiler) => compiler.version);
}
