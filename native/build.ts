/** `node native/build.ts`: the helper, `broker run` and the addon for this machine, into `prebuilds/PLATFORM-ARCH/`. */
import { addonFor, buildAloud, helperFor, runnerFor, tryAddon, tryProgram } from './binaries.ts';
import { canCompile, findCompilers } from './compilers.ts';

const here = { platform: process.platform, arch: process.arch };

/** Without a compiler everything still works, more slowly; with one, a build that fails has to be noticed. */
function main(): void {
  const compilers = findCompilers(process.env, process.platform);
  if (compilers.length === 0) {
    sayUnavailable('no C compiler was found (CC, musl-gcc, cc, gcc, clang)');
    return;
  }
  try {
    const { linked } = buildAloud(helperFor(here, compilers, tryProgram));
    buildAloud(runnerFor(here, compilers, tryProgram));
    if (process.platform === 'linux' && !linked.includes('musl') && !process.env['CC']) sayWhatMuslSaves();
    const addon = addonFor(here, compilers, tryAddon);
    if (addon.recipes.length > 0) buildAloud(addon);
    else console.log('broker.node: not built, musl-gcc alone cannot build for the C library that Node uses');
  } catch (error) {
    if (compilers.some((compiler) => canCompile(compiler))) {
      console.error(error instanceof Error ? error.message : error);
      process.exitCode = 1;
    } else sayUnavailable('the C compiler here lacks the C library');
  }
}

/** Of 3,000 starts each, taken by turns, the median. */
function sayWhatMuslSaves(): void {
  console.log(
    'The helper works. With musl it starts in 0.15 ms; with glibc it takes 0.43 ms (static) or 0.60 ms (dynamic).',
  );
  console.log(
    'hint: apt install musl-tools (4 MB on the disk), then npm run build; the packages have one made with it',
  );
}

function sayUnavailable(reason: string): void {
  console.log(`The native helper is not built: ${reason}. \`broker get\` does the same job more slowly.`);
  console.log(
    'hint: install one (Debian: apt install gcc musl-tools, macOS: xcode-select --install), then npm run build',
  );
}

main();
