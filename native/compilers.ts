import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A way to turn C files into one binary. */
export interface Recipe {
  /** What a person is told: how the result is linked. */
  readonly linked: string;
  readonly compiler: readonly string[];
  readonly flags: readonly string[];
}

export interface Compiler {
  readonly command: readonly string[];
  /** The first line of `--version`: part of what decides whether a binary is up to date. */
  readonly version: string;
}

const WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Wshadow'];
const COMMON = ['-std=c11', '-O2', '-fstack-protector-strong', ...WARNINGS];

/** The compilers of this machine, best first: `$CC` alone if it is set, else musl-gcc (Linux), cc, gcc, clang. */
export function findCompilers(env: NodeJS.ProcessEnv, platform: NodeJS.Platform): readonly Compiler[] {
  const chosen = env['CC']?.trim();
  const commands = chosen
    ? [chosen.split(/\s+/)]
    : [...(platform === 'linux' ? [['musl-gcc']] : []), ['cc'], ['gcc'], ['clang']];
  return commands.flatMap((command) => {
    const [program = '', ...args] = command;
    const { status, stdout } = spawnSync(program, [...args, '--version'], { encoding: 'utf8' });
    return status === 0 ? [{ command, version: `${program} ${stdout.split('\n', 1)[0]}` }] : [];
  });
}

/** Whether a compiler makes programs with these flags: some machines have one without the C library or a runtime. */
export function canCompile({ command }: Pick<Compiler, 'command'>, flags: readonly string[] = []): boolean {
  const [program = '', ...args] = command;
  const folder = mkdtempSync(path.join(tmpdir(), 'broker-cc-'));
  try {
    const input = '#include <unistd.h>\nint main(void) { return 0; }\n';
    const output = ['-x', 'c', '-', '-o', path.join(folder, 'out')];
    return spawnSync(program, [...args, ...flags, ...output], { input }).status === 0;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** For the load command of a signature that the linker did not make. */
const ROOM_TO_SIGN = ['-Wl,-headerpad,0x40'];

/** Costs nothing: 72 bytes less, the same start. Checked forms of memcpy and memset are glibc's; musl has none. */
const HARDENED = ['-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2', '-Wl,-z,now'];

/** Static first: loading a dynamic one takes twice as long as everything the helper itself does. */
export function helperRecipes(
  compilers: readonly Compiler[],
  platform: NodeJS.Platform,
  version: string,
): readonly Recipe[] {
  // Nothing unwinds it, it does nothing twice, and it is read from the disk for every prompt.
  const flags = [...COMMON, '-Os', '-fno-asynchronous-unwind-tables', `-DBROKER_VERSION="${version}"`];
  if (platform !== 'linux') {
    const signable = [...flags, ...(platform === 'darwin' ? ROOM_TO_SIGN : [])];
    return compilers.map(({ command }) => ({ linked: 'dynamic', compiler: command, flags: signable }));
  }
  const isMusl = ({ command }: Compiler) => command.some((word) => word.includes('musl'));
  const ways = [
    ...compilers.map((compiler) => ({
      compiler,
      linked: isMusl(compiler) ? 'static, musl' : 'static',
      link: ['-static'],
    })),
    ...compilers.map((compiler) => ({ compiler, linked: 'dynamic', link: [] })),
  ];
  return ways.map(({ compiler, linked, link }) => ({
    linked,
    compiler: compiler.command,
    flags: [...flags, ...HARDENED, '-s', ...link, ...fewPages(compiler)],
  }));
}

/**
 * Code and constants in the same pages, and nothing that no function needs: 12 kB less, and fewer mappings to make. zig takes few
 * of the linker's options.
 */
function fewPages({ command }: Compiler): readonly string[] {
  return command.some((word) => word.endsWith('zig'))
    ? []
    : ['-ffunction-sections', '-fdata-sections', '-Wl,--gc-sections', '-Wl,-z,noseparate-code'];
}

/** Without a name of its own a library gets the path that it was built at. */
const DARWIN_BUNDLE = [
  '-shared',
  '-undefined',
  'dynamic_lookup',
  '-install_name',
  '@rpath/broker.node',
  ...ROOM_TO_SIGN,
];

/** Against the C library that Node itself uses, which musl-gcc on such a machine is not. */
export function addonRecipes(
  compilers: readonly Compiler[],
  platform: NodeJS.Platform,
  headers: string,
): readonly Recipe[] {
  const link = platform === 'darwin' ? DARWIN_BUNDLE : ['-shared', '-s'];
  const flags = [...COMMON, '-fPIC', '-fvisibility=hidden', '-isystem', headers, ...link];
  const usable = compilers.filter(({ command }) => command[0] !== 'musl-gcc');
  return usable.map(({ command }) => ({ linked: 'shared', compiler: command, flags }));
}
