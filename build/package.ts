/**
 * `npm run package`: for each kind of machine a tarball that needs nothing else, a .deb and a bill of materials, and SHA256SUMS
 * over all of them; signed if there is a key. The same commit gives the same bytes. docs/packages.md tells what is in them.
 *
 * `--platform linux-x64` for one machine alone, `--out DIR` for another folder than release/. SOURCE_DATE_EPOCH: the time of
 * every file, instead of that of the last commit. MINISIGN_KEY: the file of a secret key.
 */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { deb, tarball } from './package/archives.ts';
import { DEBIAN_VERSION, makeDebian } from './package/debian.ts';
import { MACHINES, type Machine, must, ROOT, VERSION } from './package/machine.ts';
import { makeTree, sha256 } from './package/tree.ts';

/** Node compresses no better with more, and a test does not wait for it. */
const LEVEL = Number(process.env['PACKAGE_GZIP_LEVEL'] ?? 9);

function main(): void {
  const { values } = parseArgs({
    options: { platform: { type: 'string', multiple: true }, out: { type: 'string', default: 'release' } },
  });
  const names = values.platform ?? MACHINES.map(({ name }) => name);
  const machines = names.map(machineNamed);
  const out = path.resolve(ROOT, values.out);
  mkdirSync(out, { recursive: true });
  const epoch = buildTime();
  // The same compiler for whoever builds. Without it there is nothing for other machines, and for this one what its own made.
  const needsIt = machines.some(({ cpu }) => cpu !== process.arch);
  console.log(must(process.execPath, ['native/cross.ts', needsIt ? '--no-report' : '--if-possible']).trimEnd());
  // Where the tree lies is part of nothing that is in it.
  const cache = path.join(ROOT, '.cache');
  mkdirSync(cache, { recursive: true });
  const scratch = mkdtempSync(path.join(cache, 'package-'));
  try {
    const files = machines.flatMap((machine) => packagesFor(machine, scratch, out, epoch));
    const sums = files.toSorted().map((file) => `${sha256(readFileSync(path.join(out, file)))}  ${file}\n`);
    writeFileSync(path.join(out, 'SHA256SUMS'), sums.join(''));
    console.log(sums.join('').trimEnd());
    sign(path.join(out, 'SHA256SUMS'));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function packagesFor(machine: Machine, scratch: string, out: string, epoch: number): readonly string[] {
  const name = `apikey-broker-${VERSION}-${machine.name}`;
  const files = [
    `${name}.tar.gz`,
    `apikey-broker_${DEBIAN_VERSION}_${machine.debian}.deb`,
    `${name}.cdx.json`,
  ] as const;
  const [archive, debian, sbom] = files.map((file) => path.join(scratch, file)) as [string, string, string];
  const tree = path.join(scratch, name);
  makeTree(machine, tree, sbom, epoch);
  tarball(tree, archive, epoch, LEVEL);
  makeDebian(machine, tree, `${tree}-debian`, epoch);
  deb(`${tree}-debian`, debian, epoch, LEVEL);
  for (const file of files) {
    renameSync(path.join(scratch, file), path.join(out, file));
    console.log(`${file}: ${(statSync(path.join(out, file)).size / 1e6).toFixed(1)} MB`);
  }
  rmSync(tree, { recursive: true });
  rmSync(`${tree}-debian`, { recursive: true });
  return files;
}

function machineNamed(name: string): Machine {
  const machine = MACHINES.find((each) => each.name === name);
  if (machine === undefined)
    throw new Error(`there is no package for ${name}, but for ${MACHINES.map((each) => each.name).join(' and ')}`);
  return machine;
}

/** Seconds. */
function buildTime(): number {
  const given = process.env['SOURCE_DATE_EPOCH'];
  const words = given ?? must('git', ['log', '-1', '--format=%ct'], { hint: 'without a clone: set SOURCE_DATE_EPOCH' });
  const seconds = Number(words.trim());
  if (!Number.isSafeInteger(seconds) || seconds <= 0)
    throw new Error(`SOURCE_DATE_EPOCH is to be seconds since 1970, not ${words.trim()}`);
  return seconds;
}

function sign(sums: string): void {
  const key = process.env['MINISIGN_KEY'];
  if (!key) {
    console.log('not signed: MINISIGN_KEY names no key');
    return;
  }
  // Without a comment of ours minisign puts the time there.
  const comment = `apikey-broker ${VERSION}`;
  must('minisign', ['-S', '-s', key, '-m', sums, '-x', `${sums}.minisig`, '-t', comment], {
    hint: 'apt install minisign',
  });
  console.log('SHA256SUMS.minisig: signed');
}

try {
  main();
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
