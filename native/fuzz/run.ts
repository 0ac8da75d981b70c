/**
 * `npm run fuzz`: the helper's parsers under libFuzzer with ASan and UBSan, then test/fuzz. Debian: clang and libclang-rt-14-dev.
 * --seconds N  for each target; default 10
 * --native     the helper's alone
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const HERE = import.meta.dirname;
const NATIVE = path.dirname(HERE);
const ROOT = path.dirname(NATIVE);
const SANITIZERS = ['-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=undefined'];

/** What is compiled beside the harness, which includes the file with what it tests. */
const TARGETS = [
  { name: 'reply', beside: ['start-daemon.c', 'text.c'] },
  { name: 'launch', beside: ['text.c'] },
] as const;

main();

function main(): void {
  const { values } = parseArgs({
    options: { seconds: { type: 'string', default: '10' }, native: { type: 'boolean' } },
  });
  const folder = mkdtempSync(path.join(tmpdir(), 'broker-fuzz-build-'));
  try {
    const isGood = TARGETS.map((target) => fuzz(target, folder, values.seconds)).every(Boolean);
    if (!isGood) process.exitCode = 1;
    if (values.native) return;
    const vitest = path.join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
    const env = { ...process.env, FUZZ_SECONDS: values.seconds };
    const args = [vitest, 'run', '--project', 'slow', path.join(ROOT, 'test', 'fuzz')];
    const { status } = spawnSync(process.execPath, args, { stdio: 'inherit', env });
    if (status !== 0) process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What was found new stays in a copy of the corpus; `artifact` files of a failure are left in the working folder. */
function fuzz({ name, beside }: (typeof TARGETS)[number], folder: string, seconds: string): boolean {
  const program = path.join(folder, name);
  const sources = [path.join(HERE, `${name}.c`), ...beside.map((file) => path.join(NATIVE, file))];
  const flags = ['-g', '-O1', '-std=c11', '-DBROKER_VERSION="0.0.0"', ...SANITIZERS, '-o', program];
  const built = spawnSync('clang', [...flags, ...sources], { encoding: 'utf8' });
  if (built.status !== 0) {
    console.log(
      `SKIPPED, ${name} was not fuzzed: clang with libFuzzer (libclang-rt-14-dev) is needed\n${built.stderr ?? ''}`,
    );
    return true;
  }
  const corpus = path.join(folder, `${name}-corpus`);
  mkdirSync(corpus);
  cpSync(path.join(HERE, 'corpus', name), corpus, { recursive: true });
  const options = [
    `-max_total_time=${seconds}`,
    '-max_len=70000',
    '-print_final_stats=1',
    '-verbosity=0',
    '-timeout=10',
  ];
  console.log(`fuzzing ${name} for ${seconds} s`);
  return spawnSync(program, [...options, corpus], { stdio: 'inherit' }).status === 0;
}
