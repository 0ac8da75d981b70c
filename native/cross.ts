/**
 * `npm run build:cross`: helper, `broker run` and addon for every machine that the package serves, with one zig compiler: `$ZIG`, or a
 * pinned one that it fetches. Examines each binary as far as this machine can, and writes docs/prebuilds.md.
 * `--if-possible`: with a compiler that is there already, or else not at all. `--no-report`: the page stays as it is.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { addonFor, buildAloud, helperFor, type Machine, root, runnerFor, tryAddon, tryProgram } from './binaries.ts';
import type { Compiler } from './compilers.ts';
import { inspect } from './inspect.ts';
import { type Examined, examine, report } from './prebuilds-report.ts';
import { fetchZig, findZig, zigFor } from './zig.ts';

/** The programs are static, so they bring musl; the addon uses the C library of Node, in the oldest version Node 22 runs on. */
const TARGETS: readonly (Machine & { readonly program: string; readonly addon: string })[] = [
  { platform: 'linux', arch: 'x64', program: 'x86_64-linux-musl', addon: 'x86_64-linux-gnu.2.28' },
  { platform: 'linux', arch: 'arm64', program: 'aarch64-linux-musl', addon: 'aarch64-linux-gnu.2.28' },
  { platform: 'darwin', arch: 'x64', program: 'x86_64-macos', addon: 'x86_64-macos' },
  { platform: 'darwin', arch: 'arm64', program: 'aarch64-macos', addon: 'aarch64-macos' },
];
const REPORT = path.join(root, 'docs', 'prebuilds.md');

function buildAll(zig: Compiler): readonly Examined[] {
  const examined: Examined[] = [];
  for (const target of TARGETS) {
    const isHere = target.platform === process.platform && target.arch === process.arch;
    const programs = [helperFor, runnerFor].map((make) =>
      make(target, [zigFor(zig, target.program)], isHere ? tryProgram : () => undefined),
    );
    for (const program of programs) {
      // Of musl's own compiler it is as static and somewhat smaller. The addon would depend on this machine's C library.
      if (!isHere || !isStatic(program.target)) buildAloud(program);
    }
    const addon = addonFor(target, [zigFor(zig, target.addon)], isHere ? tryAddon : () => undefined);
    buildAloud(addon);
    for (const { target: file } of [...programs, addon]) examined.push(examine(file, target, isHere));
  }
  return examined;
}

function isStatic(file: string): boolean {
  return existsSync(file) && inspect(readFileSync(file)).needs.length === 0;
}

function main(): void {
  try {
    // Not in the home of the user who builds.
    process.env['ZIG_GLOBAL_CACHE_DIR'] ??= path.join(root, '.cache', 'zig-cache');
    const found = findZig(process.env);
    const ifPossible = process.argv.includes('--if-possible');
    if (found === undefined && ifPossible) {
      console.log(`${process.platform}-${process.arch} is all there is: for the others run npm run build:cross`);
      return;
    }
    const zig = found ?? fetchZig(console.log);
    const examined = buildAll(zig);
    if (!ifPossible && !process.argv.includes('--no-report')) {
      writeFileSync(REPORT, report(examined, zig.version));
      console.log(`${path.relative(root, REPORT)} tells of them`);
    }
    const faults = examined.flatMap(({ file, faults: each }) => each.map((fault) => `${file}: ${fault}`));
    for (const fault of faults) console.error(`error: ${fault}`);
    if (faults.length > 0) process.exitCode = 1;
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 69;
  }
}

main();
